"""Landmarks of every frame of a clip, with what is missing or doubtful filled in and marked."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, UInt8

from emotalk_core.errors import InputError
from emotalk_core.media.progress import track
from emotalk_core.perception.landmarks import LandmarkDetector
from emotalk_core.perception.landmarks import topology as tp

logger = logging.getLogger(__name__)

# A head cannot move by half an eye distance within 40 ms while the face keeps its size, and cannot
# change its size by a quarter: such a frame shows another face or a false find.
MAX_JUMP = 0.5
MAX_SIZE_CHANGE = 1.25
NAMED_FRAMES = 8  # how many frame numbers an error message lists


@dataclass(frozen=True)
class ClipLandmarks:
    """Landmarks of a clip.

    Attributes:
        points: [T,478,3] px (z: relative depth in px); interpolated where `valid` is False.
        valid: [T]; reasons: [T] "" where valid.
    """

    points: Float[np.ndarray, "T 478 3"]
    valid: Bool[np.ndarray, " T"]
    reasons: tuple[str, ...]


def detect_clip(
    frames: Iterable[UInt8[np.ndarray, "H W 3"]], n_frames: int, detector: LandmarkDetector
) -> ClipLandmarks:
    """Run an open detector over a stream of RGB frames; nothing of the frames is kept.

    Raises:
        InputError: no frame shows a face.
    """
    points = np.full((n_frames, tp.N_LANDMARKS, 3), np.nan)
    for index, frame in enumerate(track(frames, "landmarks", n_frames, logger)):
        found = detector.detect(frame)
        if found is not None:
            points[index] = found
    return fill_gaps(points)


def fill_gaps(points: Float[np.ndarray, "T 478 3"]) -> ClipLandmarks:
    """Mark frames without a face (NaN) and with a jump, and interpolate both in time.

    Raises:
        InputError: no frame is usable.
    """
    reasons = ["" if ok else "no face found" for ok in np.isfinite(points).all(axis=(1, 2))]
    for index in _jumps(points):
        reasons[index] = "face jumps against both neighbours"
    valid = np.array([not reason for reason in reasons])
    if not valid.any():
        raise InputError(
            "video: no frame shows a face; give a clip in which one face fills a good part of the "
            "picture, or check the head crop in the ingest settings"
        )
    known = np.flatnonzero(valid)
    flat = points.reshape(len(points), -1)
    filled = np.stack(
        [np.interp(np.arange(len(points)), known, column) for column in flat[known].T], axis=1
    )
    return ClipLandmarks(filled.reshape(points.shape), valid, tuple(reasons))


def _jumps(points: Float[np.ndarray, "T 478 3"]) -> list[int]:
    """Frames that lie far from both neighbours although those agree with each other."""
    right, left = tp.OUTER_EYE_CORNERS
    eye = np.linalg.norm(points[:, right, :2] - points[:, left, :2], axis=1)
    centre = points[:, :, :2].mean(axis=1)

    def differs(a: int, b: int) -> bool:
        moved = np.linalg.norm(centre[a] - centre[b]) > MAX_JUMP * min(eye[a], eye[b])
        return bool(moved or max(eye[a], eye[b]) > MAX_SIZE_CHANGE * min(eye[a], eye[b]))

    known = np.flatnonzero(np.isfinite(eye)).tolist()
    return [
        here
        for before, here, after in zip(known, known[1:], known[2:])
        if differs(here, before) and differs(here, after) and not differs(before, after)
    ]


def refuse_bad_clip(clip: ClipLandmarks, max_invalid_share: float) -> None:
    """Raise InputError naming frames when too many are unusable."""
    bad = np.flatnonzero(~clip.valid)
    share = len(bad) / len(clip.valid)
    if share > max_invalid_share:
        named = ", ".join(f"{i} ({clip.reasons[i]})" for i in bad[:NAMED_FRAMES])
        more = f" and {len(bad) - NAMED_FRAMES} more" if len(bad) > NAMED_FRAMES else ""
        raise InputError(
            f"video: {len(bad)} of {len(clip.valid)} frames ({share:.0%}) have no usable face, "
            f"allowed are {max_invalid_share:.0%} (tracking.max_invalid_share): "
            f"frames {named}{more}; "
            "cut the clip to the part where one face is seen, or raise the limit"
        )
