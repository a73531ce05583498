"""Lips and sound of a clip in; the shift that the sound gets, or why the clip is refused, out."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
from jaxtyping import Float32

from emotalk_core.errors import InputError
from emotalk_core.perception.ingest.settings import IngestSettings
from emotalk_core.speech.av_offset import OffsetEstimate
from emotalk_core.speech.sync.lip_shapes import GAIN, LipFrame
from emotalk_core.speech.sync.offset import expert_offset
from emotalk_core.types.manifest import FPS

LOG = logging.getLogger(__name__)

FEWEST_SECONDS = 5.0  # shorter clips have chance valleys: their offset is written down only
SURE_SECONDS = 10.0  # from this length on, lips that fit no shift belong to another sound
FOREIGN = 0.06  # confidence below which no shift fits (other people's: up to .06 in 30 s)


def check_lips_move(source: Path, points: Float32[np.ndarray, "T 54 2"], least: float) -> None:
    """Refuse a photo that was made a film, and a person who says nothing.

    Motion is the root mean square over lip points and frames, in outer eye distances; five people
    who speak have .027 to .035, a photo as a film has .0014.

    Args:
        source: the clip, for the message.
        points: what a sync expert reads in each frame, px; nan without a face.
        least: motion that is wanted.

    Raises:
        InputError: the lips stand still.
    """
    known = np.isfinite(points).all(axis=(1, 2))
    if not known.any():
        return  # said elsewhere: every frame lacks its face
    shapes = LipFrame.fit(points, known).shapes(points[known]) / GAIN
    motion = float(np.sqrt(shapes.reshape(len(shapes), -1).var(axis=0).mean()))
    if motion < least:
        raise InputError(
            f"{source}: the lips stand still (motion {motion:.4f} outer eye distances, wanted at "
            f"least {least:g}); give a film of a person who speaks, not a photo (or lower "
            "ingest.min_lip_motion)"
        )


def measured_offset(
    points: Float32[np.ndarray, "T 54 2"], sound: Float32[np.ndarray, " N"]
) -> OffsetEstimate:
    """How late the sound is, by the packaged sync expert."""
    known = np.isfinite(points).all(axis=(1, 2))
    if not known.any():
        return OffsetEstimate(0.0, 0.0)
    shapes = LipFrame.fit(points, known).shapes(points)
    return expert_offset(shapes, sound, known)


def applied_seconds(
    source: Path, offset: OffsetEstimate, n_frames: int, settings: IngestSettings
) -> float:
    """The shift that the sound gets, s; 0 when there is no need or the estimate is not sure.

    Raises:
        InputError: lips and sound do not belong together, or are too far apart.
    """
    found = (
        f"sound against lips: {1000 * offset.seconds:+.0f} ms, confidence {offset.confidence:.2f}"
    )
    seconds = n_frames / FPS
    if seconds < FEWEST_SECONDS or not settings.correct_offset:
        LOG.info("%s; not applied (%.1f s of video)", found, seconds)
        return 0.0
    if offset.confidence < settings.min_offset_confidence:
        if (
            settings.refuse_foreign_sound
            and seconds >= SURE_SECONDS
            and offset.confidence < FOREIGN
        ):
            raise InputError(
                f"{source}: no shift brings lips and sound together ({found}): wanted the "
                "speaker's own voice; give another clip, or set ingest.refuse_foreign_sound to "
                "false if the lips hardly show"
            )
        LOG.warning("%s: too unsure to be applied; check that the clip is in sync", found)
        return 0.0
    if abs(offset.seconds) > settings.max_offset_seconds:
        raise InputError(
            f"{source}: {found}: wanted at most {settings.max_offset_seconds:g} s; shift the "
            "sound, or raise ingest.max_offset_seconds"
        )
    LOG.info("%s", found)
    return offset.seconds if abs(offset.seconds) >= settings.min_offset_seconds else 0.0
