"""A clip's frames, masks and background at the small size at which poses are refined."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from jaxtyping import Float, Float32, UInt8

from emotalk_core.media.video import VideoReader
from emotalk_core.perception.landmarks import topology as tp

STILL_SHARE = 0.25  # weight of the lower face, whose outline moves with the jaw
MOVING_GROWTH = 0.02  # of the picture's height around lips and lids


@dataclass(frozen=True)
class SmallClip:
    """Everything of a clip that pose refinement looks at, small enough to be kept in memory.

    Attributes:
        video, torso: RGB.
        alpha: soft head mask, 0..255.
        weight: importance of each pixel, 0..255.
        scale: small px per px.
    """

    video: UInt8[np.ndarray, "T h w 3"]
    torso: UInt8[np.ndarray, "T h w 3"]
    alpha: UInt8[np.ndarray, "T h w"]
    weight: UInt8[np.ndarray, "T h w"]
    scale: float

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width, px."""
        height, width = self.alpha.shape[1:]
        return height, width


def read_small_clip(
    video: Path,
    torso: Path,
    alpha: Path,
    landmarks: Float[np.ndarray, "T 478 2"],
    height: int,
    side: int,
) -> SmallClip:
    """Read and reduce a clip so that its frames are at most `side` px high."""
    scale = min(1.0, side / height)
    with VideoReader(video) as a, VideoReader(torso) as b, VideoReader(alpha) as c:
        pictures, behind, masks = (
            np.stack([_reduced(frame, scale) for frame in reader]) for reader in (a, b, c)
        )
    weight = np.stack([still_weight(points * scale, pictures.shape[1:3]) for points in landmarks])
    return SmallClip(pictures, behind, masks, weight, scale)


def _reduced(frame: UInt8[np.ndarray, "..."], scale: float) -> UInt8[np.ndarray, "..."]:
    if scale == 1.0:
        return frame
    return cv2.resize(frame, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)


def still_weight(
    points: Float[np.ndarray, "478 2"], shape: tuple[int, int]
) -> UInt8[np.ndarray, "h w"]:
    """255 where the head is rigid, less below the nose, 0 around lips and lids."""
    weight = np.full(shape, 255, dtype=np.uint8)
    canonical = tp.canonical_face()
    low = np.flatnonzero(canonical[: tp.N_SURFACE, 1] > canonical[tp.NOSE_BASE, 1])
    _fill(weight, points[low], round(STILL_SHARE * 255), shape)
    for ring in (tp.OUTER_LIPS, tp.RIGHT_EYE, tp.LEFT_EYE):
        _fill(weight, points[list(ring)], 0, shape)
    return weight


def _fill(
    weight: UInt8[np.ndarray, "h w"],
    points: Float[np.ndarray, "N 2"],
    value: int,
    shape: tuple[int, int],
) -> None:
    hull = cv2.convexHull(np.rint(points).astype(np.int32))
    cv2.fillConvexPoly(weight, hull, (value,))
    cv2.polylines(weight, [hull], True, (value,), 2 * max(1, round(MOVING_GROWTH * shape[0])))


def as_float(frame: UInt8[np.ndarray, "..."]) -> Float32[np.ndarray, "..."]:
    """Grey levels to 0..1."""
    return frame.astype(np.float32) / np.float32(255.0)
