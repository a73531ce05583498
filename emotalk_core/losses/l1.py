"""Weighted mean absolute error of the composited picture."""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor

from emotalk_core.losses.context import LossContext, need


def weighted_l1(context: LossContext) -> Float[Tensor, ""]:
    """Mean over pixels and channels of weight * |image - target| (METHOD 1.2, L1)."""
    image = need(context.image, "l1", "image")
    target = need(context.target, "l1", "target")
    error = (image - target).abs().mean(dim=0)
    return (error if context.weight is None else error * context.weight).mean()
