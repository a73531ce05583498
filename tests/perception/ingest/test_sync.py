"""What becomes of an offset: applied, left, written down, or the clip refused with the reason."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from emotalk_core.actor.speech_corpus import spoken_clip
from emotalk_core.errors import InputError
from emotalk_core.perception.ingest.lips import sync_points
from emotalk_core.perception.ingest.settings import IngestSettings
from emotalk_core.perception.ingest.sync import applied_seconds, check_lips_move, measured_offset
from emotalk_core.speech.av_offset import OffsetEstimate
from emotalk_core.speech.sync.lip_shapes import pack

CLIP = Path("clip.mp4")


@pytest.mark.parametrize(
    ("seconds", "confidence", "length", "applied"),
    [
        (0.08, 0.2, 300, 0.08),
        (-0.11, 0.12, 300, -0.11),
        (0.01, 0.3, 300, 0.0),  # within the estimate's error
        (0.08, 0.08, 300, 0.0),  # unsure
        (0.08, 0.3, 110, 0.0),  # under five seconds
        (0.3, 0.03, 200, 0.0),  # foreign, but too short to be sure of that
    ],
)
def test_offsets_are_applied_when_sure_and_large(
    seconds: float, confidence: float, length: int, applied: float
) -> None:
    offset = OffsetEstimate(seconds, confidence)
    assert applied_seconds(CLIP, offset, length, IngestSettings()) == applied
    never = IngestSettings(correct_offset=False)
    assert applied_seconds(CLIP, offset, length, never) == 0.0


def test_clips_that_cannot_be_brought_together_are_refused() -> None:
    with pytest.raises(InputError, match="no shift brings lips and sound together"):
        applied_seconds(CLIP, OffsetEstimate(0.2, 0.03), 300, IngestSettings())
    allowed = IngestSettings(refuse_foreign_sound=False)
    assert applied_seconds(CLIP, OffsetEstimate(0.2, 0.03), 300, allowed) == 0.0
    with pytest.raises(InputError, match=r"\+500 ms.*max_offset_seconds"):
        applied_seconds(CLIP, OffsetEstimate(0.5, 0.2), 300, IngestSettings())


def test_the_expert_finds_shifts_of_a_synthetic_speaker() -> None:
    clip = spoken_clip(5002, 8.0)
    points = pack(clip.landmarks)
    points[40:44] = np.nan
    for seconds in (-0.12, 0.0, 0.07):
        count = round(abs(seconds) * 16_000)
        late = np.pad(clip.samples, (count, 0)) if seconds > 0 else clip.samples[count:]
        found = measured_offset(points, late)
        assert found.seconds == pytest.approx(seconds, abs=0.021)
        assert found.confidence > 0.2
    assert measured_offset(np.full_like(points, np.nan), clip.samples).confidence == 0.0


def test_sounds_of_other_people_fit_far_worse_than_the_own() -> None:
    clips = [spoken_clip(seed, 16.0) for seed in (5002, 5003, 5004)]
    for own, lips in enumerate(clips):
        points = pack(lips.landmarks)
        sure = [measured_offset(points, sound.samples).confidence for sound in clips]
        assert sure.pop(own) > 0.4
        assert max(sure) < 0.1


def test_points_of_a_frame() -> None:
    landmarks = np.arange(478 * 3, dtype=np.float32).reshape(478, 3)
    assert sync_points(landmarks)[0].tolist() == [33 * 3, 33 * 3 + 1]
    assert np.isnan(sync_points(None)).all()


def test_lips_that_stand_still_are_refused() -> None:
    points = pack(spoken_clip(5002, 8.0).landmarks)
    points[40:44] = np.nan
    check_lips_move(CLIP, points, 0.006)
    noise = np.random.default_rng(0).normal(0.0, 0.1, points.shape)  # px, of a detector
    photo = (np.repeat(points[:1], len(points), axis=0) + noise).astype(np.float32)
    with pytest.raises(InputError, match=r"clip\.mp4: the lips stand still \(motion 0\.00"):
        check_lips_move(CLIP, photo, 0.006)
