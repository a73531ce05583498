"""Frames of a clip in; whether glasses are worn and which pixels their frame covers out."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float, Float32, UInt8

from emotalk_core.media.video import VideoReader, read_video
from emotalk_core.perception.glasses.retouch import rim_mask, without_glasses
from emotalk_core.perception.landmarks import topology as tp
from emotalk_core.perception.parsing.packaged import PartReader
from emotalk_core.perception.parsing.tasks import GLASSES
from emotalk_core.perception.tracking.shape import spread_frames

logger = logging.getLogger(__name__)

LIKELY = 0.5  # chance from which a pixel of the clip's mean crop counts
# px of the mean crop that a frame covers at least. Eight actors with glasses had 309 to 643, six
# without and both real clips none.
LEAST_AREA = 150
CLIP_FRAMES = 24  # that are looked at, spread over the clip


class GlassesReader:
    """The glasses of one person; made from a few frames, then asked frame by frame.

    Args:
        faces: RGB frames [H,W,3] spread over the clip with their landmarks [478,2], px.
        path: weights; None: the packaged ones.

    Attributes:
        area: px of the mean crop that are frame rather than face.
    """

    def __init__(
        self,
        faces: Iterable[tuple[UInt8[np.ndarray, "H W 3"], Float[np.ndarray, "478 2"]]],
        path: Path | None = None,
    ) -> None:
        self._reader = PartReader(GLASSES, path)
        crops = [
            self._reader.read_crop(frame, points)
            for frame, points in faces
            if np.ptp(points[list(tp.rigid_points())], axis=0).min() > 0  # points of a face
        ]
        self._usual = np.mean(crops, axis=0) if crops else None
        self.area = 0 if self._usual is None else int((self._usual[..., 1] > LIKELY).sum())

    @property
    def worn(self) -> bool:
        """Whether the person wears glasses."""
        return self.area >= LEAST_AREA

    def cover(
        self, frame: UInt8[np.ndarray, "H W 3"], landmarks: Float[np.ndarray, "478 2"]
    ) -> Float32[np.ndarray, "H W"] | None:
        """Chance that a pixel shows the frame of the glasses; None where none are worn.

        Args:
            frame: RGB.
            landmarks: px of the frame.
        """
        if not self.worn:
            return None
        found = self._reader.read(frame, landmarks, self._usual)
        return found.full((frame.shape[0], frame.shape[1]))[..., 1]

    def taken_off(
        self, frame: UInt8[np.ndarray, "H W 3"], landmarks: Float[np.ndarray, "478 2"]
    ) -> UInt8[np.ndarray, "H W 3"]:
        """The frame with skin painted where the glasses are; itself where none are worn."""
        cover = self.cover(frame, landmarks)
        return frame if cover is None else without_glasses(frame, rim_mask(cover, landmarks))


def clip_glasses(
    video: Path, landmarks: Float[np.ndarray, "T 478 C"], valid: Bool[np.ndarray, " T"]
) -> GlassesReader:
    """The glasses of a clip's person.

    Args:
        video: the clip; it may be longer than the landmarks.
        landmarks: px; columns beyond x, y are not looked at.
        valid: frames with a face.
    """
    chosen = spread_frames(valid, CLIP_FRAMES)
    points = landmarks[chosen, :, :2].astype(np.float64)
    pictures = read_video(video, chosen.tolist())
    reader = GlassesReader(zip(pictures, points))
    logger.info(
        "glasses: %s (%d px of the mean picture are their frame)",
        "worn" if reader.worn else "none",
        reader.area,
    )
    return reader


def without_glasses_clip(
    video: Path, landmarks: Float[np.ndarray, "T 478 C"], reader: GlassesReader
) -> Iterator[UInt8[np.ndarray, "H W 3"]]:
    """The clip's frames with skin painted where the glasses are.

    Args:
        video: read frame by frame.
        landmarks: px of every frame.
        reader: of this clip.
    """
    with VideoReader(video) as frames:
        for frame, points in zip(frames, landmarks[:, :, :2].astype(np.float64)):
            yield reader.taken_off(frame, points)
