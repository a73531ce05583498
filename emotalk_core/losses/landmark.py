"""Motion of lip, lid and face points by a branch against their tracked motion."""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor

from emotalk_core.errors import NumericalError
from emotalk_core.losses.context import LossContext


def landmark_motion(context: LossContext) -> Float[Tensor, ""]:
    """Weighted mean over frames and points of |dx| + |dy|, in outer eye distances.

    Photometric losses alone leave the mouth nearly shut; this one, as a warm start and kept low,
    cures it (study, run c_lmk).
    """
    motion = context.landmarks
    if motion is None:
        raise NumericalError(
            "loss landmark: the step gave no landmark motion; take landmark out of this phase in "
            "training/stages.toml"
        )
    error = (motion.predicted - motion.target).abs().sum(dim=-1)
    return (error * motion.weight).mean()
