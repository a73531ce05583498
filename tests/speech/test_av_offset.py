"""A/V offset: synthetic lips with known shifts, wrong sound, still lips, a real clip shifted."""

from __future__ import annotations

import numpy as np
import pytest

from emotalk_core.perception.ingest.lips import lip_signals
from emotalk_core.speech.av_offset import LEAD_SECONDS, estimate_offset, offset_scores
from tests.video_tools import real_clip


def talking(seconds: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """(lip signals [T,2], sound): an opening that moves at random, noise as loud as it is open."""
    rng = np.random.default_rng(seed)
    step = np.convolve(rng.normal(size=round(seconds * 100)), np.hanning(15), "same")
    opening = np.exp(step / step.std() * 0.7)
    fine = np.interp(np.arange(round(seconds * 16_000)) / 160, np.arange(step.size), opening)
    sound = rng.normal(size=fine.size) * fine * 0.05
    middle = np.arange(round(seconds * 25)) * 4 + 2
    noise = rng.normal(0, 0.3, (middle.size, 2))
    lips = np.stack([opening[middle], -opening[middle]], axis=1) + noise
    return lips, sound.astype(np.float32)


def shifted(sound: np.ndarray, seconds: float) -> np.ndarray:
    """The sound `seconds` later (negative: earlier)."""
    count = round(abs(seconds) * 16_000)
    return np.pad(sound, (count, 0)) if seconds > 0 else sound[count:]


@pytest.mark.parametrize("seconds", [-0.33, -0.11, -0.04, 0.0, 0.02, 0.08, 0.2, 0.4])
def test_known_shifts_come_back_within_the_grid(seconds: float) -> None:
    lips, sound = talking(12, 0)
    found = estimate_offset(lips, shifted(sound, seconds))
    # synthetic lips do not lead their sound as real ones do
    assert found.seconds + LEAD_SECONDS == pytest.approx(seconds, abs=0.0101)
    assert found.confidence > 0.3


def test_sound_of_another_clip_gives_no_confidence() -> None:
    lips, _ = talking(12, 1)
    for seed in (2, 3, 4):
        assert estimate_offset(lips, talking(12, seed)[1]).confidence < 0.15


def test_missing_frames_do_not_matter_much() -> None:
    lips, sound = talking(12, 5)
    lips[60:75] = np.nan
    lips[::17] = np.nan
    found = estimate_offset(lips, shifted(sound, 0.1))
    assert found.seconds + LEAD_SECONDS == pytest.approx(0.1, abs=0.0101)


def test_still_lips_silence_and_short_clips_are_no_evidence() -> None:
    lips, sound = talking(6, 6)
    assert estimate_offset(np.ones_like(lips), sound).confidence == 0
    assert estimate_offset(np.full_like(lips, np.nan), sound).confidence == 0
    assert estimate_offset(lips, np.zeros_like(sound)).confidence < 0.15
    assert estimate_offset(lips[:40], sound[:25_600]).confidence == 0
    short, short_sound = talking(4, 7)
    assert estimate_offset(short, short_sound).confidence < 0.5


def test_scores_cover_the_grid_symmetrically() -> None:
    shifts, scores = offset_scores(*talking(8, 8))
    assert len(shifts) == len(scores) == 121
    assert shifts[0] == -shifts[-1] == -0.6 and shifts[60] == 0
    assert scores.min() >= -1 and scores.max() <= 1


def test_lip_signals_are_distances() -> None:
    points = np.zeros((478, 3), np.float32)
    points[14] = (3, 4, 99)  # lower inner lip; the depth does not count
    points[291] = (10, 0, 0)
    points[17] = (0, 7, 0)
    points[152] = (0, 24, 0)
    assert lip_signals(points).tolist() == [5, 10, 7, 24]
    assert np.isnan(lip_signals(None)).all()


@pytest.mark.slow
def test_real_clip_with_known_shifts() -> None:
    from emotalk_core.media.source import SourceVideo
    from emotalk_core.perception.landmarks.packaged import FaceMeshLandmarks

    source = SourceVideo(real_clip("markey.mp4"))
    with FaceMeshLandmarks() as detector:
        lips = np.stack([lip_signals(detector.detect(f.rgb())) for f in source.frames()])
    sound = source.sound()
    straight = estimate_offset(lips, sound)
    assert abs(straight.seconds) <= 0.02 and straight.confidence > 0.15
    for seconds in (-0.2, -0.11, -0.04, 0.04, 0.11, 0.2):
        found = estimate_offset(lips, shifted(sound, seconds))
        assert found.seconds - straight.seconds == pytest.approx(seconds, abs=0.0101)
        assert found.confidence > 0.15
