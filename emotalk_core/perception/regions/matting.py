"""One frame, its person probability and the clean plate in; the soft alpha of the person out."""

from __future__ import annotations

import cv2
import numpy as np
from jaxtyping import Bool, Float32, Int, UInt8

from emotalk_core.perception.regions.filters import cell_size, dilate, erode, guided, in_cells
from emotalk_core.perception.regions.plate import Plate

# All radii are in face units (face height / 256 px). Values found on four real clips by the
# compositing ceiling together with its leak pair (head left behind, background inside the head).
SURE_PERSON, SURE_PERSON_ERODE = 0.85, 3.0
MAYBE_PERSON, MAYBE_PERSON_DILATE = 0.12, 4.0
FOREGROUND_BOX = 12.0
FOREGROUND_CELLS = 3.0  # at least so many cells in its radius: cells are averaged, not pixels
NOISE_POWER = 60.0  # grey levels squared: keeps the quotient calm where both colours are alike
CONTRAST_POWER = 900.0  # 30 grey levels between person and plate: half trust in the known plate
# Grey levels from the plate at which a pixel begins to count as person outright, mixed or not. This
# makes rims more opaque than a true matte: +1.8 dB in the rim of the soft composite on two real
# clips (the best possible colours gain nothing), with the same leaks.
DIFFERENT = 36.0
# Grey guides, the wide one on cells of 2 px: in a fifth of the time within 0.1 dB of colour guides
# on all pixels (there with twice the wide radius)
GUIDED_RADIUS, GUIDED_EPS, GUIDED_STEP = 3.5, 8.0, 2
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
    rim = np.flatnonzero(maybe & ~sure)
    grey = cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY)
    smooth = guided(grey, probability, GUIDED_RADIUS * unit, GUIDED_EPS, GUIDED_STEP)
    front = _mean_inside(frame, sure, FOREGROUND_BOX * unit)
    known, trust = _known_plate(*(_pixels(p, rim) for p in (frame, plate.picture, front)))
    trust *= plate.seen.ravel()[rim]
    alpha = sure.astype(np.float32)
    alpha.ravel()[rim] = trust * known + (1 - trust) * np.clip(smooth.ravel()[rim], 0, 1)
    alpha = guided(grey, alpha, FINE_RADIUS * unit, FINE_EPS)
    low, high = STRETCH
    return np.clip((alpha - low) / (high - low), 0, 1)


def _pixels(
    picture: Float32[np.ndarray, "H W 3"] | UInt8[np.ndarray, "H W 3"],
    chosen: Int[np.ndarray, " N"],
) -> Float32[np.ndarray, "N 3"]:
    """Colours of the pixels with these numbers."""
    return picture.reshape(-1, 3)[chosen].astype(np.float32)


def _known_plate(
    image: Float32[np.ndarray, "N 3"],
    back: Float32[np.ndarray, "N 3"],
    front: Float32[np.ndarray, "N 3"],
) -> tuple[Float32[np.ndarray, " N"], Float32[np.ndarray, " N"]]:
    """Alpha of pixels between the plate's and the person's colour, and how far to trust it."""
    contrast, offset = front - back, image - back
    power = _dot(contrast, contrast)
    known = np.clip(_dot(contrast, offset) / (power + NOISE_POWER), 0, 1)
    distance = np.sqrt(_dot(offset, offset))
    known = np.maximum(known, np.clip(distance / DIFFERENT - 1, 0, 1))
    return known, power / (power + CONTRAST_POWER)


def _dot(a: Float32[np.ndarray, "N 3"], b: Float32[np.ndarray, "N 3"]) -> Float32[np.ndarray, " N"]:
    """Product of colours, several times faster than a sum over the last axis."""
    return np.einsum("nc,nc->n", a, b)


def _mean_inside(
    image: UInt8[np.ndarray, "H W 3"], mask: Bool[np.ndarray, "H W"], radius: float
) -> Float32[np.ndarray, "H W 3"]:
    """Box mean of the masked pixels around every pixel; far from the mask their overall mean."""
    step = cell_size(radius, FOREGROUND_CELLS)
    size = (2 * max(round(radius / step), 1) + 1,) * 2
    inside = mask.astype(np.uint8)
    overall = np.array(cv2.mean(image, inside if mask.any() else None)[:3], np.float32)
    masked = in_cells(image * inside[..., None], step)
    weight = in_cells(inside * np.uint8(255), step)
    total = cv2.boxFilter(masked.astype(np.float32), -1, size)
    share = cv2.boxFilter(weight.astype(np.float32) / 255, -1, size)[..., None]
    means = np.where(share > 1e-2, total / np.maximum(share, 1e-2), overall)
    return cv2.resize(means, mask.shape[::-1], interpolation=cv2.INTER_LINEAR)
