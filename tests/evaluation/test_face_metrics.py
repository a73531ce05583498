"""Landmark, action unit, lip, pose and emotion metrics against hand-worked cases."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torchmetrics.functional.regression import concordance_corrcoef, pearson_corrcoef

from emotalk_core.emotion.circle import CLASSES
from emotalk_core.evaluation.face_points import MOUTH_POINTS, lid_opening, lip_opening
from emotalk_core.evaluation.metrics.action_unit_error import LOWER_UNITS, UPPER_UNITS
from emotalk_core.evaluation.metrics.base import FaceReading, FrameEvidence, correlation
from emotalk_core.evaluation.metrics.landmark_distance import landmark_distance
from emotalk_core.evaluation.metrics.registry import all_metrics, load_metrics, scenario_metrics
from emotalk_core.evaluation.metrics.valence_arousal import concordance, rmse, sign_agreement
from emotalk_core.evaluation.readers import PIXEL_KINDS
from emotalk_core.types.metrics import SCENARIOS

PICTURE = np.zeros((8, 8, 3), np.uint8)


def face(lip: float = 0.0, lid: float = 0.0, shift: tuple[float, float] = (0, 0)) -> np.ndarray:
    """Points at the origin but for eye corners 10 px apart, and gaps of lips and lids in px."""
    points = np.zeros((478, 3))
    points[33, 0], points[263, 0] = -5, 5
    points[14, 1] = lip
    points[145, 1] = points[374, 1] = lid
    points[:, :2] += shift
    return points


def evidence(
    render: FaceReading | None, truth: FaceReading | None, **more: object
) -> FrameEvidence:
    return FrameEvidence("c", PICTURE, PICTURE, face=render, source_face=truth, **more)


def value(name: str, frames: list[FrameEvidence]) -> float:
    metric = load_metrics()[name]
    return metric.reduce(np.array([metric.terms(f) for f in frames]))


def test_openings_are_in_units_of_the_eye_distance() -> None:
    assert lip_opening(face(lip=3)) == pytest.approx(0.3)
    assert lid_opening(face(lid=2)) == pytest.approx(0.2)


def test_landmark_distance_forgets_the_common_shift() -> None:
    truth = np.array([[0.0, 0], [2, 0]])
    assert landmark_distance(truth + np.array([7.0, -3.0]), truth) == pytest.approx(0)
    # after centring the points lie at -1.5, 1.5 instead of -1, 1
    assert landmark_distance(np.array([[0.0, 0], [3, 0]]), truth) == pytest.approx(0.5)


def test_lmd_uses_forty_mouth_points_and_counts_pixels() -> None:
    render = face()
    render[list(MOUTH_POINTS[:20]), 0] += (
        4  # half of the points move: 2 px from the new centre each
    )
    assert len(set(MOUTH_POINTS)) == 40
    assert value("lmd", [evidence(FaceReading(render), FaceReading(face()))]) == pytest.approx(2.0)


def test_action_unit_error_sums_squares_of_its_own_half() -> None:
    units = dict.fromkeys((*UPPER_UNITS, *LOWER_UNITS), 1.0)
    truth = FaceReading(face(), units)
    render = FaceReading(face(), {**units, "AU01": 1.5, "AU45": 0.0, "AU25": 3.0})
    assert value("aue_u", [evidence(render, truth)]) == pytest.approx(0.25 + 1.0)
    assert value("aue_l", [evidence(render, truth)]) == pytest.approx(4.0)
    assert load_metrics()["aue_u"].terms(evidence(FaceReading(face()), truth)) is None
    assert not set(UPPER_UNITS) & set(LOWER_UNITS)
    assert len(UPPER_UNITS) + len(LOWER_UNITS) == 17


def test_lip_correlation_and_amplitude() -> None:
    pairs = [(1, 2), (2, 4), (3, 6), (2, 4)]  # render moves exactly half as far
    frames = [evidence(FaceReading(face(a)), FaceReading(face(b))) for a, b in pairs]
    assert value("lip_r", frames) == pytest.approx(1.0)
    assert value("lip_amplitude", frames) == pytest.approx(0.5)
    dead = [evidence(FaceReading(face(1)), FaceReading(face(b))) for _, b in pairs]
    assert math.isnan(value("lip_r", dead))
    assert value("lip_amplitude", dead) == 0.0
    lids = [evidence(FaceReading(face(lid=-a)), FaceReading(face(lid=b))) for a, b in pairs]
    assert value("lid_r", lids) == pytest.approx(1.0)
    open_eyes = [evidence(FaceReading(face(lid=b)), FaceReading(face(lid=b))) for b in (2, 2.1, 2)]
    assert math.isnan(value("lid_r", open_eyes))  # nobody blinks: it would be of noise


def test_lip_audio_r_compares_with_what_the_sound_expects() -> None:
    frames = [
        evidence(FaceReading(face(a)), None, lip_opening_from_audio=b)
        for a, b in ((1, 0.3), (2, 0.2), (3, 0.1))
    ]
    assert value("lip_audio_r", frames) == pytest.approx(-1.0)
    assert load_metrics()["lip_audio_r"].terms(evidence(FaceReading(face()), None)) is None


def test_pose_jitter_is_the_second_difference_against_the_source() -> None:
    def frame(x: float, before: tuple[FrameEvidence, ...] = ()) -> FrameEvidence:
        return evidence(FaceReading(face(shift=(x, 0))), FaceReading(face()), before=before)

    drifting = frame(2, (frame(0), frame(1)))
    shaking = frame(0, (frame(0), frame(1)))
    assert load_metrics()["pose_jitter"].terms(frame(1, (frame(0),))) is None
    assert value("pose_jitter", [drifting]) == pytest.approx(0, abs=1e-9)
    assert value("pose_jitter", [shaking]) == pytest.approx(2)


def test_identity_is_the_cosine_of_the_embeddings() -> None:
    embeddings = np.array([3.0, 4.0]), np.array([4.0, 3.0])
    faces = [FaceReading(face(), identity=e) for e in embeddings]
    assert value("identity", [evidence(*faces)]) == pytest.approx(24 / 25)
    pair = [torch.from_numpy(e)[None] for e in embeddings]
    assert value("identity", [evidence(*faces)]) == pytest.approx(
        float(torch.cosine_similarity(*pair)), abs=1e-9
    )
    assert load_metrics()["identity"].terms(evidence(FaceReading(face()), faces[0])) is None


def test_sync_scores_by_hand() -> None:
    # mean over two frames: 1.0, 0.9, 0.3, 0.8, 1.0 at shifts -2..2
    rows = [(1.0, 1.0, 0.2, 0.7, 1.0), (1.0, 0.8, 0.4, 0.9, 1.0)]
    metrics = {(m.name, m.evaluator): m for m in all_metrics()}
    for distance, kind in (("sync_d", "sync"), ("sync_e", "syncnet")):
        frames = [evidence(None, None, sync_distances={kind: row}) for row in rows]
        terms = np.array([metrics[distance, kind].terms(f) for f in frames])
        assert metrics[distance, kind].reduce(terms) == pytest.approx(0.3)
        assert metrics["sync_c", kind].reduce(terms) == pytest.approx(0.9 - 0.3)
        assert metrics["sync_offset", kind].reduce(terms) == 0
        late = np.roll(terms, 1, axis=1)
        assert metrics["sync_offset", kind].reduce(late) == 1
    assert metrics["sync_c", "sync"].terms(evidence(None, None)) is None


def test_a_valley_that_wrong_moments_have_too_shrinks() -> None:
    confidence = next(m for m in all_metrics() if (m.name, m.evaluator) == ("sync_c", "sync"))
    quiet = np.full((4, 31), 1.2)
    quiet[:, 15] = 1.0
    assert confidence.reduce(quiet) == pytest.approx(0.2)  # wrong moments are all alike
    restless = quiet.copy()
    restless[:, 5:7] = 1.0  # two of 22 wrong moments lie as low: variance .2^2 * 2 * 20 / 22^2
    spread = 0.04 * 2 * 20 / 22**2
    assert confidence.reduce(restless) == pytest.approx(0.2**3 / (0.2**2 + 2 * spread))
    assert confidence.reduce(np.full((4, 31), 1.2)) == 0
    far = np.full((4, 31), 1.2)
    far[:, 13:18] = 1.4  # the right moment is the worst of all
    assert confidence.reduce(far) == pytest.approx(-0.2)


def test_correlation_equals_torchmetrics() -> None:
    terms = np.random.default_rng(0).normal(size=(50, 2))
    wanted = pearson_corrcoef(*(torch.from_numpy(terms[:, i].copy()) for i in (0, 1)))
    assert correlation(terms) == pytest.approx(float(wanted), abs=1e-9)


def test_valence_arousal_by_hand() -> None:
    terms = np.array([[0.5, 0.5], [-0.1, 0.3], [0.2, -0.2], [0.0, 0.4]])
    assert rmse(terms) == pytest.approx(math.sqrt((0 + 0.16 + 0.16 + 0.16) / 4))
    assert sign_agreement(terms) == pytest.approx(0.25)  # a reading of exactly 0 has no sign


def test_concordance_equals_torchmetrics_and_is_undefined_for_a_single_target() -> None:
    terms = np.random.default_rng(1).normal(size=(60, 2))
    terms[:, 0] += 0.5 * terms[:, 1]
    # torchmetrics uses sample moments: with them the factor (N-1)/N stays in the squared shift only
    count, shift = len(terms), terms[:, 0].mean() - terms[:, 1].mean()
    covariance, variance = np.cov(terms.T)[0, 1], terms.var(axis=0, ddof=1).sum()
    sample = 2 * covariance / (variance + shift**2)
    library = concordance_corrcoef(*(torch.from_numpy(terms[:, i].copy()) for i in (0, 1)))
    assert sample == pytest.approx(float(library), abs=1e-5)
    ratio = (count - 1) / count
    assert concordance(terms) == pytest.approx(
        2 * covariance * ratio / (variance * ratio + shift**2), abs=1e-12
    )
    assert concordance(np.array([[1.0, 1], [2, 2], [3, 3]])) == pytest.approx(1)
    assert math.isnan(concordance(np.array([[0.1, 0.5], [0.2, 0.5]])))


def test_emotion_accuracy_and_confusion() -> None:
    def read(order: list[str], label: str) -> FrameEvidence:
        posterior = np.zeros(8)
        for rank, name in enumerate(order):
            posterior[CLASSES.index(name)] = 0.5 - 0.1 * rank
        return evidence(FaceReading(face(), posterior=posterior), None, label=label)

    frames = [
        read(["happy", "sad", "fear"], "happy"),
        read(["neutral", "sad", "anger"], "anger"),
        read(["neutral", "sad", "fear", "disgust"], "disgust"),
        read(["sad"], "contempt"),
    ]
    assert value("e_acc_top1", frames) == pytest.approx(1 / 4)
    assert value("e_acc_top3", frames) == pytest.approx(2 / 4)
    shares = {name: value(f"e_share_{name}", frames) for name in CLASSES}
    assert shares["neutral"] == pytest.approx(0.5)
    assert sum(shares.values()) == pytest.approx(1)


def test_every_metric_survives_a_frame_without_a_face() -> None:
    for scenario in SCENARIOS:
        for metric in scenario_metrics(scenario):
            if metric.evaluator not in PIXEL_KINDS:
                assert metric.terms(evidence(None, None, valence=0.1, arousal=0.1)) is None


def test_registry_holds_the_named_metrics_once() -> None:
    names = set(load_metrics())
    wanted = {
        "psnr_full",
        "psnr_head",
        "psnr_mouth",
        "ssim_full",
        "ssim_head",
        "lmd",
        "aue_u",
        "aue_l",
        "lip_r",
        "lip_amplitude",
        "lid_r",
        "sharpness",
        "v_rmse",
        "a_rmse",
        "v_sa",
        "a_sa",
        "ccc_v",
        "ccc_a",
        "e_acc_top1",
        "e_acc_top3",
        "lip_audio_r",
        "pose_jitter",
        "flicker",
    }
    assert wanted <= names
    assert all(m.meaning and m.scenarios for m in load_metrics().values())
