"""Landmark displacements in, dense backward flow out: background pinned, nothing folds."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from jaxtyping import Bool, Float

from emotalk_core.emotion.landmark_sets import BROW_POINTS, LIDS, LIP_OUTLINES
from emotalk_core.emotion.measures import eye_distance
from emotalk_core.perception.landmarks.topology import EYES, N_SURFACE, OVAL

N_CONTROLS = 190  # landmarks that carry the flow; more only slow the solve (study)
KERNEL_SOFTNESS = 0.02  # c of sqrt(r^2 + c^2), eye distances: rounds the kernel's tip
REGULARISATION = 1e-3  # lets the flow miss a control by about 0.1 % of its motion: smoother
RINGS = (1.18, 1.6)  # zero-motion rings outside the face oval, as scale factors about its centre
WINDOW = 1.08  # the flow fades to exact zero around the oval scaled by this: nothing behind bends
WINDOW_SIGMA = 0.03  # softness of that edge, eye distances
BLUR_REACH = 4  # sigmas after which a float32 Gaussian blur is exactly zero
CELL_SHARE = 0.03  # grid step of the kernel sum, eye distances (then cubic interpolation)
CELL_RANGE = (2, 8)  # px
MIN_JACOBIAN = 0.2  # smallest local area change that is allowed: below, skin visibly piles up
MAX_GUARD_ROUNDS = 3


@dataclass(frozen=True)
class WarpFlow:
    """Backward flow: output pixel (x, y) shows source pixel (x, y) + flow[y, x].

    Attributes:
        flow: [H,W,2] px (x, y).
        depth: [H,W] how far the surface moved away from the camera, px.
        displacements: [478,3] the landmark motion that was realised, px.
        gain: share of the wanted motion that the fold guard left.
        smallest_jacobian: smallest determinant of the backward map outside the eye openings.
    """

    flow: Float[np.ndarray, "H W 2"]
    depth: Float[np.ndarray, "H W"]
    displacements: Float[np.ndarray, "478 3"]
    gain: float
    smallest_jacobian: float


def choose_controls(positions: Float[np.ndarray, "478 3"], count: int = N_CONTROLS) -> list[int]:
    """Landmarks that carry the flow: lips, lids, brows, then farthest-point sampling of the skin.

    Irises are never controls (lids and iris together tear the eye); the oval is pinned elsewhere.
    """
    chosen = sorted({*LIP_OUTLINES, *EYES, *BROW_POINTS})
    skin = positions[:N_SURFACE]
    distance = np.linalg.norm(skin[:, None] - skin[None, chosen], axis=2).min(axis=1)
    distance[list(OVAL)] = 0.0
    while len(chosen) < count:
        farthest = int(distance.argmax())
        chosen.append(farthest)
        distance = np.minimum(distance, np.linalg.norm(skin - skin[farthest], axis=1))
    return chosen


def guarded_flow(
    landmarks: Float[np.ndarray, "478 2"],
    displacements: Float[np.ndarray, "478 3"],
    controls: Sequence[int],
    size: tuple[int, int],
) -> WarpFlow:
    """Flow that realises the displacements, weakened as a whole until nothing folds.

    For a flow scaled by g the determinant is 1 + g*trace + g^2*det of its gradient at every pixel,
    so the largest allowed g follows in closed form and changes smoothly from frame to frame.

    Args:
        landmarks: px.
        displacements: px (x, y, depth).
        controls: from `choose_controls`.
        size: (height, width), px.
    """
    wanted, gain = np.asarray(displacements, dtype=np.float64), 1.0
    checked = ~_eye_zone(landmarks, wanted, size)
    for _ in range(MAX_GUARD_ROUNDS):
        flow = radial_flow(landmarks, gain * wanted, controls, size)
        trace, determinant = _gradient_invariants(flow[..., :2])
        allowed = largest_gain(trace[checked], determinant[checked], MIN_JACOBIAN)
        if allowed >= 1:
            break
        gain *= allowed
        flow *= allowed
        trace, determinant = allowed * trace, allowed**2 * determinant
    jacobian = 1 + trace + determinant
    return WarpFlow(
        flow=np.ascontiguousarray(flow[..., :2]),
        depth=np.ascontiguousarray(flow[..., 2]),
        displacements=gain * wanted,
        gain=gain,
        smallest_jacobian=float(jacobian[checked].min()),
    )


def largest_gain(
    trace: Float[np.ndarray, " N"], determinant: Float[np.ndarray, " N"], floor: float
) -> float:
    """Largest g in [0,1] with 1 + g*trace + g^2*determinant >= floor everywhere."""
    lowest = np.minimum(1 + trace + determinant, 1 + trace / 2 + determinant / 4)
    suspects = lowest < 2 * floor  # the others stay above the floor on all of [0,1]
    if not suspects.any():
        return 1.0
    t, d = trace[suspects].astype(np.float64), determinant[suspects].astype(np.float64)
    c = 1 - floor
    # smallest positive root of d g^2 + t g + c = 0 in the form that is stable for d -> 0
    root = np.sqrt(np.maximum(t * t - 4 * d * c, 0.0))
    below = t * t - 4 * d * c >= 0
    denominator = -t + root
    first = np.where(below & (denominator > 0), 2 * c / np.maximum(denominator, 1e-12), 1.0)
    return float(np.clip(first.min(), 0.0, 1.0))


def radial_flow(
    landmarks: Float[np.ndarray, "478 2"],
    displacements: Float[np.ndarray, "478 3"],
    controls: Sequence[int],
    size: tuple[int, int],
) -> Float[np.ndarray, "H W 3"]:
    """Radial-basis interpolation (multiquadric plus affine) of the backward motion, windowed.

    Centres lie where the controls arrive, so that output pixel = arrived control takes exactly its
    source pixel. Channels: flow x, flow y, depth.
    """
    points = np.asarray(landmarks[:, :2], dtype=np.float64)
    unit = eye_distance(points)
    centre = points[list(OVAL)].mean(axis=0)
    oval = points[list(OVAL)] - centre
    inner, outer = (centre + scale * oval for scale in RINGS)
    pinned = np.vstack([points[list(OVAL)], inner[::2], outer[::3]])
    ids = list(controls)
    arrive = np.vstack([points[ids] + displacements[ids, :2], pinned]) / unit
    motion = np.zeros((len(arrive), 3))
    motion[: len(ids), :2] = -displacements[ids, :2]
    motion[: len(ids), 2] = displacements[ids, 2]
    weights = _solve(arrive, motion)

    def field(
        xs: Float[np.ndarray, " w"], ys: Float[np.ndarray, " h"]
    ) -> Float[np.ndarray, "h w 3"]:
        return _evaluate(xs / unit, ys / unit, arrive, weights)

    return _windowed(field, centre + WINDOW * oval, unit, size)


def _windowed(
    field: Callable[[np.ndarray, np.ndarray], np.ndarray],
    edge: Float[np.ndarray, "N 2"],
    unit: float,
    size: tuple[int, int],
) -> Float[np.ndarray, "H W 3"]:
    """A smooth field on every pixel inside a soft outline, exactly zero outside.

    Args:
        field: values [h,w,3] on the grid of xs [w], ys [h], px; asked on a coarse grid only.
        edge: outline, px.
        unit: outer eye distance, px.
        size: (height, width), px.
    """
    height, width = size
    cell = int(np.clip(round(unit * CELL_SHARE), *CELL_RANGE))
    sigma = WINDOW_SIGMA * unit
    reach = BLUR_REACH * sigma + 1
    low = np.maximum(np.floor(edge.min(axis=0) - reach).astype(int), 0)
    high = np.minimum(np.ceil(edge.max(axis=0) + reach).astype(int), [width, height])
    result = np.zeros((height, width, 3), np.float32)
    if (high - low).min() < 2 * cell:
        return result  # the face lies outside the picture
    xs = np.arange(low[0], high[0] + cell, cell) + 0.5  # landmarks count from pixel corners
    ys = np.arange(low[1], high[1] + cell, cell) + 0.5
    grid = field(xs, ys)
    scale = np.array([[cell, 0, 0], [0, cell, 0]], dtype=np.float64)
    dense = cv2.warpAffine(
        grid,
        scale,
        (int(high[0] - low[0]), int(high[1] - low[1])),
        flags=cv2.INTER_CUBIC,
        borderMode=cv2.BORDER_REPLICATE,
    )
    window = _window(edge - low, (int(high[1] - low[1]), int(high[0] - low[0])), sigma)
    result[low[1] : high[1], low[0] : high[0]] = dense * window[..., None]
    return result


def _solve(
    arrive: Float[np.ndarray, "N 2"], motion: Float[np.ndarray, "N 3"]
) -> Float[np.ndarray, "M 3"]:
    """Kernel weights [N] and affine rows [3] of the interpolant."""
    n = len(arrive)
    dx, dy = (arrive[:, None, axis] - arrive[None, :, axis] for axis in (0, 1))
    system = np.zeros((n + 3, n + 3))
    system[:n, :n] = np.sqrt(dx * dx + dy * dy + KERNEL_SOFTNESS**2)
    # the multiquadric is conditionally NEGATIVE definite, hence the minus
    system[np.arange(n), np.arange(n)] -= REGULARISATION
    system[:n, n] = system[n, :n] = 1.0
    system[:n, n + 1 :] = arrive
    system[n + 1 :, :n] = arrive.T
    return np.linalg.solve(system, np.vstack([motion, np.zeros((3, 3))]))


def _evaluate(
    xs: Float[np.ndarray, " W"],
    ys: Float[np.ndarray, " H"],
    arrive: Float[np.ndarray, "N 2"],
    weights: Float[np.ndarray, "M 3"],
) -> Float[np.ndarray, "H W 3"]:
    """Kernel sum on a grid; squared distances are sums of one x and one y part."""
    n = len(arrive)
    dx2 = ((xs[:, None] - arrive[None, :, 0]) ** 2 + KERNEL_SOFTNESS**2).astype(np.float32)
    dy2 = ((ys[:, None] - arrive[None, :, 1]) ** 2).astype(np.float32)
    kernel = weights[:n].astype(np.float32)
    grid = np.empty((len(ys), len(xs), 3), np.float32)
    for row, part in enumerate(dy2):  # row by row: the working set stays in the cache
        grid[row] = np.sqrt(dx2 + part) @ kernel
    affine = weights[n:]
    plane = affine[0] + xs[None, :, None] * affine[1] + ys[:, None, None] * affine[2]
    return grid + plane.astype(np.float32)


def _window(
    outline: Float[np.ndarray, "N 2"], size: tuple[int, int], sigma: float
) -> Float[np.ndarray, "H W"]:
    """Soft-edged inside of a convex outline, 0..1."""
    mask = np.zeros(size, np.float32)
    cv2.fillConvexPoly(mask, cv2.convexHull(outline.astype(np.int32)), (1.0,))
    return cv2.GaussianBlur(mask, (0, 0), sigma)


def _gradient_invariants(
    flow: Float[np.ndarray, "H W 2"],
) -> tuple[Float[np.ndarray, "H W"], Float[np.ndarray, "H W"]]:
    """Trace and determinant of the flow's gradient at every pixel (central differences)."""
    kernel = np.array([-0.5, 0.0, 0.5], np.float32)
    one = np.ones(1, np.float32)
    dx = cv2.sepFilter2D(flow, cv2.CV_32F, kernel, one, borderType=cv2.BORDER_REPLICATE)
    dy = cv2.sepFilter2D(flow, cv2.CV_32F, one, kernel, borderType=cv2.BORDER_REPLICATE)
    trace = dx[..., 0] + dy[..., 1]
    determinant = dx[..., 0] * dy[..., 1] - dx[..., 1] * dy[..., 0]
    return trace, determinant


def _eye_zone(
    landmarks: Float[np.ndarray, "478 2"],
    displacements: Float[np.ndarray, "478 3"],
    size: tuple[int, int],
) -> Bool[np.ndarray, "H W"]:
    """Inside of the eyes after the motion, grown by a pixel: painted by the eye layer."""
    zone = np.zeros(size, np.uint8)
    arrived = landmarks[:, :2] + displacements[:, :2]
    for upper, lower in LIDS.values():
        ids = [*upper, *lower[::-1]]
        cv2.fillPoly(zone, [np.round(arrived[ids] - 0.5).astype(np.int32)], (1,))
    return cv2.dilate(zone, np.ones((3, 3), np.uint8)) > 0
