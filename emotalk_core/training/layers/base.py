"""What a stage draws: a model and a sample in, predictions and targets for its losses out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from jaxtyping import Float, Float32, Int
from torch import Tensor, nn

from emotalk_core.avatar.conditions import FrameCondition, make_condition
from emotalk_core.losses.context import LossContext, SyncRun
from emotalk_core.training.inputs import Bank, Clip
from emotalk_core.training.sampling import Sample
from emotalk_core.training.stages import Phase
from emotalk_core.training.sync_runs import SyncSource
from emotalk_core.training.targets import TargetReader


@dataclass(frozen=True)
class Step:
    """One step's comparison, and what densification looks at.

    Attributes:
        context: for the losses.
        probe: [N,2] zeros that receive the gradient of the projected centres, or None.
    """

    context: LossContext
    probe: Float[Tensor, "N 2"] | None = None


class Layer(Protocol):
    """A model as one stage sees it."""

    module: nn.Module
    gaussians: nn.ParameterDict
    prefix: str  # of the names of the module's Gaussians that may grow

    def lip_amplitude(self, frames: Int[np.ndarray, " B"]) -> float | None:
        """Standard deviation of the lip gap over the truth's; None where no lips are moved."""
        ...

    def step(self, phase: Phase, sample: Sample) -> Step:
        """Draw one sample."""
        ...

    def batch(self, phase: Phase, samples: Sequence[Sample]) -> Step:
        """Compare mesh motion of several frames without drawing."""
        ...

    def sync_run(self, phase: Phase, seed: int, step: int) -> SyncRun | None:
        """Lips of consecutive frames beside their sound; None where no expert is given."""
        ...


@dataclass(frozen=True)
class Scene:
    """What all layers share.

    Attributes:
        bank: emotion images, or None.
        use_emotion: whether (valence, arousal) is given to the model.
        sync: what the sync loss needs, None where no stage of the method has one.
        inside: colour of the inside of the mouth, RGB 0..255, behind the lips of drawn runs.
        frames: training frames whose sound is mixed for what teachers say.
    """

    clip: Clip
    reader: TargetReader
    bank: Bank | None
    use_emotion: bool
    device: torch.device
    sync: SyncSource | None = None
    inside: Float32[np.ndarray, " 3"] | None = None
    frames: Int[np.ndarray, " F"] | None = None

    def condition(self, sample: Sample) -> FrameCondition:
        """Inputs of a sample: a bank image keeps its frame's sound and action units."""
        table = self.clip.conditions
        emotion = None
        if self.use_emotion:
            emotion = table.emotion[sample.frame]
            if sample.image is not None and self.bank is not None:
                emotion = self.bank.emotion[sample.image]
        return make_condition(
            table.features, sample.frame, table.action_units[sample.frame], emotion, self.device
        )


def make_probe(gaussians: nn.ParameterDict, phase: Phase) -> Float[Tensor, "N 2"] | None:
    """Zeros that receive the gradient of the projected centres where a phase densifies."""
    if not phase.data.densify:
        return None
    means = gaussians["means"]
    return torch.zeros(len(means), 2, device=means.device, requires_grad=True)
