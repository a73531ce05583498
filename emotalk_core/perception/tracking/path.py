"""The path of a head before a camera: poses and intrinsics, and what they make of points."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

Centre = tuple[float, float]


@dataclass(frozen=True)
class HeadPath:
    """A head seen by one camera per frame: X_camera = rotation X + shift.

    Attributes:
        rotations: world to camera. shifts: metres. focal: px. centre: (x, y) principal point, px.
    """

    rotations: Float[np.ndarray, "T 3 3"]
    shifts: Float[np.ndarray, "T 3"]
    focal: float
    centre: Centre


def to_camera(path: HeadPath, points: Float[np.ndarray, "*T N 3"]) -> Float[np.ndarray, "T N 3"]:
    """World points (one set for all frames or one per frame) into every frame's camera space."""
    return points @ path.rotations.transpose(0, 2, 1) + path.shifts[:, None]


def project(
    points: Float[np.ndarray, "T N 3"], focal: float, centre: Centre
) -> Float[np.ndarray, "T N 2"]:
    """Camera-space points to px."""
    return points[..., :2] / points[..., 2:] * focal + np.asarray(centre)


def unproject(
    points: Float[np.ndarray, "T N 3"],
    depths: Float[np.ndarray, " T"],
    focal: float,
    centre: Centre,
) -> Float[np.ndarray, "T N 3"]:
    """The detector's points (px, z relative depth) in metric camera space, `depths` metres away.

    Without this, near parts of the face would be too large: a picture's shape, not the head's.
    """
    z = depths[:, None] * (1 + points[..., 2] / focal)
    plane = (points[..., :2] - np.asarray(centre)) / focal
    return np.concatenate([plane * z[..., None], z[..., None]], axis=-1)
