"""Size of the normal residuals."""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor

from emotalk_core.losses.context import LossContext, need


def squared_residual(context: LossContext) -> Float[Tensor, ""]:
    """Mean squared norm of Delta n (METHOD decision 4)."""
    residuals = need(context.normal_residuals, "normal_residual", "normal_residuals")
    return residuals.square().sum(dim=1).mean()
