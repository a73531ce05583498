"""One drawn head beside one frame in; Gauss-Newton equations of the frame's pose out.

The picture of a rigid head moves with the flow of its surface, which the drawn depth gives: one
drawing a step holds the derivative by all six numbers of a pose.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Float32

from emotalk_core.geometry.turns import left_jacobian, skew

HUBER = 1.5  # in standard deviations of the frame's residuals
SIGMA_FLOOR = 0.004  # of full scale: a perfect fit must not get an infinite weight
SOLID = 0.05  # opacity from which the drawn depth is trusted
INDEPENDENT = 200.0  # a frame's pixels count as so many independent ones: neighbours err together


@dataclass(frozen=True)
class Equations:
    """Gauss-Newton block and gradient of one pose, and the residuals' standard deviation."""

    block: Float[np.ndarray, "6 6"]
    gradient: Float[np.ndarray, " 6"]
    sigma: float


def surface_flow(
    depth: Float32[np.ndarray, " P"],
    pixels: Float[np.ndarray, "P 2"],
    intrinsics: Float[np.ndarray, "3 3"],
    turn: Float[np.ndarray, " 3"],
    shift: Float[np.ndarray, " 3"],
) -> tuple[Float[np.ndarray, "P 6"], Float[np.ndarray, "P 6"]]:
    """Derivative of a surface point's x and y (px) by the pose's rotation vector and shift.

    Args:
        depth: metres.
        pixels: px.
        intrinsics: of the camera.
        turn: rotation vector, rad.
        shift: metres.
    """
    focal = intrinsics[0, 0]
    plane = (pixels - intrinsics[:2, 2]) / focal
    camera = np.column_stack([plane * depth[:, None], depth])
    by_turn = -skew(camera - shift) @ left_jacobian(turn[None])[0]
    flows = []
    for axis in (0, 1):
        row = np.zeros((len(depth), 6))
        row[:, :3] = by_turn[:, axis] - plane[:, axis, None] * by_turn[:, 2]
        row[:, 3 + axis] = 1.0
        row[:, 5] = -plane[:, axis]
        flows.append(row * (focal / depth)[:, None])
    return flows[0], flows[1]


def pose_equations(
    drawn: Float32[np.ndarray, "H W 3"],
    alpha: Float32[np.ndarray, "H W"],
    depth: Float32[np.ndarray, "H W"],
    frame: Float32[np.ndarray, "H W 3"],
    weight: Float32[np.ndarray, "H W"],
    intrinsics: Float[np.ndarray, "3 3"],
    turn: Float[np.ndarray, " 3"],
    shift: Float[np.ndarray, " 3"],
) -> Equations:
    """Linear model of frame - drawn around the pose (turn, shift) that `drawn` shows.

    Args:
        drawn: composited picture of the rigid head, 0..1.
        alpha: of the head alone.
        depth: metres.
        frame: truth.
        weight: importance of each pixel; 0 where the face moves by itself.
        intrinsics: of the camera.
        turn: rotation vector, rad.
        shift: metres.
    """
    rows, columns = np.nonzero((alpha > SOLID) & (weight > 0))
    down, across = np.gradient(drawn, axis=(0, 1))
    down, across = down[rows, columns].astype(np.float64), across[rows, columns].astype(np.float64)
    residual = (drawn - frame)[rows, columns].astype(np.float64)
    share = weight[rows, columns].astype(np.float64)
    size = np.sqrt((residual**2).mean(axis=1))
    sigma = float(np.median(size[share > 0])) + SIGMA_FLOOR
    share = share / np.maximum(1.0, size / (HUBER * sigma))
    share *= INDEPENDENT / (share.sum() * 3.0 * sigma**2)
    flow_x, flow_y = surface_flow(
        depth[rows, columns].astype(np.float64),
        np.column_stack([columns + 0.5, rows + 0.5]),
        intrinsics,
        turn,
        shift,
    )
    xx, xy, yy = (
        (share * (a * b).sum(axis=1))[:, None]
        for a, b in ((across, across), (across, down), (down, down))
    )
    block = flow_x.T @ (xx * flow_x + xy * flow_y) + flow_y.T @ (xy * flow_x + yy * flow_y)
    # a moved surface shows at x what was at x - flow: the residual changes by -slope * flow
    pull_x, pull_y = (share * (g * residual).sum(axis=1) for g in (across, down))
    return Equations(block, -(flow_x.T @ pull_x + flow_y.T @ pull_y), sigma)
