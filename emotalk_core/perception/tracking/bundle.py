"""Landmarks of a clip in; one rigid shape, one focal length and a pose per frame out.

Bundle adjustment by Gauss-Newton with robust weights. Shape and focal length come from a few
hundred frames spread over the clip (poses eliminated by the Schur complement), then all poses from
one banded solve that also asks for small second differences in time.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from scipy.linalg import cho_factor, cho_solve, solveh_banded
from scipy.spatial.transform import Rotation

SHAPE_STEPS = 15
POSE_STEPS = 8
# Expected errors in units of the outer eye distance: FaceMesh points scatter by a little under a
# percent; a person's points lie within a few percent of the start in the picture plane, in depth
# less surely, because the detector's depth is a guess.
POINT_SIGMA = 0.01
SHAPE_SIGMA = (0.02, 0.02, 0.04)
FOCAL_LOG_SIGMA = 0.2
# Second differences of a speaking head at 25 fps: about 0.2 degrees and 0.3 % of the eye distance.
TURN_SIGMA = 0.004  # rad
SHIFT_SIGMA = (0.005, 0.005, 0.03)  # in eye distances; depth is seen worst and moves least


@dataclass(frozen=True)
class HeadPath:
    """A rigid head seen by one camera per frame: X_camera = R(turn) X + shift.

    Attributes:
        shape: [N,3] metres, world. turns: [T,3] rotation vectors, rad. shifts: [T,3] metres.
        focal: px. centre: (x, y) principal point, px.
    """

    shape: Float[np.ndarray, "N 3"]
    turns: Float[np.ndarray, "T 3"]
    shifts: Float[np.ndarray, "T 3"]
    focal: float
    centre: tuple[float, float]

    @property
    def rotations(self) -> Float[np.ndarray, "T 3 3"]:
        """[T,3,3] rotation matrices, world to camera."""
        return Rotation.from_rotvec(self.turns).as_matrix()


def project(
    points: Float[np.ndarray, "T N 3"], focal: float, centre: tuple[float, float]
) -> Float[np.ndarray, "T N 2"]:
    """Camera-space points to px."""
    return points[..., :2] / points[..., 2:] * focal + np.asarray(centre)


def to_camera(path: HeadPath, points: Float[np.ndarray, "*T N 3"]) -> Float[np.ndarray, "T N 3"]:
    """World points (one set for all frames or one per frame) into every frame's camera space."""
    return points @ path.rotations.transpose(0, 2, 1) + path.shifts[:, None]


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


@dataclass(frozen=True)
class _Linear:
    """Weighted residuals and their derivatives by pose (turn, shift), point and log focal."""

    residual: Float[np.ndarray, "T N 2"]
    pose: Float[np.ndarray, "T N 2 6"]
    point: Float[np.ndarray, "T N 2 3"]
    focal: Float[np.ndarray, "T N 2"]
    cost: float


def _linearise(
    path: HeadPath,
    observed: Float[np.ndarray, "T N 2"],
    weights: Float[np.ndarray, "T N"],
    unit: float,
) -> _Linear:
    """Linear model around `path`; residuals are divided by `unit` px, robust weights included."""
    rotated = path.shape @ path.rotations.transpose(0, 2, 1)
    camera = rotated + path.shifts[:, None]
    z = camera[..., 2]
    plane = camera[..., :2] / z[..., None]
    residual = (plane * path.focal + np.asarray(path.centre) - observed) / unit
    robust = 1 / np.sqrt(1 + (residual**2).sum(-1))
    root = np.sqrt(weights * robust)[..., None]
    scale = (path.focal / unit / z)[..., None]
    by_camera = np.zeros((*z.shape, 2, 3))
    by_camera[..., 0, 0] = by_camera[..., 1, 1] = scale[..., 0]
    by_camera[..., :, 2] = -scale * plane
    by_camera *= root[..., None]
    by_turn = by_camera @ -skew(rotated) @ left_jacobian(path.turns)[:, None]
    cost = float((weights * (np.sqrt(1 + (residual**2).sum(-1)) - 1)).sum() * 2)
    return _Linear(
        residual * root,
        np.concatenate([by_turn, by_camera], axis=-1),
        by_camera @ path.rotations[:, None],
        plane * (path.focal / unit) * root,
        cost,
    )


def solve_shape(
    start: HeadPath,
    observed: Float[np.ndarray, "T N 2"],
    weights: Float[np.ndarray, "T N"],
    eye_px: float,
    eye_metres: float,
) -> HeadPath:
    """Refine shape, focal length and the poses of a few hundred frames together.

    Args:
        start: its shape and focal length are also the priors' means.
        observed: px.
        weights: not negative; 0 leaves a point of a frame out.
        eye_px: outer eye distance, px: the unit of the expected errors in the picture.
        eye_metres: outer eye distance, metres: the unit of the expected errors of the shape.
    """
    path, damping = start, 1e-3
    unit = POINT_SIGMA * eye_px
    prior = 1 / (np.asarray(SHAPE_SIGMA) * eye_metres) ** 2
    # neighbouring points err together: a frame counts as a handful of independent points
    weights = weights * (6.0 / np.maximum(weights.sum(axis=1, keepdims=True), 1e-9))

    def total(candidate: HeadPath, linear: _Linear) -> float:
        away = (candidate.shape - start.shape) ** 2 * prior
        log_focal = np.log(candidate.focal / start.focal) / FOCAL_LOG_SIGMA
        return linear.cost + float(away.sum() + log_focal**2)

    linear = _linearise(path, observed, weights, unit)
    for _ in range(SHAPE_STEPS):
        candidate = _shape_step(path, start, linear, prior, damping)
        trial = _linearise(candidate, observed, weights, unit)
        if total(candidate, trial) < total(path, linear):
            path, linear, damping = candidate, trial, damping * 0.3
        else:
            damping *= 10
    return path


def _shape_step(
    path: HeadPath,
    start: HeadPath,
    linear: _Linear,
    prior: Float[np.ndarray, " 3"],
    damping: float,
) -> HeadPath:
    """One damped Gauss-Newton step on (poses, shape, log focal); poses are eliminated."""
    n_frames, n_points = linear.residual.shape[:2]
    size = 3 * n_points + 1
    pose_pose = np.einsum("tnki,tnkj->tij", linear.pose, linear.pose)
    pose_pose += damping * np.einsum("tii->ti", pose_pose)[:, None] * np.eye(6)
    pose_point = np.einsum("tnki,tnkj->tinj", linear.pose, linear.point)
    pose_focal = np.einsum("tnki,tnk->ti", linear.pose, linear.focal)
    coupling = np.concatenate([pose_point.reshape(n_frames, 6, -1), pose_focal[..., None]], axis=-1)
    normal = np.zeros((size, size))
    blocks = np.einsum("tnki,tnkj->nij", linear.point, linear.point) + np.diag(prior)
    point_focal = np.einsum("tnki,tnk->ni", linear.point, linear.focal)
    for n in range(n_points):
        normal[3 * n : 3 * n + 3, 3 * n : 3 * n + 3] = blocks[n]
    normal[:-1, -1] = normal[-1, :-1] = point_focal.ravel()
    normal[-1, -1] = (linear.focal**2).sum() + FOCAL_LOG_SIGMA**-2
    normal[np.diag_indices(size)] *= 1 + damping
    pose_rhs = -np.einsum("tnki,tnk->ti", linear.pose, linear.residual)
    rhs = np.empty(size)
    away = (path.shape - start.shape) * prior
    rhs[:-1] = (-np.einsum("tnki,tnk->ni", linear.point, linear.residual) - away).ravel()
    rhs[-1] = -(linear.focal * linear.residual).sum()
    rhs[-1] -= np.log(path.focal / start.focal) / FOCAL_LOG_SIGMA**2

    solved = np.linalg.solve(pose_pose, np.concatenate([coupling, pose_rhs[..., None]], axis=-1))
    stacked = coupling.reshape(-1, size)
    reduced = normal - stacked.T @ solved[..., :-1].reshape(-1, size)
    step = cho_solve(
        cho_factor((reduced + reduced.T) / 2), rhs - stacked.T @ solved[..., -1].ravel()
    )
    pose_step = solved[..., -1] - solved[..., :-1] @ step
    return HeadPath(
        path.shape + step[:-1].reshape(-1, 3),
        path.turns + pose_step[:, :3],
        path.shifts + pose_step[:, 3:],
        path.focal * float(np.exp(np.clip(step[-1], -0.2, 0.2))),
        path.centre,
    )


def solve_poses(
    start: HeadPath,
    observed: Float[np.ndarray, "T N 2"],
    weights: Float[np.ndarray, "T N"],
    eye_px: float,
    eye_metres: float,
    smoothing: float,
) -> HeadPath:
    """Refine the poses of all frames with shape and focal length held; smooth in time.

    Args:
        start: shape, focal length and a first guess of the poses.
        observed: px.
        weights: a frame with zero weights follows its neighbours.
        eye_px: outer eye distance, px.
        eye_metres: outer eye distance, metres.
        smoothing: factor on the weight of the second differences; 0 leaves frames independent.
    """
    path = start
    unit = POINT_SIGMA * eye_px
    weights = weights * (6.0 / np.maximum(weights.sum(axis=1), 1e-9).max())
    sigma = np.array([TURN_SIGMA] * 3 + [s * eye_metres for s in SHIFT_SIGMA])
    stiffness = smoothing / sigma**2
    n_frames = len(observed)
    smooth = second_difference_bands(n_frames)
    for _ in range(POSE_STEPS):
        linear = _linearise(path, observed, weights, unit)
        blocks = np.einsum("tnki,tnkj->tij", linear.pose, linear.pose)
        gradient = np.einsum("tnki,tnk->ti", linear.pose, linear.residual)
        pose = np.concatenate([path.turns, path.shifts], axis=1)
        gradient += stiffness * apply_bands(smooth, pose)
        bands = pose_bands(blocks, smooth, stiffness)
        step = solveh_banded(bands, -gradient.ravel(), lower=True).reshape(n_frames, 6)
        pose = pose + step
        path = HeadPath(path.shape, pose[:, :3], pose[:, 3:], path.focal, path.centre)
    return path


def second_difference_bands(n_frames: int) -> Float[np.ndarray, "3 T"]:
    """Diagonal and the two lower diagonals of D'D, D the second difference in time."""
    bands = np.zeros((3, n_frames))
    for row in range(n_frames - 2):
        for i, a in enumerate((1.0, -2.0, 1.0)):
            for j, b in enumerate((1.0, -2.0, 1.0)):
                if i >= j:
                    bands[i - j, row + j] += a * b
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
