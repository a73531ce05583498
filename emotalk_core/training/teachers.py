"""Branches of other seeds that learn the same motion; their mean teaches the avatar's own branch.

A short clip tells little of how lips follow a sound, and branches of different seeds fill the rest
differently. Their mean predicts unseen frames better than each of them, and one branch learns that
mean from sound that none of them has learnt by heart: pairs of training windows, mixed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from emotalk_core.avatar.branches import DeformationBranch
from emotalk_core.avatar.conditions import FrameCondition
from emotalk_core.avatar.encoders import AudioEncoder
from emotalk_core.avatar.model import FaceModel

TEACHERS = 3  # their mean already explains a third more of the lips than each (docs/training.md)
LARGEST_SHARE = 0.5  # of the second window in a mixed one

Codes = Mapping[str, Float[Tensor, "B C"]]


class Teacher(nn.Module):
    """A sound encoder and a branch."""

    def __init__(self, model: FaceModel) -> None:
        super().__init__()
        own = model.audio
        self.audio = AudioEncoder(len(own.mean))
        self.audio.mean.copy_(own.mean)
        self.audio.std.copy_(own.std)
        self.audio.noise.std, self.audio.dropout.p = own.noise.std, own.dropout.p
        kernels = (model.compute.backend, model.compute.threads)
        self.branch = DeformationBranch(model.branch.spec, *kernels)

    def forward(
        self, points: Float[Tensor, "L 3"], audio: Float[Tensor, "B 8 W D"], codes: Codes
    ) -> Float[Tensor, "B L 3"]:
        """Motion of points, metres; of the codes all but the sound's are taken."""
        return self.branch.motion(points, {**codes, "audio": self.audio(audio)})


class Teachers(nn.Module):
    """Several of them, with start values from torch's own generator."""

    def __init__(self, model: FaceModel) -> None:
        """For a model whose statistics and noise are set."""
        super().__init__()
        self.members = nn.ModuleList([Teacher(model) for _ in range(TEACHERS)])

    def forward(
        self, points: Float[Tensor, "L 3"], audio: Float[Tensor, "B 8 W D"], codes: Codes
    ) -> Float[Tensor, "M B L 3"]:
        """The motion that each says, metres."""
        return torch.stack([member(points, audio, codes) for member in self.members])

    def mean(
        self, points: Float[Tensor, "L 3"], audio: Float[Tensor, "B 8 W D"], codes: Codes
    ) -> Float[Tensor, "B L 3"]:
        """What they say together, without noise or gradient."""
        noisy = self.training
        self.eval()
        with torch.no_grad():
            said = self(points, audio, codes).mean(dim=0)
        self.train(noisy)
        return said


def mixed_conditions(
    frames: Int[np.ndarray, " F"], count: int, condition: Callable[[int], FrameCondition]
) -> list[FrameCondition]:
    """Mixed sound of two training frames with the action units (and emotion) of a third.

    Drawn from torch's own generator, which the loop seeds in every step.

    Args:
        frames: what may be drawn.
        count: how many.
        condition: inputs of one frame.
    """
    drawn = frames[torch.randint(len(frames), (count, 3)).numpy()]
    shares = LARGEST_SHARE * torch.rand(count)
    mixed = []
    for triple, share in zip(drawn, shares.tolist()):
        one, other, rest = (condition(int(frame)) for frame in triple)
        audio = torch.lerp(one.audio, other.audio, share)
        mixed.append(FrameCondition(audio, rest.action_units, rest.emotion))
    return mixed
