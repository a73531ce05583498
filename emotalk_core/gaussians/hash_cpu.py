"""The compiled tri-plane hash encoder as a differentiable torch operation (float32, CPU)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from jaxtyping import Float
from torch import Tensor
from torch.autograd.function import once_differentiable

from emotalk_core.gaussians.conventions import non_finite
from emotalk_core.gaussians.kernels import load, view

if TYPE_CHECKING:
    from emotalk_core.gaussians.hash_grid import GridLayout


class _Encode(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, points: Tensor, tables: Tensor, layout: Any, threads: int) -> Tensor:
        width = 3 * len(layout.resolutions) * tables.shape[1]
        out = torch.empty(len(points), width)
        shape = (list(layout.resolutions), list(layout.sizes), layout.bound, threads)
        if not load().hash_forward(view(points), view(tables), view(out), *shape):
            raise non_finite("points")
        ctx.save_for_backward(points, tables)
        ctx.shape = shape
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        points, tables = ctx.saved_tensors
        to_points = torch.empty_like(points) if ctx.needs_input_grad[0] else None
        to_tables = torch.empty_like(tables) if ctx.needs_input_grad[1] else None
        arrays = map(view, (points, tables, gradient, to_tables, to_points))
        load().hash_backward(*arrays, *ctx.shape)
        return to_points, to_tables, None, None


def encode_cpu(
    points: Float[Tensor, "N 3"],
    tables: Float[Tensor, "T F"],
    layout: GridLayout,
    threads: int,
) -> Float[Tensor, "N D"]:
    """Features of points; see `TriPlaneHashGrid`."""
    return _Encode.apply(points.contiguous(), tables.contiguous(), layout, threads)
