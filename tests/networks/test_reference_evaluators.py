"""The paper's evaluators: chosen by a word, named in the evaluator column, absent visibly."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from emotalk_core import weights
from emotalk_core.errors import ConfigError, WeightsError
from emotalk_core.evaluation.driven import DrivenClip
from emotalk_core.evaluation.evaluators import PACKAGED, known_evaluators
from emotalk_core.evaluation.metrics.base import FaceReading, FrameEvidence
from emotalk_core.evaluation.metrics.registry import all_metrics
from emotalk_core.evaluation.metrics.sync import sync_confidence, sync_distance
from emotalk_core.evaluation.reference_readers import LpipsDistance, open_reference_readers
from emotalk_core.evaluation.settings import EvaluationSettings
from emotalk_core.evaluation.stand_ins import stand_ins
from emotalk_core.evaluation.syncnet_expert import SyncNetExpert, face_boxes, heard_samples
from emotalk_core.media.audio import write_wav
from emotalk_core.perception.emotion.emonet import EmoNet
from emotalk_core.perception.identity.reference import Vggface2Identity
from emotalk_core.perception.landmarks.fan import (
    crop_face,
    crop_of_box,
    points_from_heatmaps,
)
from emotalk_core.perception.landmarks.reference import FanPoints
from emotalk_core.perception.perceptual.lpips_alex import LPIPS
from emotalk_core.perception.regions.bisenet import BiSeNet

from .seeded import seed
from .test_reference_seams import landmarks, picture, put

ALL = EvaluationSettings(
    landmarks="fan",
    emotion="emonet",
    identity="vggface2",
    perceptual="lpips_alex",
    sync="syncnet",
)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv(weights.FOLDER_VARIABLE, str(tmp_path))
    monkeypatch.delenv(weights.POLICY_VARIABLE, raising=False)
    return tmp_path


class Heatmaps(torch.nn.Module):
    """All 68 maxima at column 20, row 40, the higher neighbour to the right and below."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        maps = torch.zeros(1, 68, 64, 64)
        maps[:, :, 40, 20] = 1.0
        maps[:, :, 40, 21] = 0.5
        maps[:, :, 41, 20] = 0.5
        return maps


def test_nothing_is_opened_without_a_word(folder: Path) -> None:
    found = open_reference_readers(EvaluationSettings())
    assert not found.evaluators
    assert (found.emotion, found.identity, found.fan, found.lpips, found.syncnet) == (None,) * 5


def test_missing_files_leave_packaged_evaluators_with_a_mark(
    folder: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    found = open_reference_readers(ALL)
    assert {kind: e.id.partition("-without-")[2] for kind, e in found.evaluators.items()} == {
        "emotion": "emonet",
        "identity": "facenet_vggface2",
        "landmarks": "fan",
        "perceptual": "lpips_alex",
        "sync": "syncnet",
    }
    emotion = found.evaluators["emotion"]
    assert emotion.id == f"{PACKAGED['emotion'].id}-without-emonet" and not emotion.reference
    ((_, replaces),) = known_evaluators([emotion.id])
    assert replaces == PACKAGED["emotion"].standing_for
    for name in ("emonet", "facenet_vggface2", "fan", "lpips_alex", "syncnet"):
        assert f"weights {name}: missing" in caplog.text
    monkeypatch.setenv(weights.POLICY_VARIABLE, weights.ERROR)
    with pytest.raises(WeightsError, match="emonet: missing"):
        open_reference_readers(ALL)


def test_a_file_that_is_there_is_the_paper_s_own_measure(folder: Path) -> None:
    path = put("emonet", EmoNet())
    found = open_reference_readers(EvaluationSettings(emotion="emonet"))
    evaluator = found.evaluators["emotion"]
    assert evaluator.reference and found.emotion is not None
    assert evaluator.label == f"emonet-8@{weights.sha256_of(path)}"


def test_an_unknown_word_is_refused(folder: Path) -> None:
    with pytest.raises(ConfigError, match=r"evaluation\.sync=synnet: wanted one of"):
        open_reference_readers(EvaluationSettings(sync="synnet"))


def test_lpips_of_frames() -> None:
    judge = LpipsDistance(seed(LPIPS()))  # type: ignore[arg-type]
    one, other = picture(64), np.zeros((64, 64, 3), np.uint8)
    assert judge.distance(one, one) == 0
    assert judge.distance(one, other) != 0


def test_identity_of_a_face_has_unit_length() -> None:
    from emotalk_core.perception.identity.inception_resnet import InceptionResnetV1

    reader = Vggface2Identity(seed(InceptionResnetV1()))  # type: ignore[arg-type]
    points = np.concatenate([landmarks(), np.zeros((478, 1))], axis=1)
    assert np.linalg.norm(reader.embed(picture(), points)) == pytest.approx(1)


def test_fan_points_of_a_published_archive(folder: Path) -> None:
    entry = weights.known_weights("fan")
    torch.jit.script(Heatmaps()).save(str(weights.path_of(entry)))
    weights.pin(entry)
    fan = FanPoints.open()
    assert fan is not None
    points = fan.points(picture(), landmarks())
    assert points.shape == (68, 2) and (points == points[0]).all()


def test_fan_coordinates_by_hand() -> None:
    """Box 100 px wide and high: centre 12 px above its own, the crop shows 200 * 200/195 px."""
    centre, scale = crop_of_box((50.0, 60.0, 150.0, 160.0))
    assert centre.tolist() == [100.0, 98.0] and scale == pytest.approx(200 / 195)
    maps = Heatmaps()(torch.zeros(1))[0].numpy()
    points, heights = points_from_heatmaps(maps, centre, scale)
    side = 200 * scale
    wanted = np.trunc(np.array([20.75, 40.75]) * side / 64 + centre - side / 2)
    assert np.array_equal(points[0], wanted) and (heights == 1).all()
    frame = np.full((300, 300, 3), 9, np.uint8)
    assert crop_face(frame, centre, scale)[128, 128].tolist() == [9, 9, 9]
    assert (crop_face(frame, np.array([0.0, 0.0]), 1.0)[:100] == 0).all()


def test_lmd_by_fan_is_a_row_of_its_own() -> None:
    metric = next(m for m in all_metrics() if m.name == "lmd" and m.evaluator == "fan")
    points = np.random.default_rng(0).normal(size=(68, 2))
    moved = points + 5.0
    moved[48] += (3.0, 0.0)
    face, source = (FaceReading(np.zeros((478, 3)), fan=p) for p in (moved, points))
    frame = FrameEvidence("a", picture(8), face=face, source_face=source)
    shift = 3 / 20
    assert metric.terms(frame) == pytest.approx(((3 - shift) / 20 + 19 * shift / 20,))
    assert metric.terms(FrameEvidence("a", picture(8))) is None


class Oracle:
    """Brightness of the lips' frames, loudness of the sound's columns."""

    def forward_lip(self, frames: torch.Tensor) -> torch.Tensor:
        return frames.mean((1, 3, 4)) / 255

    def forward_aud(self, columns: torch.Tensor) -> torch.Tensor:
        return (columns[:, 0, 0].reshape(len(columns), 5, 4)[..., 1] - 8) / 10


def test_syncnet_judges_a_driven_clip_by_what_its_frames_heard(tmp_path: Path) -> None:
    """Frames hear the sound from its 20th frame on: the shift is found at zero."""
    scene = np.random.default_rng(4).uniform(0.1, 0.9, 70)
    noise = np.random.default_rng(5).standard_normal(70 * 640)
    gain = np.exp((scene * 10 + 8 - np.log(400 * (1 + 0.97**2) / 2)) / 2)
    write_wav(tmp_path / "a.wav", (noise * np.repeat(gain, 640) / 32768).astype(np.float32))
    frames = [np.full((96, 96, 3), round(255 * v), np.uint8) for v in scene[20:60]]
    points = np.concatenate([landmarks(), np.zeros((478, 1))], axis=1)
    faces = np.tile(points, (40, 1, 1))
    faces[7] = np.nan
    clip = DrivenClip(lambda: iter(frames), faces, tmp_path / "a.wav", np.arange(20, 60))
    distances = SyncNetExpert(Oracle()).distances(clip)
    assert distances.shape == (40, 31) and np.isnan(distances[-5:]).all()
    terms = distances[:-5]
    assert int(terms.mean(axis=0).argmin()) == 15
    assert sync_confidence(terms) > 0.1 and sync_distance(terms) == terms.mean(axis=0).min()
    nothing = DrivenClip(lambda: iter(frames), faces * np.nan, tmp_path / "a.wav", np.arange(40))
    assert np.isnan(SyncNetExpert(Oracle()).distances(nothing)).all()


def test_sound_is_put_together_as_it_was_heard() -> None:
    samples = np.repeat(np.arange(4, dtype=np.float32), 640)
    heard = heard_samples(samples, np.array([2, 1, 5]))
    assert heard[[0, 640, 1280]].tolist() == [2, 1, 0] and len(heard) == 3 * 640
    assert face_boxes(np.full((2, 478, 3), np.nan)) is None


def test_quality_json_says_what_is_used_and_what_is_missing(folder: Path) -> None:
    config = {
        "regions": {"parser": "bisenet", "teeth": "easyportrait"},
        "weights": {"on_missing": "stand_in"},
    }
    put("bisenet", BiSeNet())
    chosen = weights.weights_param(config, "regions")
    entries = {e["task"]: e for e in stand_ins("logmel", chosen)}
    assert entries["regions"]["used"].startswith("bisenet (sha256 ")
    assert entries["regions"]["stands_for"] == "nothing: the paper's own"
    assert entries["teeth"]["used"] == "colour inside the lips (easyportrait: missing)"
    packaged = {e["task"]: e for e in stand_ins("logmel")}
    assert packaged["regions"]["stands_for"] == "BiSeNet"
    assert packaged["teeth"]["used"].startswith("the network mouth_parts")
    own = {e["task"]: e for e in stand_ins("deepspeech-0.1-50hz", generator="glef")}
    for task, used in (("speech features", "deepspeech"), ("emotional pictures", "glef")):
        assert own[task]["used"].startswith(used) and own[task]["stands_for"].startswith("nothing")
        assert not packaged[task]["stands_for"].startswith("nothing")
