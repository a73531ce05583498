"""Who measured: labels carry the sha256 of the weights, and pictures are read once."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest

from emotalk_core.actor.speech_corpus import spoken_clip
from emotalk_core.errors import WeightsError
from emotalk_core.evaluation.driven import DrivenClip
from emotalk_core.evaluation.evaluators import (
    PACKAGED,
    Evaluator,
    digest_of,
    known_evaluators,
    short_label,
)
from emotalk_core.evaluation.metrics.registry import all_metrics
from emotalk_core.evaluation.metrics.sync import near_confidence
from emotalk_core.evaluation.readers import pixel_readers
from emotalk_core.evaluation.sync_judge import SyncJudge
from emotalk_core.media.audio import write_wav
from emotalk_core.perception.identity.packaged import weights_path
from emotalk_core.speech.sync.lip_shapes import LIP_POINTS
from emotalk_core.types.lip_points import STILL_POINTS

from .conftest import SIDE, PixelLandmarks, readers


def test_a_label_is_the_id_and_the_sha256_of_the_weight_file(tmp_path: Path) -> None:
    first, second = tmp_path / "a.bin", tmp_path / "b.bin"
    first.write_bytes(b"weights"), second.write_bytes(b"more")
    digest = hashlib.sha256(b"weights").hexdigest()
    assert Evaluator("net-1", "SyncNet", lambda: [first]).label == f"net-1@{digest}"
    assert Evaluator("formula-1").label == "formula-1"
    assert short_label(f"net-1@{digest}") == f"net-1@{digest[:12]}"
    both = digest + hashlib.sha256(b"more").hexdigest()
    assert digest_of((first, second)) == hashlib.sha256(both.encode()).hexdigest()


def test_every_packaged_network_says_its_weights_and_what_it_stands_for() -> None:
    for kind, evaluator in PACKAGED.items():
        if kind == "identity" and not _has_identity():
            continue
        formula = kind in ("image", "perceptual")
        assert ("@" in evaluator.label) != formula, kind
        assert evaluator.reference == (kind == "image")
        named = [(short_label(evaluator.label), evaluator.standing_for)]
        assert known_evaluators([evaluator.label]) == named
    reference = {"fan", "lpips", "syncnet"}
    assert {m.evaluator for m in all_metrics()} == set(PACKAGED) | reference


def _has_identity() -> bool:
    try:
        weights_path()
    except WeightsError:
        return False
    return True


def test_a_picture_is_read_once(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []
    detect = PixelLandmarks.detect
    monkeypatch.setattr(
        PixelLandmarks, "detect", lambda self, frame: calls.append(1) or detect(self, frame)
    )
    people = readers()
    frame = np.full((SIDE, SIDE, 3), 4, np.uint8)
    assert people.read(frame) is people.read(frame.copy())
    assert people.read(frame, with_identity=True).identity is not None
    assert len(calls) == 2  # once without and once with the identity
    assert pixel_readers(people).read(frame) is None
    assert set(pixel_readers(people).evaluators) == {"image", "perceptual"}


def test_the_packaged_judge_tells_synthetic_lips_from_frozen_and_foreign_ones(
    tmp_path: Path,
) -> None:
    clip, other = spoken_clip(6001, 6.0), spoken_clip(6002, 6.0)
    for name, samples in (("own", clip.samples), ("other", other.samples)):
        write_wav(tmp_path / f"{name}.wav", samples)
    judge = SyncJudge(clip.landmarks[:100], np.ones(100, dtype=bool))

    def confidence(landmarks: np.ndarray, sound: str, first: int = 0) -> float:
        frames = np.arange(len(landmarks)) + first
        driven = DrivenClip(tuple, landmarks, tmp_path / f"{sound}.wav", frames)
        distances = judge.distances(driven)
        return near_confidence(distances[np.isfinite(distances).all(axis=1)])

    assert confidence(clip.landmarks, "own") > 0.2
    assert confidence(clip.landmarks[50:90], "own", first=50) > 0.2
    assert confidence(clip.landmarks, "other") < 0.1
    assert confidence(np.repeat(clip.landmarks[70:71], 150, axis=0), "own") == 0
    dead, lips = np.repeat(clip.landmarks[70:71], 150, axis=0), list(LIP_POINTS)
    motion = clip.landmarks[:, lips] - clip.landmarks[:, STILL_POINTS].mean(axis=1)[:, None]
    dead[:, lips] += 0.1 * (motion - motion[70])
    assert confidence(dead, "own") < 0.05
    wide = np.abs(clip.landmarks[:, 33] - clip.landmarks[:, 263]).max()
    smile = clip.landmarks.copy()
    smile[:, lips] += 0.06 * wide * np.tile([[1.0, -1.0], [-1.0, 0.5]], (20, 1))
    assert confidence(smile, "own") == pytest.approx(confidence(clip.landmarks, "own"), rel=0.02)
    lost = clip.landmarks.copy()
    lost[10] = np.nan
    driven = DrivenClip(tuple, lost, tmp_path / "own.wav", np.arange(150))
    assert np.flatnonzero(np.isnan(judge.distances(driven)).any(axis=1)).tolist() == [10]
