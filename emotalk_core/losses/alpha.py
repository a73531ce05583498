"""Distance of a layer's opacity to its soft mask."""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor

from emotalk_core.losses.context import LossContext, need


def alpha_l1(context: LossContext) -> Float[Tensor, ""]:
    """Weighted mean absolute difference to the soft mask; hair borders carry a low weight."""
    alpha = need(context.alpha, "alpha", "alpha")
    error = (alpha - need(context.target_alpha, "alpha", "target_alpha")).abs()
    return (error if context.alpha_weight is None else error * context.alpha_weight).mean()
