"""Landmarks of a clip in; the bundle adjustment's start and the person's neutral face out."""

from __future__ import annotations

import dataclasses

import numpy as np
from jaxtyping import Bool, Float, Int
from scipy.spatial.transform import Rotation

from emotalk_core.perception.landmarks import topology as tp
from emotalk_core.perception.tracking.bundle import POINT_SIGMA, HeadPath, project, to_camera

PROCRUSTES_ROUNDS = 3
NEUTRAL_ROUNDS = 6
NEUTRAL_FRAMES = 12  # at least so many frames define each half of the neutral face
CLOSED_LIPS_SHARE = 0.2  # the fifth of the frames with the least open lips counts as lips at rest
OPEN_EYES = (0.5, 0.9)  # quantiles of the eye opening between which lids count as at rest
NEUTRAL_SIGMA = (0.02, 0.02, 0.03)  # in eye distances: how far a point may lie from the start
# People look at the camera while the head turns: triangulation would read that as a wrong depth of
# the iris, so its depth behind the lids is the face model's.
IRIS_DEPTH_SIGMA = 0.0005


@dataclasses.dataclass(frozen=True)
class Similarity:
    """x -> scale * rotation @ x + shift."""

    scale: float
    rotation: Float[np.ndarray, "3 3"]
    shift: Float[np.ndarray, " 3"]

    def apply(self, points: Float[np.ndarray, "*b 3"]) -> Float[np.ndarray, "*b 3"]:
        """The transformed points."""
        return self.scale * points @ self.rotation.T + self.shift


def fit_similarity(
    source: Float[np.ndarray, "N 3"], target: Float[np.ndarray, "N 3"]
) -> Similarity:
    """Least-squares similarity from `source` to `target` (Umeyama 1991)."""
    a, b = source - source.mean(axis=0), target - target.mean(axis=0)
    u, sizes, vt = np.linalg.svd(b.T @ a)
    sign = np.array([1.0, 1.0, np.sign(np.linalg.det(u @ vt))])
    rotation = u * sign @ vt
    scale = float((sizes * sign).sum() / (a**2).sum())
    return Similarity(scale, rotation, target.mean(axis=0) - scale * rotation @ source.mean(axis=0))


def lip_gap(points: Float[np.ndarray, "T 478 C"]) -> Float[np.ndarray, " T"]:
    """Distance of the inner lips' middles, in the unit of `points`."""
    gap = points[:, tp.UPPER_INNER_LIP] - points[:, tp.LOWER_INNER_LIP]
    return np.linalg.norm(gap, axis=1)


def lid_gap(points: Float[np.ndarray, "T 478 C"]) -> Float[np.ndarray, " T"]:
    """Mean distance of upper and lower lids, in the unit of `points`."""
    gaps = [np.linalg.norm(points[:, a] - points[:, b], axis=1) for a, b in tp.UPPER_LOWER_LIDS]
    return np.mean(gaps, axis=0)


def eye_distances(points: Float[np.ndarray, "T 478 C"]) -> Float[np.ndarray, " T"]:
    """Distance of the outer eye corners, in the unit of `points`."""
    right, left = tp.OUTER_EYE_CORNERS
    return np.linalg.norm(points[:, right] - points[:, left], axis=1)


def spread_frames(valid: Bool[np.ndarray, " T"], count: int) -> Int[np.ndarray, " S"]:
    """At most `count` valid frames, evenly spread."""
    known = np.flatnonzero(valid)
    picks = np.linspace(0, len(known) - 1, min(count, len(known))).round().astype(int)
    return known[picks]


def start_path(
    points: Float[np.ndarray, "T 478 3"],
    template: Float[np.ndarray, "478 3"],
    focal: float,
    centre: tuple[float, float],
) -> HeadPath:
    """Mean shape and poses by generalised Procrustes analysis of the detector's 3D points.

    Args:
        points: px, z relative depth in px.
        template: average neutral face, metres, world: gives axes, origin and scale.
        focal: px.
        centre: principal point, px.
    """
    rigid = list(tp.rigid_points())
    observed = points[:, rigid]
    flat = _mean_by_procrustes(observed, template[rigid])
    depths = focal / np.array([fit_similarity(flat, frame).scale for frame in observed])
    camera = _unproject(observed, depths, focal, centre)
    shape = _mean_by_procrustes(camera, template[rigid])
    turns, shifts = np.empty((len(points), 3)), np.empty((len(points), 3))
    for t, frame in enumerate(camera):
        fit = fit_similarity(shape, frame)
        turns[t] = Rotation.from_matrix(fit.rotation).as_rotvec()
        shifts[t] = fit.shift / fit.scale  # pictures do not change when camera space is scaled
    return HeadPath(shape, turns, shifts, focal, centre)


def _mean_by_procrustes(
    observed: Float[np.ndarray, "T N 3"], template: Float[np.ndarray, "N 3"]
) -> Float[np.ndarray, "N 3"]:
    """Mean of all frames after removing their similarities; axes and scale of `template`."""
    shape = template
    for _ in range(PROCRUSTES_ROUNDS):
        aligned = [fit_similarity(frame, shape).apply(frame) for frame in observed]
        shape = np.mean(aligned, axis=0)
        shape = fit_similarity(shape, template).apply(shape)
    return shape


def _unproject(
    points: Float[np.ndarray, "T N 3"],
    depths: Float[np.ndarray, " T"],
    focal: float,
    centre: tuple[float, float],
) -> Float[np.ndarray, "T N 3"]:
    """The detector's points in metric camera space, the head `depths` metres away.

    Without this the start would be a flat picture's shape, near parts too large, and would pull the
    focal length to infinity.
    """
    z = depths[:, None] * (1 + points[..., 2] / focal)
    plane = (points[..., :2] - np.asarray(centre)) / focal
    return np.concatenate([plane * z[..., None], z[..., None]], axis=-1)


def realign(path: HeadPath, change: Similarity) -> HeadPath:
    """The same pictures with the world moved by `change` (camera space is scaled along)."""
    rotations = path.rotations @ change.rotation.T
    return dataclasses.replace(
        path,
        shape=change.apply(path.shape),
        turns=Rotation.from_matrix(rotations).as_rotvec(),
        shifts=change.scale * path.shifts - rotations @ change.shift,
    )


def _rest_weights(
    points: Float[np.ndarray, "T 478 3"], valid: Bool[np.ndarray, " T"]
) -> Float[np.ndarray, "T 478"]:
    """1 where a frame shows a point at rest: lips closed for the lower face, lids open above."""
    size = eye_distances(points[..., :2])
    lips, eyes = lip_gap(points[..., :2]) / size, lid_gap(points[..., :2]) / size
    known = np.flatnonzero(valid)
    enough = min(NEUTRAL_FRAMES, len(known))
    share = max(enough, round(CLOSED_LIPS_SHARE * len(known)))
    closed = known[np.argsort(lips[known], kind="stable")[:share]]
    low, high = np.quantile(eyes[known], OPEN_EYES)
    rest = known[(eyes[known] >= low) & (eyes[known] <= high)]
    if len(rest) < enough:
        rest = known[np.argsort(-eyes[known], kind="stable")[:enough]]
    weights = np.zeros(points.shape[:2])
    canonical = tp.canonical_face()
    lower = np.zeros(tp.N_LANDMARKS, dtype=bool)
    lower[: tp.N_SURFACE] = canonical[:, 1] > canonical[tp.NOSE_TIP, 1]
    weights[np.ix_(closed, np.flatnonzero(lower))] = 1
    weights[np.ix_(rest, np.flatnonzero(~lower))] = 1
    return weights


def neutral_face(
    points: Float[np.ndarray, "T 478 3"],
    valid: Bool[np.ndarray, " T"],
    path: HeadPath,
    template: Float[np.ndarray, "478 3"],
) -> Float[np.ndarray, "478 3"]:
    """The person's landmarks at rest (metres, world), triangulated from frames that show them so.

    Depth starts from the detector's mean shape, brought onto the solved rigid points.
    """
    weights = _rest_weights(points, valid)
    start = _mean_shape(points, weights, path, template)
    right, left = tp.OUTER_EYE_CORNERS
    eye = float(np.linalg.norm(start[right] - start[left]))
    prior = np.tile(np.diag(1 / (np.asarray(NEUTRAL_SIGMA) * eye) ** 2), (tp.N_LANDMARKS, 1, 1))
    prior[list(tp.IRISES), 2, 2] = 1 / (IRIS_DEPTH_SIGMA * eye) ** 2
    unit = POINT_SIGMA * float(np.median(eye_distances(points[valid][..., :2])))
    rotations, neutral = path.rotations, start.copy()
    for _ in range(NEUTRAL_ROUNDS):
        camera = to_camera(dataclasses.replace(path, shape=neutral), neutral)
        residual = (project(camera, path.focal, path.centre) - points[..., :2]) / unit
        robust = weights / np.sqrt(1 + (residual**2).sum(-1))
        robust *= 20.0 / np.maximum(weights.sum(axis=0), 1)  # frames repeat each other's errors
        plane = camera[..., :2] / camera[..., 2:]
        scale = path.focal / unit / camera[..., 2]
        by_camera = np.zeros((*scale.shape, 2, 3))
        by_camera[..., 0, 0] = by_camera[..., 1, 1] = scale
        by_camera[..., :, 2] = -scale[..., None] * plane
        by_point = by_camera @ rotations[:, None]
        normal = np.einsum("tn,tnki,tnkj->nij", robust, by_point, by_point) + prior
        rhs = -np.einsum("tn,tnki,tnk->ni", robust, by_point, residual)
        rhs -= np.einsum("nij,nj->ni", prior, neutral - start)
        neutral = neutral + np.linalg.solve(normal, rhs[..., None])[..., 0]
    return neutral


def _mean_shape(
    points: Float[np.ndarray, "T 478 3"],
    weights: Float[np.ndarray, "T 478"],
    path: HeadPath,
    template: Float[np.ndarray, "478 3"],
) -> Float[np.ndarray, "478 3"]:
    """Weighted mean of the detector's 3D points, each frame brought onto the rigid shape."""
    rigid = list(tp.rigid_points())
    used = np.flatnonzero(weights.any(axis=1))
    camera = _unproject(points[used], path.shifts[used, 2], path.focal, path.centre)
    total = np.zeros_like(template)
    for t, frame in zip(used, camera):
        fit = fit_similarity(frame[rigid], path.shape)
        total += weights[t, :, None] * fit.apply(frame)
    mean = total / weights.sum(axis=0)[:, None]
    for iris, ring in zip((tp.IRISES[:5], tp.IRISES[5:]), (tp.RIGHT_EYE, tp.LEFT_EYE)):
        behind = template[list(iris), 2] - template[list(ring), 2].mean()
        mean[list(iris), 2] = mean[list(ring), 2].mean() + behind
    return mean
