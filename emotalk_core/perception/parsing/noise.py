"""Smooth random fields, of which uneven light and textures are made."""

from __future__ import annotations

import cv2
import numpy as np
from jaxtyping import Float32


def noise_field(size: int, cells: int, rng: np.random.Generator) -> Float32[np.ndarray, "S S"]:
    """A field of unit spread that varies over a grid of cells.

    Args:
        size: px of the field's side.
        cells: random numbers along a side; cubics join them.
        rng: draws them.
    """
    coarse = rng.standard_normal((cells, cells)).astype(np.float32)
    return cv2.resize(coarse, (size, size), interpolation=cv2.INTER_CUBIC)
