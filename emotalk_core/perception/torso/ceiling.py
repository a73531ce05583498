"""How well a true head over the layer behind it gives the true frame, and what leaks.

The ceiling alone can be gamed: a smaller hole raises it without end. It is only worth something
beside its two leaks, so both are always computed together.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float32, UInt8

from emotalk_core.perception.regions.face import FaceShape
from emotalk_core.perception.regions.filters import dilate, erode
from emotalk_core.perception.regions.plate import Plate

RING = 4.0  # px to either side of the mask's edge
OUTER_RIM, INNER_RIM = 10.0, 4.0  # face units
DISTINCT = 40.0  # grey levels between head and plate from which a pixel can be told apart
LIKE_PLATE = 12.0  # grey levels


@dataclass(frozen=True)
class Ceiling:
    """Scores of one frame.

    Attributes:
        soft: PSNR, dB, of alpha * frame + (1 - alpha) * behind.
        matting: PSNR with the best head colour that alpha allows: what a renderer could reach.
        soft_ring: PSNR, dB, of the composite within +-4 px of the mask's edge.
        matting_ring: the same of the best colour.
        head_in_behind: share of the outer rim in which head was left in the layer.
        background_in_head: share of the inner rim in which the plate shows.
    """

    soft: float
    matting: float
    soft_ring: float
    matting_ring: float
    head_in_behind: float
    background_in_head: float


def compositing_ceiling(
    frame: UInt8[np.ndarray, "H W 3"],
    alpha: UInt8[np.ndarray, "H W"],
    behind: UInt8[np.ndarray, "H W 3"],
    plate: Plate,
    face: FaceShape,
) -> Ceiling:
    """Measure one frame; leaks are measured above the ear line where the plate was seen."""
    a = alpha[..., None].astype(np.float32) / 255
    image, back = frame.astype(np.float32), behind.astype(np.float32)
    soft = a * image + (1 - a) * back
    best = np.clip(image - (1 - a) * back, 0, 255 * a) + (1 - a) * back
    mask = alpha > 127
    ring = dilate(mask, RING) & ~erode(mask, RING)
    judged = (face.above_ears > 0) & plate.seen
    return Ceiling(
        soft=_psnr(soft, image),
        matting=_psnr(best, image),
        soft_ring=_psnr(soft, image, ring),
        matting_ring=_psnr(best, image, ring),
        head_in_behind=_head_left(image, back, mask, plate, judged, face.unit),
        background_in_head=_plate_inside(image, mask, plate, judged, face.unit),
    )


def _psnr(
    a: Float32[np.ndarray, "H W 3"],
    b: Float32[np.ndarray, "H W 3"],
    where: Bool[np.ndarray, "H W"] | None = None,
) -> float:
    error = ((a - b) ** 2).mean(axis=-1)
    error = error if where is None else error[where]
    return float(10 * np.log10(255**2 / max(float(error.mean()), 1e-6))) if error.size else np.nan


def _head_left(
    image: Float32[np.ndarray, "H W 3"],
    back: Float32[np.ndarray, "H W 3"],
    mask: Bool[np.ndarray, "H W"],
    plate: Plate,
    judged: Bool[np.ndarray, "H W"],
    unit: float,
) -> float:
    """Share of the rim outside the mask where the layer is nearer to the head's colour."""
    rim = dilate(mask, OUTER_RIM * unit) & ~mask & judged
    inner = mask & ~erode(mask, OUTER_RIM * unit)
    if not inner.any() or not rim.any():
        return 0.0
    clean = plate.picture.astype(np.float32)
    contrast = np.median(image[inner], axis=0) - clean[rim]
    power = (contrast**2).sum(axis=-1)
    share = (contrast * (back - clean)[rim]).sum(axis=-1) / np.maximum(power, 1.0)
    return float(((share > 0.5) & (power > DISTINCT**2)).mean())


def _plate_inside(
    image: Float32[np.ndarray, "H W 3"],
    mask: Bool[np.ndarray, "H W"],
    plate: Plate,
    judged: Bool[np.ndarray, "H W"],
    unit: float,
) -> float:
    """Share of the mask's inner rim that looks like the plate although the head does not."""
    rim = mask & ~erode(mask, INNER_RIM * unit) & judged
    if not rim.any():
        return 0.0
    clean = plate.picture.astype(np.float32)[rim]
    contrast = np.linalg.norm(np.median(image[rim], axis=0) - clean, axis=-1)
    same = np.linalg.norm(image[rim] - clean, axis=-1) < LIKE_PLATE
    return float((same & (contrast > DISTINCT)).mean())
