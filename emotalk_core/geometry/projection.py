"""Pinhole projection of points and Gaussians, OpenCV axes: world in, pixels out (EWA splatting)."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from emotalk_core.geometry.rotations import quats_to_rotmats

# The local affine projection is taken at most this share of the half field of view outside the
# image, so that Gaussians at the border do not explode (gsplat, 3DGS).
FRUSTUM_MARGIN = 0.3


def world_to_camera(
    points: Float[Tensor, "N 3"], viewmat: Float[Tensor, "4 4"]
) -> Float[Tensor, "N 3"]:
    """Points in camera space, metres."""
    return points @ viewmat[:3, :3].T + viewmat[:3, 3]


def camera_centre(viewmat: Float[Tensor, "4 4"]) -> Float[Tensor, " 3"]:
    """Position of the camera in the world, metres (last column of the inverse, as in gsplat)."""
    return -torch.linalg.solve(viewmat[:3, :3], viewmat[:3, 3])


def project_points(
    points: Float[Tensor, "N 3"], K: Float[Tensor, "3 3"], viewmat: Float[Tensor, "4 4"]
) -> tuple[Float[Tensor, "N 2"], Float[Tensor, " N"]]:
    """Pixel positions and depths (metres) of world points; depth <= 0 means behind the camera."""
    camera = world_to_camera(points, viewmat)
    depth = camera[:, 2]
    focal = torch.stack([K[0, 0], K[1, 1]])
    return camera[:, :2] / depth[:, None] * focal + K[:2, 2], depth


def covariance_factors(
    quats: Float[Tensor, "N 4"], scales: Float[Tensor, "N 3"]
) -> Float[Tensor, "N 3 3"]:
    """M = R diag(scales) with covariance M M^T; scales are standard deviations, metres."""
    return quats_to_rotmats(quats) * scales[:, None, :]


def projection_jacobians(
    camera_points: Float[Tensor, "N 3"], K: Float[Tensor, "3 3"], width: int, height: int
) -> Float[Tensor, "N 2 3"]:
    """Jacobians of the pinhole projection at camera-space points, px per metre.

    The direction is clamped to the image plus FRUSTUM_MARGIN of the half field of view.
    """
    fx, fy, cx, cy = K[0, 0], K[1, 1], K[0, 2], K[1, 2]
    x, y, z = camera_points.unbind(-1)
    margin_x, margin_y = FRUSTUM_MARGIN * 0.5 * width / fx, FRUSTUM_MARGIN * 0.5 * height / fy
    u = torch.clamp(x / z, min=-(cx / fx + margin_x), max=(width - cx) / fx + margin_x)
    v = torch.clamp(y / z, min=-(cy / fy + margin_y), max=(height - cy) / fy + margin_y)
    zero = torch.zeros_like(z)
    rows = [fx / z, zero, -fx * u / z, zero, fy / z, -fy * v / z]
    return torch.stack(rows, dim=-1).reshape(-1, 2, 3)


def project_covariances(
    factors: Float[Tensor, "N 3 3"],
    camera_points: Float[Tensor, "N 3"],
    K: Float[Tensor, "3 3"],
    viewmat: Float[Tensor, "4 4"],
    size: tuple[int, int],
    eps2d: float,
) -> Float[Tensor, "N 2 2"]:
    """Image-space covariances, px^2, with `eps2d` added to the diagonal (low-pass of a pixel).

    Args:
        factors: M of `covariance_factors`, world.
        camera_points: [N,3] centres in camera space, metres.
        K: intrinsics, px.
        viewmat: world-to-camera.
        size: (width, height), px.
        eps2d: px^2.
    """
    jacobians = projection_jacobians(camera_points, K, *size)
    half = jacobians @ (viewmat[:3, :3] @ factors)
    return half @ half.mT + eps2d * torch.eye(2, dtype=factors.dtype, device=factors.device)
