"""A clip's strided frames in, the picture without the person out, as far as it was ever seen."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from jaxtyping import Bool, UInt8

from emotalk_core.perception.regions.filters import push_pull

# Per pixel the frames that show least of the person are taken: fewer leave noise in, more reach
# frames in which hair lies there.
LEAST_PERSON = 6
MIN_SEEN = 2  # frames that must have shown the background
MAX_PERSON = 0.35  # probability of person above which a frame does not count as background
GROW = 1.5  # in face units: blur and dilation of the person's mask before that test
ROWS = 64  # rows sorted at once: bounds the memory


@dataclass(frozen=True)
class Plate:
    """A clean plate.

    Attributes:
        picture: RGB; filled smoothly where nothing was seen.
        seen: where the background was really seen.
    """

    picture: UInt8[np.ndarray, "H W 3"]
    seen: Bool[np.ndarray, "H W"]


def clean_plate(
    frames: UInt8[np.ndarray, "S H W 3"], person: UInt8[np.ndarray, "S H W"], unit: float
) -> Plate:
    """Median over the least-person frames of every pixel.

    Args:
        frames: RGB, spread over the clip.
        person: probability of person, 0..255.
        unit: face height / 256, px.
    """
    radius = max(round(GROW * unit), 1)
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * radius + 1, 2 * radius + 1))
    wide = np.stack([cv2.dilate(cv2.GaussianBlur(p, (0, 0), GROW * unit), disc) for p in person])
    count = min(LEAST_PERSON, len(frames))
    height, width = person.shape[1:]
    picture = np.zeros((height, width, 3), dtype=np.float32)
    seen = np.zeros((height, width), dtype=bool)
    for top in range(0, height, ROWS):
        rows = slice(top, min(top + ROWS, height))
        order = np.argsort(wide[:, rows], axis=0, kind="stable")[:count]
        usable = np.take_along_axis(wide[:, rows], order, axis=0) < MAX_PERSON * 255
        chosen = np.take_along_axis(frames[:, rows], order[..., None], axis=0).astype(np.float32)
        chosen[~usable] = np.nan
        number = usable.sum(axis=0)
        seen[rows] = number >= min(MIN_SEEN, count)
        chosen[:, number == 0] = 0
        picture[rows] = np.nanmedian(chosen, axis=0)
    filled = push_pull(picture, seen.astype(np.float32))
    return Plate(np.round(np.clip(filled, 0, 255)).astype(np.uint8), seen)
