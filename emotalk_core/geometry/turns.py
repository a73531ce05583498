"""Rotation vectors and what small changes of them do, in NumPy (trackers, pose refinement)."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float


def skew(v: Float[np.ndarray, "*b 3"]) -> Float[np.ndarray, "*b 3 3"]:
    """Matrices that take the cross product with v."""
    zero = np.zeros_like(v[..., 0])
    rows = [zero, -v[..., 2], v[..., 1], v[..., 2], zero, -v[..., 0], -v[..., 1], v[..., 0], zero]
    return np.stack(rows, axis=-1).reshape(*v.shape, 3)


def left_jacobian(turns: Float[np.ndarray, "T 3"]) -> Float[np.ndarray, "T 3 3"]:
    """How a change of the rotation vector turns the rotated points (left Jacobian of SO(3))."""
    angle = np.linalg.norm(turns, axis=-1)[:, None, None]
    small = np.maximum(angle, 1e-8)
    k = skew(turns)
    first = (1 - np.cos(small)) / small**2
    second = (small - np.sin(small)) / small**3
    return np.eye(3) + first * k + second * (k @ k)
