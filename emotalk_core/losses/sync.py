"""Lips that the avatar makes against the sound that drives them, by the configured sync expert."""

from __future__ import annotations

from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor

from emotalk_core.errors import NumericalError
from emotalk_core.losses.context import LossContext
from emotalk_core.speech.sync.network import SyncExpert


@dataclass(frozen=True)
class LandmarkRun:
    """Lip points of a run as the subject's landmark expert sees them.

    Attributes:
        expert: the subject's loss expert, frozen.
        lips: predicted lip shapes, as the expert takes them.
        heard: its vectors of the sound of the frames in the middle (REACH fewer at either end).
        true_distance: mean squared distance of the subject's own training frames.
    """

    expert: SyncExpert
    lips: Float[Tensor, "T 80"]
    heard: Float[Tensor, "t C"]
    true_distance: float

    def distance(self) -> Float[Tensor, ""]:
        """||S_I - S_A||^2 beyond the truth's."""
        return beyond_truth(self.expert.see(self.lips[None])[0], self.heard, self.true_distance)


def beyond_truth(
    seen: Float[Tensor, "t C"], heard: Float[Tensor, "t C"], true_distance: float
) -> Float[Tensor, ""]:
    """Mean squared distance, 0 where it is as small as the subject's own frames have it.

    Below that there is no gradient: lips that are more in sync than real ones only please the
    expert.
    """
    distance = (seen - heard).square().sum(dim=-1).mean()
    return (distance - true_distance).clamp_min(0.0)


def sync_distance(context: LossContext) -> Float[Tensor, ""]:
    """||S_I - S_A||^2 of a run of frames (METHOD 1.2, L_sync), by config `sync_loss.expert`.

    The default expert reads lip landmarks, not pixels: pixel gradients of an expert that does not
    know the person are adversarial (METHOD decision 7). `losses.pixel_sync` has those that do.
    """
    if context.sync is None:
        raise NumericalError(
            "loss sync: the step gave no run of frames; take sync out of this phase in "
            "training/stages.toml, or give a sync expert"
        )
    return context.sync.distance()
