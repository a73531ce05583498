"""Smoothness of splatted normals."""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor

from emotalk_core.losses.context import LossContext, need


def normal_total_variation(context: LossContext) -> Float[Tensor, ""]:
    """Mean absolute step between neighbour pixels that both have normals (METHOD 1.2, TV(N))."""
    normals = need(context.normals, "normal_tv", "normals")
    mask = need(context.normal_mask, "normal_tv", "normal_mask")
    across = mask[:, 1:] * mask[:, :-1]
    down = mask[1:] * mask[:-1]
    steps = ((normals[:, :, 1:] - normals[:, :, :-1]).abs().mean(dim=0) * across).sum()
    steps = steps + ((normals[:, 1:] - normals[:, :-1]).abs().mean(dim=0) * down).sum()
    return steps / (across.sum() + down.sum()).clamp_min(1.0)
