"""Metrics on random frames, to 1e-5 what other libraries or first principles give."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
import scipy.ndimage
import scipy.stats
import torch
from skimage.color import rgb2gray
from skimage.metrics import peak_signal_noise_ratio, structural_similarity
from torchmetrics.functional import mean_squared_error, pearson_corrcoef
from torchmetrics.functional.classification import (
    binary_accuracy,
    multiclass_accuracy,
    multiclass_confusion_matrix,
)

from emotalk_core.emotion.circle import CLASSES
from emotalk_core.evaluation.face_points import MOUTH_POINTS
from emotalk_core.evaluation.metrics.action_unit_error import LOWER_UNITS, UPPER_UNITS
from emotalk_core.evaluation.metrics.base import FaceReading, FrameEvidence
from emotalk_core.evaluation.metrics.registry import load_metrics
from emotalk_core.perception.landmarks.topology import rigid_points

N, SIDE = 12, 40
BOX = (18, 31, 12, 30)
EXACT = 1e-5


def _reading(rng: np.random.Generator) -> FaceReading:
    units = dict(zip((*UPPER_UNITS, *LOWER_UNITS), rng.uniform(0, 5, 17)))
    valence, arousal = rng.uniform(-1, 1, 2)
    posterior = rng.dirichlet(np.ones(8))
    points = rng.normal(20, 8, (478, 3))
    return FaceReading(points, units, valence, arousal, posterior, rng.normal(size=16))


@pytest.fixture(scope="module")
def frames() -> list[FrameEvidence]:
    """Random pictures, masks, faces, targets and sync distances; each frame knows two before it."""
    rng = np.random.default_rng(11)
    found: list[FrameEvidence] = []
    for _ in range(N):
        truth = rng.integers(0, 256, (SIDE, SIDE, 3)).astype(np.uint8)
        render = np.clip(truth + rng.normal(0, 20, truth.shape), 0, 255).astype(np.uint8)
        valence, arousal = rng.uniform(-1, 1, 2)
        found.append(
            FrameEvidence(
                "c",
                render,
                truth,
                *(rng.random((SIDE, SIDE)) < 0.5 for _ in range(3)),
                BOX,
                _reading(rng),
                _reading(rng),
                valence,
                arousal,
                CLASSES[rng.integers(8)],
                float(rng.uniform(0, 0.3)),
                {"sync": tuple(rng.uniform(0.8, 1.4, 31)), "syncnet": tuple(rng.uniform(5, 9, 31))},
                before=tuple(found[-2:]),
            )
        )
    return found


def value(name: str, frames: list[FrameEvidence]) -> float:
    metric = load_metrics()[name]
    terms = [t for t in map(metric.terms, frames) if t is not None]
    return metric.reduce(np.array(terms))


def doubles(values: object) -> torch.Tensor:
    return torch.tensor(np.asarray(values), dtype=torch.float64)


def test_psnr_of_regions(frames: list[FrameEvidence]) -> None:
    y0, y1, x0, x1 = BOX
    wanted = {
        "psnr_full": [peak_signal_noise_ratio(f.source, f.render) for f in frames],
        "psnr_head": [peak_signal_noise_ratio(f.source[f.head], f.render[f.head]) for f in frames],
        "psnr_mouth": [
            peak_signal_noise_ratio(f.source[y0:y1, x0:x1], f.render[y0:y1, x0:x1]) for f in frames
        ],
    }
    for name, values in wanted.items():
        assert value(name, frames) == pytest.approx(np.mean(values), abs=EXACT), name


def test_ssim_of_regions(frames: list[FrameEvidence]) -> None:
    y0, y1, x0, x1 = BOX
    inner = np.zeros((SIDE, SIDE), bool)
    inner[5:-5, 5:-5] = True
    box = np.zeros_like(inner)
    box[y0:y1, x0:x1] = True
    maps = [
        structural_similarity(
            f.source / 255.0,
            f.render / 255.0,
            channel_axis=2,
            data_range=1.0,
            gaussian_weights=True,
            use_sample_covariance=False,
            full=True,
        )[1].mean(axis=2)
        for f in frames
    ]
    for name, masks in (
        ("ssim_full", [inner] * N),
        ("ssim_head", [f.head & inner for f in frames]),
        ("ssim_mouth", [box] * N),
    ):
        wanted = np.mean([m[mask].mean() for m, mask in zip(maps, masks)])
        assert value(name, frames) == pytest.approx(wanted, abs=EXACT), name


def test_sharpness_and_flicker(frames: list[FrameEvidence]) -> None:
    energies = []
    for f in frames:
        # whole grey levels with Rec. 601 weights, as 8-bit pictures have them
        greys = [np.round(p @ np.array([0.299, 0.587, 0.114])) for p in (f.render, f.source)]
        assert np.abs(rgb2gray(f.source) * 255 - greys[1]).max() < 40  # Rec. 709: near, not equal
        rows = [scipy.ndimage.laplace(g, mode="mirror")[f.head_inner] for g in greys]
        energies.append([(r**2).mean() for r in rows])
    render, truth = np.sum(energies, axis=0)
    assert value("sharpness", frames) == pytest.approx(render / truth, rel=1e-3)  # grey rounding
    changes = []
    for last, f in pairwise(frames):
        stack = np.stack([last.render, f.render, last.source, f.source]).astype(int)
        changes.append(np.abs((stack[1] - stack[0]) - (stack[3] - stack[2]))[f.head].mean())
    assert value("flicker", frames) == pytest.approx(np.mean(changes), abs=EXACT)


def test_neck_seam(frames: list[FrameEvidence]) -> None:
    excess = []
    for f in frames:
        strength = []
        for picture in (f.render, f.source):
            padded = np.pad(
                picture.astype(float), ((1, 1), (1, 1), (0, 0)), "reflect", reflect_type="odd"
            )
            down = scipy.ndimage.correlate1d(padded, [-0.5, 0, 0.5], axis=0)[1:-1, 1:-1]
            right = scipy.ndimage.correlate1d(padded, [-0.5, 0, 0.5], axis=1)[1:-1, 1:-1]
            strength.append(np.sqrt(down**2 + right**2).max(axis=2)[f.seam].mean())
        excess.append(max(0.0, strength[0] - strength[1]))
    assert value("neck_seam", frames) == pytest.approx(np.mean(excess), abs=EXACT)


def test_landmark_metrics(frames: list[FrameEvidence]) -> None:
    pairs = [(f.face.landmarks[:, :2], f.source_face.landmarks[:, :2]) for f in frames]
    mouths = [[p[list(MOUTH_POINTS)] for p in pair] for pair in pairs]
    centred = [[m - m.mean(axis=0) for m in pair] for pair in mouths]
    distances = [np.sqrt(((a - b) ** 2).sum(axis=1)).mean() for a, b in centred]
    assert value("lmd", frames) == pytest.approx(np.mean(distances), abs=EXACT)
    still = np.array([(a - b)[list(rigid_points())].mean(axis=0) for a, b in pairs])
    shake = np.diff(still, n=2, axis=0)
    wanted = np.sqrt((shake**2).sum(axis=1).mean())
    assert value("pose_jitter", frames) == pytest.approx(wanted, abs=EXACT)
    for name, units in (("aue_u", UPPER_UNITS), ("aue_l", LOWER_UNITS)):
        render, truth = (
            doubles([[getattr(f, side).action_units[u] for u in units] for f in frames])
            for side in ("face", "source_face")
        )
        wanted = float(mean_squared_error(render, truth)) * len(units)
        assert value(name, frames) == pytest.approx(wanted, abs=EXACT), name


def gap(points: np.ndarray, upper: int, lower: int) -> float:
    eyes = np.hypot(*(points[33, :2] - points[263, :2]))
    return float(np.hypot(*(points[upper, :2] - points[lower, :2])) / eyes)


def test_lip_motion(frames: list[FrameEvidence]) -> None:
    render, truth = (
        np.array([gap(getattr(f, side).landmarks, 13, 14) for f in frames])
        for side in ("face", "source_face")
    )
    expected = [f.lip_opening_from_audio for f in frames]
    assert value("lip_r", frames) == pytest.approx(
        scipy.stats.pearsonr(render, truth).statistic, abs=EXACT
    )
    assert value("lip_audio_r", frames) == pytest.approx(
        float(pearson_corrcoef(doubles(render), doubles(expected))), abs=EXACT
    )
    assert value("lip_amplitude", frames) == pytest.approx(
        float(doubles(render).std() / doubles(truth).std()), abs=EXACT
    )


def test_identity_and_sync(frames: list[FrameEvidence]) -> None:
    pairs = [[doubles(s.identity) for s in (f.face, f.source_face)] for f in frames]
    cosines = [float(torch.cosine_similarity(a, b, dim=0)) for a, b in pairs]
    assert value("identity", frames) == pytest.approx(np.mean(cosines), abs=EXACT)
    means = np.array([f.sync_distances["syncnet"] for f in frames]).mean(axis=0)
    assert value("sync_e", frames) == pytest.approx(means.min(), abs=EXACT)
    own = np.array([f.sync_distances["sync"] for f in frames]).mean(axis=0)
    near = min(own[13:18])
    depth, wrong = np.median(own) - near, np.concatenate([own[:11], own[20:]])
    assert value("sync_d", frames) == pytest.approx(near, abs=EXACT)
    wanted = depth * depth**2 / (depth**2 + 2 * scipy.stats.tstd(wrong) ** 2 * 21 / 22)
    assert value("sync_c", frames) == pytest.approx(wanted, abs=EXACT)


def test_emotion_metrics(frames: list[FrameEvidence]) -> None:
    for letter, name in (("v", "valence"), ("a", "arousal")):
        read = doubles([getattr(f.face, name) for f in frames])
        asked = doubles([getattr(f, name) for f in frames])
        error = float(mean_squared_error(read, asked, squared=False))
        assert value(f"{letter}_rmse", frames) == pytest.approx(error, abs=EXACT)
        agreed = float(binary_accuracy((read > 0).int(), (asked > 0).int()))
        assert value(f"{letter}_sa", frames) == pytest.approx(agreed, abs=EXACT)
    scores = doubles(np.array([f.face.posterior for f in frames]))
    labels = torch.tensor([CLASSES.index(f.label) for f in frames])
    for k in (1, 3):
        accuracy = multiclass_accuracy(scores, labels, num_classes=8, top_k=k, average="micro")
        assert value(f"e_acc_top{k}", frames) == pytest.approx(float(accuracy), abs=EXACT)
    read_as = multiclass_confusion_matrix(scores, labels, num_classes=8).sum(dim=0) / N
    shares = [value(f"e_share_{name}", frames) for name in CLASSES]
    assert shares == pytest.approx(read_as.tolist(), abs=EXACT)
