"""Motion of lip, lid and face points by a branch against their tracked motion."""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor

from emotalk_core.errors import NumericalError
from emotalk_core.losses.context import LandmarkMotion, LossContext

# Outer eye distances: at this error the squared loss pulls as hard as |error| would. A sound tells
# lip motion only in the mean, and the median that |error| asks for moves less far (see below).
ERROR_SCALE = 0.02


def landmark_motion(context: LossContext) -> Float[Tensor, ""]:
    """Weighted mean over frames and points of (dx^2 + dy^2) / (2 * `ERROR_SCALE`), eye distances.

    Photometric losses alone leave the mouth nearly shut; this one, as a warm start and kept low,
    cures it (study, run c_lmk). On the test part of the Obama clip, after 1600 steps of the warm
    start: amplitude of the lip gap 1.03 and correlation .80, against .80 and .64 of |dx| + |dy|.
    """
    return mean_error(context.landmarks, "landmark")


def mean_error(motion: LandmarkMotion | None, loss: str) -> Float[Tensor, ""]:
    """The squared error of `landmark_motion`, for any motion beside its target.

    Raises:
        NumericalError: the stage's data asks for a loss whose input its step does not make.
    """
    if motion is None:
        raise NumericalError(
            f"loss {loss}: the step gave no landmark motion; take {loss} out of this phase in "
            "training/stages.toml"
        )
    error = (motion.predicted - motion.target).square().sum(dim=-1)
    return (error * motion.weight).mean() / (2.0 * ERROR_SCALE)
