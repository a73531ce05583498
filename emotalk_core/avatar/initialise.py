"""Canonical Gaussians before training: neutral mesh and frames in, coloured points out."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float, Int, UInt8
from scipy.spatial import Delaunay, cKDTree

from emotalk_core.errors import NumericalError
from emotalk_core.geometry.spherical_harmonics import colours_to_sh, sh_size
from emotalk_core.perception.landmarks.topology import (
    INNER_LIPS,
    LIP_CORNERS,
    N_SURFACE,
    hole_triangles,
    surface_triangles,
)
from emotalk_core.types.gaussians import GaussianSet

FACE_SHARE = 0.6  # of the face Gaussians lie on the mesh; the rest on hair and ears (study)
HAIR_DEPTH = (-0.012, 0.07)  # metres behind the mesh's rim where hair pixels are back-projected to
SPACING_GAIN = 0.7  # standard deviation per mean distance of the three nearest neighbours
SIGMA_RANGE = (0.0006, 0.01)  # metres: finer flickers at 256 px, coarser covers an eye
NEIGHBOURS = 3
START_LOGIT = 0.0  # opacity one half: gradients flow both ways
QUATERNION_NOISE = 0.1  # breaks the tie between three equal axes
# Box of the inside of the mouth relative to the lips' width: below and above the lips' centre
# (y grows downward) and behind them.
MOUTH_BOX_Y = (-0.28, 0.42)
MOUTH_BOX_Z = (0.03, 0.35)
PIXELS_PER_DRAW = 200  # hair pixels drawn from one frame before another one is taken


@dataclass(frozen=True)
class View:
    """One training frame with its camera, for back-projection and colours.

    Attributes:
        image: RGB frame.
        mask: pixels to use.
        K, viewmat: camera.
    """

    image: UInt8[np.ndarray, "H W 3"]
    mask: Bool[np.ndarray, "H W"]
    K: Float[np.ndarray, "3 3"]
    viewmat: Float[np.ndarray, "4 4"]

    def project(self, points: Float[np.ndarray, "N 3"]) -> Float[np.ndarray, "N 2"]:
        """World points to px."""
        in_camera = points @ self.viewmat[:3, :3].T + self.viewmat[:3, 3]
        flat = in_camera @ self.K.T
        return flat[:, :2] / flat[:, 2:]


def mesh_triangles() -> Int[np.ndarray, "F 3"]:
    """Triangles of the face's surface with the mouth left open."""
    return np.delete(surface_triangles(), hole_triangles(), axis=0)


def sample_surface(
    neutral: Float[np.ndarray, "478 3"], count: int, rng: np.random.Generator
) -> Float[np.ndarray, "N 3"]:
    """Points spread evenly by area over the neutral mesh."""
    triangles = mesh_triangles()
    corners = neutral[triangles]
    normal = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    area = np.linalg.norm(normal, axis=1)
    chosen = rng.choice(len(triangles), count, p=area / area.sum())
    weights = rng.dirichlet((1.0, 1.0, 1.0), count)
    return (corners[chosen] * weights[..., None]).sum(axis=1)


def back_project_hair(
    neutral: Float[np.ndarray, "478 3"], views: list[View], count: int, rng: np.random.Generator
) -> Float[np.ndarray, "N 3"]:
    """Points behind head pixels that the mesh does not cover (hair, ears), at random depth.

    Raises:
        NumericalError: the views' masks hold no such pixels.
    """
    outline = Delaunay(neutral[:N_SURFACE, :2])
    rim = np.percentile(neutral[:N_SURFACE, 2], 90)
    found: list[np.ndarray] = []
    n_found = 0
    for attempt in range(20 * len(views)):
        view = views[attempt % len(views)]
        rows, columns = np.nonzero(view.mask)
        if len(rows) == 0:
            continue
        pick = rng.integers(len(rows), size=PIXELS_PER_DRAW)
        pixels = np.stack([columns[pick] + 0.5, rows[pick] + 0.5, np.ones(PIXELS_PER_DRAW)], axis=1)
        rotation, translation = view.viewmat[:3, :3], view.viewmat[:3, 3]
        directions = pixels @ np.linalg.inv(view.K).T @ rotation
        origin = -rotation.T @ translation
        depth = rim + rng.uniform(*HAIR_DEPTH, PIXELS_PER_DRAW)
        points = origin + directions * ((depth - origin[2]) / directions[:, 2])[:, None]
        outside = points[outline.find_simplex(points[:, :2]) < 0]
        found.append(outside)
        n_found += len(outside)
        if n_found >= count:
            return np.concatenate(found)[:count]
    raise NumericalError(
        f"head masks: only {n_found} of {count} hair points found in {len(views)} frames; "
        "the head masks are empty or end at the face, look at regions.mkv and alpha.mkv"
    )


def make_gaussians(
    points: Float[np.ndarray, "N 3"],
    view: View,
    sh_degree: int,
    with_normals: bool,
    rng: np.random.Generator,
) -> GaussianSet:
    """Round half-opaque Gaussians with the colours that `view` shows at their projection."""
    height, width = view.mask.shape
    pixels = view.project(points).astype(int)
    colours = view.image[
        np.clip(pixels[:, 1], 0, height - 1), np.clip(pixels[:, 0], 0, width - 1)
    ].astype(np.float32)
    spacing = cKDTree(points).query(points, NEIGHBOURS + 1)[0][:, 1:].mean(axis=1)
    sigma = np.clip(spacing * SPACING_GAIN, *SIGMA_RANGE)
    n = len(points)
    quats = np.tile([1.0, 0.0, 0.0, 0.0], (n, 1)) + QUATERNION_NOISE * rng.standard_normal((n, 4))
    coefficients = torch.zeros(n, sh_size(sh_degree), 3)
    coefficients[:, 0] = colours_to_sh(torch.from_numpy(colours / np.float32(255.0)))

    def tensor(values: np.ndarray) -> torch.Tensor:
        return torch.from_numpy(np.ascontiguousarray(values, dtype=np.float32))

    return GaussianSet(
        means=tensor(points),
        quats=tensor(quats),
        scales=tensor(np.repeat(np.log(sigma)[:, None], 3, axis=1)),
        opacities=tensor(np.full(n, START_LOGIT)),
        sh_coeffs=coefficients,
        normal_residuals=tensor(np.zeros((n, 3))) if with_normals else None,
    )


def face_gaussians(
    neutral: Float[np.ndarray, "478 3"],
    frontal: View,
    views: list[View],
    count: int,
    sh_degree: int,
    seed: int,
) -> GaussianSet:
    """Canonical face: the mesh's surface and hair, coloured from the frontal frame."""
    rng = np.random.default_rng([seed, 1])
    on_mesh = int(count * FACE_SHARE)
    surface = sample_surface(neutral, on_mesh, rng)
    hair = back_project_hair(neutral, views, count - on_mesh, rng)
    points = np.concatenate([surface, hair])
    return make_gaussians(points, frontal, sh_degree, with_normals=True, rng=rng)


def mouth_gaussians(
    neutral: Float[np.ndarray, "478 3"], widest: View, count: int, sh_degree: int, seed: int
) -> GaussianSet:
    """Canonical inside of the mouth: a box behind the lips, coloured from the widest open mouth."""
    rng = np.random.default_rng([seed, 2])
    ring = neutral[list(INNER_LIPS)]
    corners = neutral[list(LIP_CORNERS)]
    lip_width = float(np.linalg.norm(corners[1] - corners[0]))
    centre = ring.mean(axis=0)
    points = np.stack(
        [
            rng.uniform(ring[:, 0].min(), ring[:, 0].max(), count),
            centre[1] + lip_width * rng.uniform(*MOUTH_BOX_Y, count),
            centre[2] + lip_width * rng.uniform(*MOUTH_BOX_Z, count),
        ],
        axis=1,
    )
    return make_gaussians(points, widest, sh_degree, with_normals=False, rng=rng)
