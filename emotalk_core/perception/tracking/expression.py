"""Landmarks and poses in, 52 expression coefficients per frame out, by one bounded solve."""

from __future__ import annotations

import dataclasses

import numpy as np
from jaxtyping import Bool, Float

from emotalk_core.perception.landmarks import topology as tp
from emotalk_core.perception.tracking.bundle import (
    HeadPath,
    apply_bands,
    project,
    second_difference_bands,
    to_camera,
)

NOISE = 0.002  # metres: scatter of a landmark on the face with the model's own misfit
INDEPENDENT = 0.1  # share of independent errors: neighbouring landmarks err together
# Expected size of the coefficients. Shapes with a meaning of their own are free; the others, which
# look alike, explain only what those leave (else lowerDown and shrugUpper eat half of jawOpen).
MAIN_SIGMA, OTHER_SIGMA = 0.7, 0.2
MAIN_SHAPES = (
    "brow",
    "eyeBlink",
    "eyeWide",
    "eyeLook",
    "jawOpen",
    "mouthSmile",
    "mouthFrown",
    "mouthPucker",
    "mouthFunnel",
)
# Second differences are weighed against the data itself, so that every coefficient is low-passed
# alike: at 1.0 half the amplitude is left at 12 Hz and 98 % at 3 Hz (a blink lasts 0.2 s).
SMOOTHNESS = 0.05
STEPS = 300
MODEL_FREE = ("tongueOut",)  # moves no landmark
# What carries expression counts more than cheeks and forehead, whose landmarks follow the others.
POINT_WEIGHTS = ((tp.LIPS, 1.5), (tp.EYES, 3.0), (tp.BROWS, 2.5), (tp.IRISES, 4.0))
HIDDEN_IRIS = (
    470,
    472,
    475,
    477,
)  # upper and lower edge: under the lids, the model ties them there
OTHER_WEIGHT = 0.4


def _sigmas(names: tuple[str, ...]) -> Float[np.ndarray, " K"]:
    return np.array([MAIN_SIGMA if n.startswith(MAIN_SHAPES) else OTHER_SIGMA for n in names])


def point_weights() -> Float[np.ndarray, " 478"]:
    """How much each landmark counts in the fit."""
    weights = np.full(tp.N_LANDMARKS, OTHER_WEIGHT)
    for points, weight in POINT_WEIGHTS:
        weights[list(points)] = weight
    weights[list(HIDDEN_IRIS)] = 0
    return weights


@dataclasses.dataclass(frozen=True)
class _Problem:
    """min over 0 <= c <= 1 of sum_t c'H_t c - 2 g_t'c + smoothing: H [T,52,52], g [T,52]."""

    hessian: Float[np.ndarray, "T K K"]
    gradient: Float[np.ndarray, "T K"]
    smoothing: Float[np.ndarray, " K"]


def _observed_motion(
    path: HeadPath, neutral: Float[np.ndarray, "478 3"], observed: Float[np.ndarray, "T 478 2"]
) -> tuple[Float[np.ndarray, "T 478 2"], Float[np.ndarray, "T 2 3"]]:
    """Motion against the neutral face in the camera plane (metres), and world -> camera plane."""
    camera = to_camera(path, neutral)
    depth = camera[..., 2:]
    motion = (observed - project(camera, path.focal, path.centre)) * depth / path.focal
    plane = path.shifts[:, :2] / path.shifts[:, 2:]
    to_plane = np.zeros((len(observed), 2, 3))
    to_plane[:, 0, 0] = to_plane[:, 1, 1] = 1
    to_plane[:, :, 2] = -plane
    return motion, to_plane @ path.rotations


def _problem(
    path: HeadPath,
    neutral: Float[np.ndarray, "478 3"],
    observed: Float[np.ndarray, "T 478 2"],
    valid: Bool[np.ndarray, " T"],
    deltas: Float[np.ndarray, "K 478 3"],
    precision: Float[np.ndarray, " K"],
    smoothing: float,
) -> _Problem:
    motion, to_plane = _observed_motion(path, neutral, observed)
    weights = point_weights() * (INDEPENDENT / NOISE**2)
    gram = np.einsum("kni,n,lnj->ijkl", deltas, weights, deltas, optimize=True)
    metric = np.einsum("tai,taj->tij", to_plane, to_plane)
    n_frames, n_shapes = len(observed), len(deltas)
    hessian = (metric.reshape(n_frames, 9) @ gram.reshape(9, -1)).reshape(
        n_frames, n_shapes, n_shapes
    )
    in_world = np.einsum("tai,tna->tni", to_plane, motion * weights[:, None])
    gradient = in_world.reshape(n_frames, -1) @ deltas.reshape(n_shapes, -1).T
    hessian *= valid[:, None, None]  # a frame without a face follows its neighbours
    gradient *= valid[:, None]
    mean_curvature = np.einsum("tkk->k", hessian) / max(int(valid.sum()), 1)
    hessian = hessian + np.diag(precision) * valid[:, None, None]
    return _Problem(hessian, gradient, smoothing * SMOOTHNESS * (mean_curvature + precision))


def _solve(problem: _Problem) -> Float[np.ndarray, "T K"]:
    """Accelerated projected gradient (FISTA with restart) on all frames at once.

    Variables are scaled by the diagonal of their curvature, else jawOpen alone sets the step.
    """
    n_frames, n_shapes = problem.gradient.shape
    curvature = np.einsum("tkk->tk", problem.hessian).max(axis=0) + problem.smoothing
    scale = 1 / np.sqrt(curvature)
    hessian = problem.hessian * scale[:, None] * scale
    gradient = problem.gradient * scale
    smoothing = problem.smoothing * scale**2
    largest = np.linalg.eigvalsh(hessian.max(axis=0)).max() if n_frames else 1.0
    largest = max(float(np.linalg.eigvalsh(hessian[:: max(1, n_frames // 50)]).max()), largest)
    step = 1 / (largest + 16 * float(smoothing.max()))
    bands, upper = second_difference_bands(n_frames), 1 / scale

    def slope(at: Float[np.ndarray, "T K"]) -> Float[np.ndarray, "T K"]:
        return (hessian @ at[..., None])[..., 0] - gradient + smoothing * apply_bands(bands, at)

    now = ahead = np.zeros((n_frames, n_shapes))
    momentum = 1.0
    for _ in range(STEPS):
        after = np.clip(ahead - step * slope(ahead), 0, upper)
        if ((ahead - after) * (after - now)).sum() > 0:  # overshoot: restart the momentum
            momentum = 1.0
        following = (1 + np.sqrt(1 + 4 * momentum**2)) / 2
        ahead = after + (momentum - 1) / following * (after - now)
        now, momentum = after, following
    return now * scale


def fit_expression(
    path: HeadPath,
    neutral: Float[np.ndarray, "478 3"],
    observed: Float[np.ndarray, "T 478 2"],
    valid: Bool[np.ndarray, " T"],
    deltas: Float[np.ndarray, "52 478 3"],
    names: tuple[str, ...],
    ridge: float = 1.0,
    smoothing: float = 1.0,
) -> Float[np.ndarray, "T 52"]:
    """Coefficients of the face model's expression shapes, relative to the person's neutral face.

    Args:
        path: poses of all frames.
        neutral: the person at rest, metres, world.
        observed: landmarks, px.
        valid: frames with False take the values of their neighbours.
        deltas: metres at weight 1, world axes.
        names: of the deltas.
        ridge: factor on the pull to zero.
        smoothing: factor on the weight of the second differences.
    """
    used = [i for i, name in enumerate(names) if name not in MODEL_FREE]
    precision = ridge / _sigmas(tuple(names[i] for i in used)) ** 2
    problem = _problem(path, neutral, observed, valid, deltas[used], precision, smoothing)
    result = np.zeros((len(observed), len(names)))
    result[:, used] = _solve(problem)
    return result
