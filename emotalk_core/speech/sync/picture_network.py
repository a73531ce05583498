"""Pictures of a mouth and sound in, unit vectors that agree where both belong together out.

The sound tower is that of the subject's landmark expert; only what sees is new.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from emotalk_core.errors import ArtifactError, explain
from emotalk_core.media.checkpoints import load_checkpoint, save_checkpoint
from emotalk_core.speech.sync.lip_pictures import SIDE
from emotalk_core.speech.sync.network import ExpertSpec, SyncExpert, lip_tower
from emotalk_core.speech.sync.sounds import SHAPES

KIND = "sync_picture_expert"
PICTURE_ID = "sync-pictures-1"
WIDTHS = (16, 32, 64)  # channels after each halving of the picture
SEEN = 64  # numbers that a picture becomes
GROUPS = 4  # of the normalisation
CONTRAST = 5.0  # mouths differ by about a fifth of full scale from their mean


class PictureExpert(nn.Module):
    """Two towers that map 0.2 s of mouth pictures and 0.2 s of sound to the same sphere.

    Args:
        sound: whose sound tower listens; it is not trained any more.
    """

    mean: Tensor

    def __init__(self, sound: SyncExpert) -> None:
        super().__init__()
        self.spec: ExpertSpec = sound.spec
        self.register_buffer("mean", torch.zeros(3, SIDE, SIDE))
        layers: list[nn.Module] = []
        for fan_in, width in zip((3, *WIDTHS[:-1]), WIDTHS):
            layers += [nn.Conv2d(fan_in, width, 4, 2, 1), nn.GroupNorm(GROUPS, width), nn.ReLU()]
        side = SIDE // 2 ** len(WIDTHS)
        self.eye = nn.Sequential(*layers, nn.Flatten(), nn.Linear(WIDTHS[-1] * side**2, SEEN))
        self.lip_tower = lip_tower(SEEN, sound.spec.code)
        self.sound_tower = copy.deepcopy(sound.sound_tower)
        self.sharpness = copy.deepcopy(sound.sharpness)

    @property
    def per_frame(self) -> int:
        """Columns of sound of each frame."""
        return SHAPES[self.spec.sound].per_frame

    def see(self, pictures: Float[Tensor, "B T 3 S S"]) -> Float[Tensor, "B t C"]:
        """Vectors of the frames REACH .. T-REACH-1; pictures in 0..1."""
        apart = (pictures - self.mean).flatten(0, 1) * CONTRAST
        seen = self.eye(apart).reshape(*pictures.shape[:2], SEEN)
        return functional.normalize(self.lip_tower(seen.transpose(1, 2)).transpose(1, 2), dim=-1)

    def listen(self, sound: Float[Tensor, "B S D"]) -> Float[Tensor, "B t C"]:
        """Vectors of the same frames of sound."""
        return functional.normalize(self.sound_tower(sound.transpose(1, 2)).transpose(1, 2), dim=-1)


@dataclass(frozen=True)
class SubjectPictures:
    """The pixel expert of one subject.

    Attributes:
        expert: adapted to the subject's training part.
        true_distance: mean squared distance that the subject's own training frames have.
    """

    expert: PictureExpert
    true_distance: float


def save_picture_expert(path: Path, subject: SubjectPictures, facts: Mapping[str, Any]) -> None:
    """Write the pixel expert of one subject in half precision."""
    state = subject.expert.state_dict()
    tensors = {k: v.half() if v.is_floating_point() else v for k, v in state.items()}
    own = {"true_distance": subject.true_distance, "spec": subject.expert.spec.to_dict()}
    save_checkpoint(path, tensors, KIND, {**facts, **own})


def load_picture_expert(path: Path) -> SubjectPictures:
    """Inverse of `save_picture_expert`; frozen.

    Raises:
        ArtifactError: the file is no pixel expert or has other tensors.
    """
    tensors, facts = load_checkpoint(path, KIND)
    expert = PictureExpert(SyncExpert(ExpertSpec(**facts["spec"])))
    state = {k: v.float() if v.is_floating_point() else v for k, v in tensors.items()}
    try:
        expert.load_state_dict(state)
    except RuntimeError as error:
        raise ArtifactError(
            explain(str(path), sorted(tensors)[:3], f"wanted the tensors of {KIND}", "train again")
        ) from error
    return SubjectPictures(expert.eval().requires_grad_(False), float(facts["true_distance"]))
