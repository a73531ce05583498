"""Small tools of the painter: smooth steps, fractal noise, sRGB to linear light."""

from __future__ import annotations

import cv2
import numpy as np
from jaxtyping import Float32

# (grid side, amplitude): blotches down to freckles over one texture
SKIN_OCTAVES = ((4, 1.0), (8, 0.7), (16, 0.5), (64, 0.35), (256, 0.3))
FINE_OCTAVES = ((256, 1.0), (512, 0.9), (700, 0.6))


def smoothstep(
    values: Float32[np.ndarray, "*n"] | float, low: float, high: float
) -> Float32[np.ndarray, "*n"]:
    """0 below `low`, 1 above `high`, smooth between."""
    t = np.clip((np.asarray(values) - low) / (high - low), 0, 1)
    return t * t * (3 - 2 * t)


def bump(values: Float32[np.ndarray, "*n"], width: float) -> Float32[np.ndarray, "*n"]:
    """A Gaussian hill around 0."""
    return np.exp(-((values / width) ** 2))


def fractal_noise(
    height: int,
    width: int,
    rng: np.random.Generator,
    octaves: tuple[tuple[int, float], ...] = SKIN_OCTAVES,
) -> Float32[np.ndarray, "H W"]:
    """Sum of smooth random grids, standard deviation 1."""
    total = np.zeros((height, width), np.float32)
    for side, amplitude in octaves:
        grid = rng.standard_normal((side, side)).astype(np.float32)
        total += amplitude * cv2.resize(grid, (width, height), interpolation=cv2.INTER_CUBIC)
    return total / total.std()


def to_linear(colour: object) -> Float32[np.ndarray, "*n 3"]:
    """SRGB 0..255 to linear light 0..1 (plain power law: the renderer inverts the same one)."""
    return ((np.clip(np.asarray(colour, np.float32), 0, 255) / 255) ** 2.2).astype(np.float32)
