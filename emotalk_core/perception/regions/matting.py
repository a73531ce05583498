"""One frame, its person probability and the clean plate in; the soft alpha of the person out."""

from __future__ import annotations

import cv2
import numpy as np
from jaxtyping import Float32, UInt8

from emotalk_core.perception.regions.filters import dilate, erode, guided
from emotalk_core.perception.regions.plate import Plate

# All radii are in face units (face height / 256 px). Values found on four real clips by the
# compositing ceiling together with its leak pair (head left behind, background inside the head).
SURE_PERSON, SURE_PERSON_ERODE = 0.85, 3.0
MAYBE_PERSON, MAYBE_PERSON_DILATE = 0.12, 4.0
FOREGROUND_BOX = 12.0
NOISE_POWER = 60.0  # grey levels squared: keeps the quotient calm where both colours are alike
CONTRAST_POWER = 900.0  # 30 grey levels between person and plate: half trust in the known plate
# Grey levels from the plate at which a pixel begins to count as person outright, mixed or not. This
# makes rims more opaque than a true matte: +1.8 dB in the rim of the soft composite on two real
# clips (the best possible colours gain nothing), with the same leaks.
DIFFERENT = 36.0
GUIDED_RADIUS, GUIDED_EPS = 7.0, 8.0
FINE_RADIUS, FINE_EPS = 2.0, 6.0
STRETCH = (0.06, 0.94)  # what the last smoothing takes from both ends is given back


def person_alpha(
    frame: UInt8[np.ndarray, "H W 3"],
    person: UInt8[np.ndarray, "H W"],
    plate: Plate,
    unit: float,
) -> Float32[np.ndarray, "H W"]:
    """Alpha 0..1 of the person: known-plate matting in the uncertain rim, else guided filter.

    Args:
        frame: RGB.
        person: probability of person, 0..255.
        plate: the clip's background.
        unit: face height / 256, px.
    """
    probability = person.astype(np.float32) / 255
    sure = erode(probability > SURE_PERSON, SURE_PERSON_ERODE * unit)
    maybe = dilate(probability > MAYBE_PERSON, MAYBE_PERSON_DILATE * unit)
    image, back = frame.astype(np.float32), plate.picture.astype(np.float32)
    front = _mean_inside(image, sure, FOREGROUND_BOX * unit)
    contrast = front - back
    power = _dot(contrast, contrast)
    offset = image - back
    known = np.clip(_dot(contrast, offset) / (power + NOISE_POWER), 0, 1)
    distance = np.sqrt(_dot(offset, offset))
    known = np.maximum(known, np.clip(distance / DIFFERENT - 1, 0, 1))
    trust = power / (power + CONTRAST_POWER) * plate.seen
    smooth = guided(frame, probability, GUIDED_RADIUS * unit, GUIDED_EPS)
    alpha = trust * known + (1 - trust) * np.clip(smooth, 0, 1)
    alpha = np.where(sure, 1.0, np.where(maybe, alpha, 0.0)).astype(np.float32)
    alpha = guided(frame, alpha, FINE_RADIUS * unit, FINE_EPS)
    low, high = STRETCH
    return np.clip((alpha - low) / (high - low), 0, 1)


def _dot(
    a: Float32[np.ndarray, "H W 3"], b: Float32[np.ndarray, "H W 3"]
) -> Float32[np.ndarray, "H W"]:
    """Product of colours, several times faster than a sum over the last axis."""
    return np.einsum("hwc,hwc->hw", a, b)


def _mean_inside(
    image: Float32[np.ndarray, "H W 3"], mask: np.ndarray, radius: float
) -> Float32[np.ndarray, "H W 3"]:
    """Box mean of the masked pixels around every pixel; far from the mask their overall mean."""
    size = (2 * max(round(radius), 1) + 1,) * 2
    inside = mask.astype(np.uint8)
    weight = inside.astype(np.float32)
    overall = np.array(cv2.mean(image, inside if mask.any() else None)[:3], np.float32)
    total = cv2.boxFilter((image - overall) * weight[..., None], -1, size)
    share = cv2.boxFilter(weight, -1, size)[..., None]
    return np.where(share > 1e-3, total / np.maximum(share, 1e-3), 0) + overall
