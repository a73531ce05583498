"""Motion of lip, lid and face points by a branch against the mean of its teachers."""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor

from emotalk_core.losses.context import LossContext
from emotalk_core.losses.landmark import mean_error


def taught_motion(context: LossContext) -> Float[Tensor, ""]:
    """As `landmark_motion`, on frames of mixed sound that nobody tracked.

    What several branches of other seeds say of the lips of sound that they have not learnt by
    heart differs; their mean is nearer to the truth than each (docs/training.md).
    """
    return mean_error(context.taught, "taught")
