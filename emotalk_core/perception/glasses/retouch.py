"""A frame and where glasses lie in; the face without them, and any edit of it with them, out."""

from __future__ import annotations

import cv2
import numpy as np
from jaxtyping import Float, Float32, UInt8

from emotalk_core.perception.landmarks import topology as tp

FRAME_CHANCE = 0.35  # from here on a pixel belongs to the glasses: what is missed would bend
MARGIN = 0.012  # outer eye distances around it: edges of a rim are mixed with skin
SOFT = 0.008  # outer eye distances of the seam between glasses and face
INPAINT_REACH = 3.0  # px


def _eye_distance(landmarks: Float[np.ndarray, "478 2"]) -> float:
    right, left = tp.OUTER_EYE_CORNERS
    return float(np.linalg.norm(landmarks[right] - landmarks[left]))


def rim_mask(
    cover: Float32[np.ndarray, "H W"], landmarks: Float[np.ndarray, "478 2"]
) -> UInt8[np.ndarray, "H W"]:
    """Pixels (1) that glasses touch.

    Args:
        cover: chance that a pixel shows their frame (`reader.GlassesReader`).
        landmarks: px.
    """
    mask = (cover > FRAME_CHANCE).astype(np.uint8)
    grown = 2 * max(round(MARGIN * _eye_distance(landmarks)), 1) + 1
    return cv2.dilate(mask, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (grown, grown)))


def without_glasses(
    frame: UInt8[np.ndarray, "H W 3"], rims: UInt8[np.ndarray, "H W"]
) -> UInt8[np.ndarray, "H W 3"]:
    """The frame with skin painted where the rims are (from their edges inwards)."""
    return cv2.inpaint(frame, rims, INPAINT_REACH, cv2.INPAINT_TELEA)


def with_glasses(
    edited: UInt8[np.ndarray, "H W 3"],
    frame: UInt8[np.ndarray, "H W 3"],
    rims: UInt8[np.ndarray, "H W"],
    landmarks: Float[np.ndarray, "478 2"],
) -> UInt8[np.ndarray, "H W 3"]:
    """The edit with the rims of the filmed frame in front of it.

    Args:
        edited: of the frame without glasses.
        frame: as filmed.
        rims: of `rim_mask`.
        landmarks: px.
    """
    sigma = max(SOFT * _eye_distance(landmarks), 0.5)
    share = cv2.GaussianBlur(rims.astype(np.float32), (0, 0), sigma)[..., None]
    mixed = edited + share * (frame.astype(np.float32) - edited)
    return np.clip(np.rint(mixed), 0, 255).astype(np.uint8)
