"""Small differentiable readers of 64 px faces: they stand in for FAN, EmoNet and VGGFace2.

Trained on the digital actor (`tiny_training`); good enough to show that g_LEF trains, no more.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

N_LANDMARKS = 68
INPUT_SIZE = 64  # px
HEATMAP_SIZE = 32  # cells
IDENTITY_DIM = 32
GROUPS = 4  # of the normalisation


def _block(fan_in: int, fan_out: int, stride: int = 1) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(fan_in, fan_out, 3, stride, 1), nn.GroupNorm(GROUPS, fan_out), nn.ReLU()
    )


class TinyLandmarks(nn.Module):
    """Hourglass with one skip a level: 68 heatmaps of 32 cells."""

    id = "tiny-landmarks-1"
    standing_for = "FAN (68 landmarks)"
    input_size = INPUT_SIZE

    def __init__(self) -> None:
        super().__init__()
        self.first = _block(3, 16, 2)
        self.down = nn.ModuleList([_block(16, 24, 2), _block(24, 32, 2)])
        self.middle = _block(32, 32)
        self.up = nn.ModuleList([_block(32 + 24, 24), _block(24 + 16, 32)])
        self.head = nn.Conv2d(32, N_LANDMARKS, 1)

    def forward(self, images: Float[Tensor, "B 3 S S"]) -> Float[Tensor, "B 68 H H"]:
        """Heatmaps; peaks are about 1 high."""
        fine = self.first(images - 0.5)
        middle = self.down[0](fine)
        x = self.middle(self.down[1](middle))
        for block, skip in zip(self.up, (middle, fine)):
            enlarged = functional.interpolate(x, scale_factor=2, mode="bilinear")
            x = block(torch.cat([enlarged, skip], dim=1))
        return self.head(x)


class _TinyReader(nn.Module):
    """Five halvings down to a vector."""

    input_size = INPUT_SIZE

    def __init__(self, outputs: int) -> None:
        super().__init__()
        widths = (16, 24, 32, 48, 48)
        pairs = zip((3, *widths[:-1]), widths)
        self.trunk = nn.Sequential(*[_block(a, b, 2) for a, b in pairs])
        self.head = nn.Linear(widths[-1] * 4, outputs)

    def forward(self, images: Float[Tensor, "B 3 S S"]) -> Float[Tensor, "B O"]:
        """One vector a picture."""
        return self.head(self.trunk(images - 0.5).flatten(1))


class TinyEmotion(_TinyReader):
    """(valence, arousal)."""

    id = "tiny-emotion-1"
    standing_for = "EmoNet (valence, arousal)"

    def __init__(self) -> None:
        super().__init__(2)


class TinyIdentity(_TinyReader):
    """Features in which persons of the population lie apart."""

    id = "tiny-identity-1"
    standing_for = "VGGFace2 features"

    def __init__(self) -> None:
        super().__init__(IDENTITY_DIM)
