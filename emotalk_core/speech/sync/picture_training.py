"""Mouth pictures and sound of one person in, its pixel expert out.

The person's landmark expert teaches: what it says of the lips' points is to be seen in the
pictures too. Beside that the right moment competes with others of the clip, as in `training`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Float32, UInt8
from torch import Tensor
from torch.nn import functional

from emotalk_core.errors import NumericalError
from emotalk_core.speech.sync.lip_pictures import SIDE
from emotalk_core.speech.sync.network import REACH, SyncExpert
from emotalk_core.speech.sync.picture_network import PictureExpert
from emotalk_core.speech.sync.training import (
    CHUNK,
    SHIFTS,
    SHORTEST,
    SyncTraining,
    contrast,
    descend,
    vary_mel,
)

TEACHER_WEIGHT = 4.0  # of the landmark expert's answer against the contrastive loss
SHIFT, TURN, GROWTH = 0.06, 0.06, 0.06  # largest shift (half sides), turn (rad), change of size
GAIN, LEVEL, NOISE = 0.15, 0.03, 0.02  # deviations of contrast, brightness and pixels
SOFT_SHARE = 0.5  # of examples that are blurred: renders are softer than frames


@dataclass(frozen=True)
class PictureClip:
    """Pictures of consecutive frames with lips and sound.

    Attributes:
        pictures: RGB. filled: the same with the inside of the mouth in one colour, as the training
            stages show it.
        lips: shapes, for the teacher.
        sound: columns of `sounds.hear`.
    """

    pictures: UInt8[np.ndarray, "T 3 S S"]
    filled: UInt8[np.ndarray, "T 3 S S"]
    lips: Float32[np.ndarray, "T 80"]
    sound: Float32[np.ndarray, "S D"]

    def cut(self, first: int, last: int) -> PictureClip:
        """Frames [first, last)."""
        per_frame = len(self.sound) // len(self.lips)
        return PictureClip(
            self.pictures[first:last],
            self.filled[first:last],
            self.lips[first:last],
            self.sound[first * per_frame : last * per_frame],
        )


def train_picture_expert(
    clip: PictureClip, teacher: SyncExpert, settings: SyncTraining, seed: int
) -> PictureExpert:
    """Teach a new pixel expert one person's mouth.

    Raises:
        NumericalError: the clip is shorter than `SHORTEST`, or the loss is not finite.
    """
    if len(clip.lips) < SHORTEST:
        raise NumericalError(
            f"pixel sync expert: {len(clip.lips)} training frames, wanted {SHORTEST}; give a "
            "longer clip, or set sync_loss.expert to landmarks"
        )
    rng = np.random.default_rng([seed, 61])
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        expert = PictureExpert(teacher)
        expert.mean.copy_(torch.from_numpy(clip.filled.mean(axis=0) / 255.0))
        expert.requires_grad_(True)
        for part in (expert.sound_tower, expert.sharpness):
            part.requires_grad_(False)

        def loss() -> Float[Tensor, ""]:
            return _loss(expert, teacher, clip, settings.batch, rng)

        descend("pixel sync expert", expert, loss, settings)
    return expert.eval().requires_grad_(False)


def _loss(
    expert: PictureExpert,
    teacher: SyncExpert,
    clip: PictureClip,
    batch: int,
    rng: np.random.Generator,
) -> Float[Tensor, ""]:
    """Of one step; the sound tower stays as it was taught."""
    expert.sound_tower.eval()
    examples = [_example(clip, teacher.per_frame, rng) for _ in range(batch)]
    pictures, lips, sound = (torch.stack(part) for part in zip(*examples))
    seen = expert.see(pictures)
    with torch.no_grad():
        taught = teacher.see(lips)
    apart = (1.0 - (seen * taught).sum(dim=-1)).mean()
    return contrast(expert, pictures, sound) + TEACHER_WEIGHT * apart


def _example(
    clip: PictureClip, per_frame: int, rng: np.random.Generator
) -> tuple[Float[Tensor, "L 3 S S"], Float[Tensor, "L 80"], Float[Tensor, "S D"]]:
    """A varied second of a clip with more of its sound around."""
    margin = SHIFTS + REACH
    first = int(rng.integers(margin, len(clip.lips) - CHUNK - margin + 1))
    frames = slice(first - REACH, first + CHUNK + REACH)
    source = clip.filled if rng.random() < 0.5 else clip.pictures
    pictures = torch.from_numpy(source[frames]).float() / 255.0
    heard = clip.sound[(first - margin) * per_frame : (first + CHUNK + margin) * per_frame]
    lips = torch.from_numpy(clip.lips[frames])
    return vary_pictures(pictures, rng), lips, torch.from_numpy(vary_mel(heard, rng))


def vary_pictures(
    pictures: Float[Tensor, "L 3 S S"], rng: np.random.Generator
) -> Float[Tensor, "L 3 S S"]:
    """Another placement, sharpness, contrast and brightness of a whole run, and noise."""
    angle, size = rng.uniform(-TURN, TURN), 1 + rng.uniform(-GROWTH, GROWTH)
    cosine, sine = size * np.cos(angle), size * np.sin(angle)
    dx, dy = rng.uniform(-SHIFT, SHIFT, 2)
    turn = torch.tensor([[cosine, -sine, dx], [sine, cosine, dy]], dtype=torch.float32)
    grid = functional.affine_grid(turn[None], [1, 3, SIDE, SIDE], align_corners=False)
    moved = functional.grid_sample(
        pictures, grid.expand(len(pictures), -1, -1, -1), padding_mode="border", align_corners=False
    )
    if rng.random() < SOFT_SHARE:
        moved = functional.avg_pool2d(functional.pad(moved, (1,) * 4, mode="replicate"), 3, 1)
    gain, level = 1 + rng.normal(0, GAIN, (1, 3, 1, 1)), rng.normal(0, LEVEL, (1, 3, 1, 1))
    noise = rng.normal(0, NOISE, moved.shape)
    return moved * torch.from_numpy(gain).float() + torch.from_numpy(level + noise).float()
