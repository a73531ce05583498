"""Normals of Gaussians and of images: orientations, scales and residuals in, unit vectors out."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from emotalk_core.geometry.rotations import quats_to_rotmats

# Shorter vectors have no direction: they stay as short as they are instead of being divided by 0.
MIN_NORMAL_LENGTH = 1e-12


def shortest_axes(
    quats: Float[Tensor, "N 4"], scales: Float[Tensor, "N 3"]
) -> Float[Tensor, "N 3"]:
    """The COLUMN of each rotation that belongs to its smallest scale (METHOD decision 4).

    `scales` may be raw logarithms: only their order counts.
    """
    index = scales.argmin(dim=-1)[:, None, None].expand(-1, 3, 1)
    return quats_to_rotmats(quats).gather(2, index).squeeze(-1)


def gaussian_normals(
    quats: Float[Tensor, "N 4"],
    scales: Float[Tensor, "N 3"],
    residuals: Float[Tensor, "N 3"] | None,
    view_directions: Float[Tensor, "N 3"],
) -> Float[Tensor, "N 3"]:
    """World-space normals n = normalize(v + Delta n) of Gaussians (METHOD 1.1).

    Args:
        quats: [N,4] wxyz.
        scales: [N,3], raw or not.
        residuals: [N,3] Delta n, world axes, or None for zero.
        view_directions: [N,3] from the camera to each Gaussian; v is flipped to point against them.
    """
    axes = shortest_axes(quats, scales)
    away = (axes * view_directions).sum(-1, keepdim=True) > 0
    axes = torch.where(away, -axes, axes)
    raw = axes if residuals is None else axes + residuals
    return torch.nn.functional.normalize(raw, dim=-1, eps=MIN_NORMAL_LENGTH)
