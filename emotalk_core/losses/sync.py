"""Lips that the avatar makes against the sound that drives them, by the subject's sync expert."""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor

from emotalk_core.errors import NumericalError
from emotalk_core.losses.context import LossContext


def sync_distance(context: LossContext) -> Float[Tensor, ""]:
    """||S_I - S_A||^2 of a run of frames (METHOD 1.2, L_sync), 0 where it is as small as the truth.

    The expert reads lip landmarks, not pixels: pixel gradients of an expert that does not know the
    person are adversarial (METHOD decision 7). Below the distance that the subject's own frames
    have it gives no gradient: lips that are more in sync than real ones only please the expert.
    """
    run = context.sync
    if run is None:
        raise NumericalError(
            "loss sync: the step gave no run of frames; take sync out of this phase in "
            "training/stages.toml, or give a sync expert"
        )
    seen = run.expert.see(run.lips[None])[0]
    distance = (seen - run.heard).square().sum(dim=-1).mean()
    return (distance - run.true_distance).clamp_min(0.0)
