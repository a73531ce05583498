"""Distance of splatted normals to predicted ones."""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor

from emotalk_core.losses.context import LossContext, need


def normal_l1(context: LossContext) -> Float[Tensor, ""]:
    """Mean absolute difference where the frame has normals (METHOD 1.2, L1(N))."""
    normals = need(context.normals, "normal", "normals")
    target = need(context.target_normals, "normal", "target_normals")
    mask = need(context.normal_mask, "normal", "normal_mask")
    error = (normals - target).abs().mean(dim=0) * mask
    return error.sum() / mask.sum().clamp_min(1.0)
