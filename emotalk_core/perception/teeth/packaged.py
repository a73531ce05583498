"""A frame and its mouth masks in, the teeth inside the open mouth out, by colour alone."""

from __future__ import annotations

import cv2
import numpy as np
from jaxtyping import Bool, UInt8

TEETH_ID = "teeth-colour-1"
STANDING_FOR = "EasyPortrait face parsing (teeth)"
# Teeth are nearly as bright as the skin (lips shade them) and much less red than lips and skin.
# Found on four real clips; stricter redness misses teeth in compressed video (colour bleeds).
LIGHTNESS_SHARE = 0.55
RED_SHARE_OF_LIPS, RED_SHARE_OF_SKIN = 0.85, 1.05
MIN_PIXELS = 4  # inside the mouth; fewer cannot be judged
LAB_ZERO = 128.0  # OpenCV's 8-bit a* of grey


def find_teeth(
    frame: UInt8[np.ndarray, "H W 3"],
    inside: Bool[np.ndarray, "H W"],
    lips: Bool[np.ndarray, "H W"],
    skin: Bool[np.ndarray, "H W"],
) -> Bool[np.ndarray, "H W"]:
    """Pixels inside the mouth that look like teeth.

    Args:
        frame: RGB.
        inside: between the inner lips.
        lips: of the same person, for their redness.
        skin: of the same person, for brightness and redness.
    """
    teeth = np.zeros(inside.shape, dtype=bool)
    if inside.sum() < MIN_PIXELS or not lips.any() or not skin.any():
        return teeth
    rows, columns = np.nonzero(inside | lips | skin)
    box = (slice(rows.min(), rows.max() + 1), slice(columns.min(), columns.max() + 1))
    lab = cv2.cvtColor(np.ascontiguousarray(frame[box]), cv2.COLOR_RGB2LAB).astype(np.float32)
    light, red = lab[..., 0], lab[..., 1] - LAB_ZERO
    bright = light > LIGHTNESS_SHARE * np.median(light[skin[box]])
    pale = red < min(
        RED_SHARE_OF_LIPS * np.median(red[lips[box]]), RED_SHARE_OF_SKIN * np.median(red[skin[box]])
    )
    teeth[box] = inside[box] & bright & pale
    return teeth
