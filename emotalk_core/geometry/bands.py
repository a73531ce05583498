"""Smoothness in time: second differences as a banded matrix, and the low-pass they make."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float
from scipy.linalg import solveh_banded

from emotalk_core.types.manifest import FPS


def second_difference_bands(n_frames: int) -> Float[np.ndarray, "3 T"]:
    """Diagonal and the two lower diagonals of D'D, D the second difference in time."""
    bands = np.zeros((3, n_frames))
    if n_frames < 3:
        return bands
    for i, a in enumerate((1.0, -2.0, 1.0)):
        for j, b in enumerate((1.0, -2.0, 1.0)):
            if i >= j:
                bands[i - j, j : n_frames - 2 + j] += a * b
    return bands


def apply_bands(
    bands: Float[np.ndarray, "3 T"], values: Float[np.ndarray, "T C"]
) -> Float[np.ndarray, "T C"]:
    """The symmetric banded matrix times values, column by column."""
    result = bands[0][:, None] * values
    for k in (1, 2):
        if len(values) > k:
            result[k:] += bands[k, :-k, None] * values[:-k]
            result[:-k] += bands[k, :-k, None] * values[k:]
    return result


def stiffness(half_hz: float) -> float:
    """Weight of the second differences that halves an oscillation of `half_hz` at 25 fps."""
    return float((2 * np.sin(np.pi * half_hz / FPS)) ** -4)


def smooth(
    values: Float[np.ndarray, "T C"], weights: Float[np.ndarray, " T"], weight: float
) -> Float[np.ndarray, "T C"]:
    """Whittaker's smoother: closest to `values` with small second differences (factor `weight`).

    A frame with weight 0 follows its neighbours.
    """
    if weight == 0 or len(values) < 3:
        return values
    bands = weight * second_difference_bands(len(values))
    bands[0] += np.maximum(weights, 1e-6)
    return solveh_banded(bands, np.maximum(weights, 1e-6)[:, None] * values, lower=True)


def pose_bands(
    blocks: Float[np.ndarray, "T 6 6"],
    smooth: Float[np.ndarray, "3 T"],
    stiffness: Float[np.ndarray, " 6"],
) -> Float[np.ndarray, "13 M"]:
    """Lower banded form of the normal matrix of all poses: 6x6 blocks plus smoothing over time."""
    n_frames = len(blocks)
    bands = np.zeros((13, 6 * n_frames))
    for i in range(6):
        for j in range(i + 1):
            bands[i - j, j::6] = blocks[:, i, j]
        for k in range(3):
            bands[6 * k, i::6] += stiffness[i] * smooth[k]
        bands[0, i::6] += 1e-9 * stiffness[i] + 1e-6  # frames without any weight stay solvable
    return bands
