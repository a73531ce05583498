"""Rotations in and out: quaternions (wxyz), matrices, axis-angle vectors and rigid motions."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

# Below this length a quaternion has no direction left: it stands for the identity.
MIN_QUAT_LENGTH = 1e-12
# Below this squared angle (rad^2) the Taylor series of sin and cos is exact to float64.
SMALL_ANGLE_SQUARED = 1e-8


def normalize_quats(quats: Float[Tensor, "*batch 4"]) -> Float[Tensor, "*batch 4"]:
    """Unit quaternions; one of zero length becomes the identity and gets no gradient."""
    length = quats.norm(dim=-1, keepdim=True)
    whole = length > MIN_QUAT_LENGTH
    identity = torch.zeros_like(quats)
    identity[..., 0] = 1.0
    # The inner `where` keeps the division finite, so that its gradient is 0 and not NaN.
    return torch.where(whole, quats / torch.where(whole, length, torch.ones_like(length)), identity)


def quats_to_rotmats(quats: Float[Tensor, "*batch 4"]) -> Float[Tensor, "*batch 3 3"]:
    """Rotation matrices of quaternions wxyz, which are normalised first."""
    w, x, y, z = normalize_quats(quats).unbind(-1)
    rows = [
        1 - 2 * (y * y + z * z),
        2 * (x * y - w * z),
        2 * (x * z + w * y),
        2 * (x * y + w * z),
        1 - 2 * (x * x + z * z),
        2 * (y * z - w * x),
        2 * (x * z - w * y),
        2 * (y * z + w * x),
        1 - 2 * (x * x + y * y),
    ]
    return torch.stack(rows, dim=-1).reshape(*quats.shape[:-1], 3, 3)


def rotmats_to_quats(rotmats: Float[Tensor, "*batch 3 3"]) -> Float[Tensor, "*batch 4"]:
    """Unit quaternions wxyz with w >= 0 of rotation matrices.

    Each of the four components can be found from the diagonal; the largest one is used as divisor,
    so no angle is badly conditioned.
    """
    m = rotmats
    xx, yy, zz = m[..., 0, 0], m[..., 1, 1], m[..., 2, 2]
    ww4, xx4, yy4, zz4 = 1 + xx + yy + zz, 1 + xx - yy - zz, 1 - xx + yy - zz, 1 - xx - yy + zz
    odd, even = m - m.mT, m + m.mT
    wx, wy, wz = odd[..., 2, 1], odd[..., 0, 2], odd[..., 1, 0]
    xy, xz, yz = even[..., 1, 0], even[..., 2, 0], even[..., 2, 1]
    squares = torch.stack([ww4, xx4, yy4, zz4], dim=-1)
    candidates = torch.stack(
        [
            torch.stack([ww4, wx, wy, wz], -1),
            torch.stack([wx, xx4, xy, xz], -1),
            torch.stack([wy, xy, yy4, yz], -1),
            torch.stack([wz, xz, yz, zz4], -1),
        ],
        dim=-2,
    )
    best = squares.argmax(-1)[..., None, None].expand(*squares.shape[:-1], 1, 4)
    quats = normalize_quats(candidates.gather(-2, best).squeeze(-2))
    return torch.where(quats[..., :1] < 0, -quats, quats)


def multiply_quats(
    left: Float[Tensor, "*batch 4"], right: Float[Tensor, "*batch 4"]
) -> Float[Tensor, "*batch 4"]:
    """Hamilton product: the rotation `right` followed by the rotation `left`."""
    a, b, c, d = left.unbind(-1)
    w, x, y, z = right.unbind(-1)
    return torch.stack(
        [
            a * w - b * x - c * y - d * z,
            a * x + b * w + c * z - d * y,
            a * y - b * z + c * w + d * x,
            a * z + b * y - c * x + d * w,
        ],
        dim=-1,
    )


def skew(vectors: Float[Tensor, "*batch 3"]) -> Float[Tensor, "*batch 3 3"]:
    """Matrices of the cross product with `vectors`."""
    x, y, z = vectors.unbind(-1)
    zero = torch.zeros_like(x)
    rows = [zero, -z, y, z, zero, -x, -y, x, zero]
    return torch.stack(rows, dim=-1).reshape(*vectors.shape[:-1], 3, 3)


def _angle_series(
    vectors: Float[Tensor, "*batch 3"],
) -> tuple[Tensor, Tensor, Tensor]:
    """sin(t)/t, (1-cos t)/t^2 and (t-sin t)/t^3 of the lengths t, smooth through zero."""
    squared = (vectors * vectors).sum(-1)[..., None, None]
    small = squared < SMALL_ANGLE_SQUARED
    safe = torch.where(small, torch.ones_like(squared), squared)
    angle = safe.sqrt()
    first = torch.where(small, 1 - squared / 6, angle.sin() / angle)
    second = torch.where(small, 0.5 - squared / 24, (1 - angle.cos()) / safe)
    third = torch.where(small, 1 / 6 - squared / 120, (angle - angle.sin()) / (safe * angle))
    return first, second, third


def axis_angles_to_rotmats(vectors: Float[Tensor, "*batch 3"]) -> Float[Tensor, "*batch 3 3"]:
    """Rotation matrices of axis-angle vectors, rad (Rodrigues); differentiable at zero."""
    first, second, _ = _angle_series(vectors)
    cross = skew(vectors)
    eye = torch.eye(3, dtype=vectors.dtype, device=vectors.device)
    return eye + first * cross + second * (cross @ cross)


def rigid_exp(twists: Float[Tensor, "*batch 6"]) -> Float[Tensor, "*batch 4 4"]:
    """Rigid motions [4,4] of twists (3 translation, metres; 3 rotation, rad); identity at zero.

    `rigid_exp(delta) @ viewmat` is the usual parametrisation of camera pose refinement.
    """
    translation, rotation = twists[..., :3], twists[..., 3:]
    _, second, third = _angle_series(rotation)
    cross = skew(rotation)
    eye = torch.eye(3, dtype=twists.dtype, device=twists.device)
    left = eye + second * cross + third * (cross @ cross)
    top = torch.cat([axis_angles_to_rotmats(rotation), left @ translation[..., None]], dim=-1)
    bottom = torch.zeros_like(top[..., :1, :])
    bottom[..., 0, 3] = 1.0
    return torch.cat([top, bottom], dim=-2)
