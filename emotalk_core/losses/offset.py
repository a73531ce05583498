"""Size of the deformation."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from emotalk_core.errors import NumericalError
from emotalk_core.losses.context import LossContext

MEANS_GAIN = 100.0  # brings metres to the order of raw scale and rotation offsets


def mean_offset(context: LossContext) -> Float[Tensor, ""]:
    """Sum of the mean absolute offsets of position, scale and rotation (METHOD 2.5, regs)."""
    if not context.offsets:
        raise NumericalError(
            "loss offset: the step deforms nothing; take offset out of this phase in "
            "training/stages.toml"
        )
    parts: list[Tensor] = []
    for offsets in context.offsets:
        parts.append(offsets.means.abs().mean() * MEANS_GAIN)
        parts.extend(x.abs().mean() for x in (offsets.scales, offsets.quats) if x is not None)
    return torch.stack(parts).sum()
