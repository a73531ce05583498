"""Lip shapes and sound in, unit vectors that agree where both belong together out."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from emotalk_core.speech.sync.lip_shapes import SHAPE_SIZE
from emotalk_core.speech.sync.sounds import LOGMEL, SHAPES

REACH = 2  # frames before and after: an expert sees and hears 5 frames, 0.2 s
WINDOW = 2 * REACH + 1
CODE = 64  # length of the unit vectors
WIDTH = 128
DROPOUT = 0.2
START_SHARPNESS = 2.3  # logarithm of the factor on cosines in the training loss


@dataclass(frozen=True)
class ExpertSpec:
    """What an expert is made of; lies in its file's header.

    Attributes:
        sound: "logmel" (the loss expert) or "embedding" (the metric expert).
        code: length of the unit vectors.
    """

    sound: str = LOGMEL
    code: int = CODE

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready dictionary."""
        return asdict(self)


class SyncExpert(nn.Module):
    """Two towers that map 0.2 s of lips and 0.2 s of sound to the same sphere."""

    def __init__(self, spec: ExpertSpec) -> None:
        super().__init__()
        self.spec = spec
        self.lip_tower = lip_tower(SHAPE_SIZE, spec.code)
        self.sound_tower = _sound_tower(spec)
        self.sharpness = nn.Parameter(torch.tensor(START_SHARPNESS))

    @property
    def per_frame(self) -> int:
        """Columns of sound of each frame."""
        return SHAPES[self.spec.sound].per_frame

    def see(self, lips: Float[Tensor, "B T 80"]) -> Float[Tensor, "B t C"]:
        """Vectors of the frames REACH .. T-REACH-1."""
        return functional.normalize(self.lip_tower(lips.transpose(1, 2)).transpose(1, 2), dim=-1)

    def listen(self, sound: Float[Tensor, "B S D"]) -> Float[Tensor, "B t C"]:
        """Vectors of the same frames of sound with `per_frame` columns a frame."""
        return functional.normalize(self.sound_tower(sound.transpose(1, 2)).transpose(1, 2), dim=-1)


def lip_tower(size: int, code: int) -> nn.Sequential:
    """From `size` numbers a frame to `code` numbers of every five frames."""
    return nn.Sequential(
        nn.Conv1d(size, WIDTH, WINDOW), *_between(WIDTH), nn.Conv1d(WIDTH, code, 1)
    )


def _between(width: int) -> tuple[nn.Module, ...]:
    return nn.BatchNorm1d(width), nn.ReLU(), nn.Dropout(DROPOUT)


def _sound_tower(spec: ExpertSpec) -> nn.Sequential:
    size = SHAPES[spec.sound].size
    if spec.sound == LOGMEL:  # two halvings: 100 columns a second become 25
        return nn.Sequential(
            nn.Conv1d(size, 64, 4, 2, 1),
            nn.BatchNorm1d(64),
            nn.ReLU(),
            nn.Conv1d(64, 96, 4, 2, 1),
            *_between(96),
            nn.Conv1d(96, WIDTH, WINDOW),
            *_between(WIDTH),
            nn.Conv1d(WIDTH, spec.code, 1),
        )
    return nn.Sequential(
        nn.Dropout(DROPOUT),
        nn.Conv1d(size, size, WINDOW),
        *_between(size),
        nn.Conv1d(size, spec.code, 1),
    )
