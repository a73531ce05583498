"""e4e: a 256 px face in, its W+ latent out (names and shapes of omertov/encoder4editing)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from emotalk_core.emotion.glef.layers import EqualLinear
from emotalk_core.emotion.glef.stylegan2 import STYLE_DIM, n_styles

COARSE, MIDDLE = 3, 7  # first style of the middle and of the fine level
SQUEEZE = 16  # reduction of the channel attention


@dataclass(frozen=True)
class E4EShape:
    """Size of the encoder; the defaults are the published one (IR-SE 50).

    Attributes:
        input_size: px of the picture that it sees.
        widths: channels of the four stages.
        units: residual blocks of the four stages.
    """

    input_size: int = 256
    widths: tuple[int, int, int, int] = (64, 128, 256, 512)
    units: tuple[int, int, int, int] = (3, 4, 14, 3)


class SqueezeExcite(nn.Module):
    """Channel attention."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        hidden = max(1, channels // SQUEEZE)
        self.fc1 = nn.Conv2d(channels, hidden, 1, bias=False)
        self.fc2 = nn.Conv2d(hidden, channels, 1, bias=False)

    def forward(self, x: Float[Tensor, "B C H W"]) -> Float[Tensor, "B C H W"]:
        """Apply it."""
        pooled = functional.adaptive_avg_pool2d(x, 1)
        return x * torch.sigmoid(self.fc2(functional.relu(self.fc1(pooled))))


class ResidualUnit(nn.Module):
    """Block of the IR-SE network."""

    def __init__(self, fan_in: int, fan_out: int, stride: int) -> None:
        super().__init__()
        self.shortcut_layer: nn.Module
        if fan_in == fan_out:
            self.shortcut_layer = nn.MaxPool2d(1, stride)
        else:
            self.shortcut_layer = nn.Sequential(
                nn.Conv2d(fan_in, fan_out, 1, stride, bias=False), nn.BatchNorm2d(fan_out)
            )
        self.res_layer = nn.Sequential(
            nn.BatchNorm2d(fan_in),
            nn.Conv2d(fan_in, fan_out, 3, 1, 1, bias=False),
            nn.PReLU(fan_out),
            nn.Conv2d(fan_out, fan_out, 3, stride, 1, bias=False),
            nn.BatchNorm2d(fan_out),
            SqueezeExcite(fan_out),
        )

    def forward(self, x: Float[Tensor, "B I H W"]) -> Float[Tensor, "B O H2 W2"]:
        """Apply it."""
        return self.res_layer(x) + self.shortcut_layer(x)


class StyleHead(nn.Module):
    """A feature map down to one style."""

    def __init__(self, fan_in: int, style_dim: int, side: int) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        while side > 1:
            layers += [nn.Conv2d(fan_in, style_dim, 3, 2, 1), nn.LeakyReLU()]
            fan_in, side = style_dim, side // 2
        self.convs = nn.Sequential(*layers)
        self.linear = EqualLinear(style_dim, style_dim)

    def forward(self, x: Float[Tensor, "B C H H"]) -> Float[Tensor, "B D"]:
        """Apply it."""
        return self.linear(self.convs(x).flatten(1))


class Encoder4Editing(nn.Module):
    """IR-SE trunk, feature pyramid, one head a style; heads after the first give offsets.

    Args:
        size: of the generator's picture, px (decides the number of styles).
        style_dim: width of a style.
        shape: size of the encoder itself.
    """

    def __init__(
        self, size: int = 1024, style_dim: int = STYLE_DIM, shape: E4EShape | None = None
    ) -> None:
        super().__init__()
        shape = shape or E4EShape()
        first = shape.widths[0]
        self.input_layer = nn.Sequential(
            nn.Conv2d(3, first, 3, 1, 1, bias=False), nn.BatchNorm2d(first), nn.PReLU(first)
        )
        units: list[nn.Module] = []
        self._taps = []  # last block of the second, third, fourth stage
        below = first
        for width, count in zip(shape.widths, shape.units):
            units += [ResidualUnit(below, width, 2)]
            units += [ResidualUnit(width, width, 1) for _ in range(count - 1)]
            self._taps.append(len(units) - 1)
            below = width
        self.body = nn.Sequential(*units)
        side = shape.input_size // 16
        sides = [side] * COARSE + [2 * side] * (MIDDLE - COARSE)
        sides += [4 * side] * (n_styles(size) - MIDDLE)
        top = shape.widths[3]
        self.styles = nn.ModuleList(StyleHead(top, style_dim, s) for s in sides)
        self.latlayer1 = nn.Conv2d(shape.widths[2], top, 1)
        self.latlayer2 = nn.Conv2d(shape.widths[1], top, 1)
        self.input_size = shape.input_size

    def forward(self, images: Float[Tensor, "B 3 S S"]) -> Float[Tensor, "B L D"]:
        """Latents, still without the mean latent that the published encoder adds.

        Args:
            images: RGB, -1..1, `input_size` px.
        """
        fine, middle, coarse = self._features(images)
        levels = [coarse] * COARSE + [middle] * (MIDDLE - COARSE)
        levels += [fine] * (len(self.styles) - MIDDLE)
        base = self.styles[0](coarse)
        rest = [base + head(level) for head, level in zip(self.styles[1:], levels[1:])]
        return torch.stack([base, *rest], dim=1)

    def _features(self, images: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Fine, middle and coarse maps of the feature pyramid."""
        x = self.input_layer(images)
        kept = []
        for number, unit in enumerate(self.body):
            x = unit(x)
            if number in self._taps[1:]:
                kept.append(x)
        coarse = kept[2]
        middle = _enlarge(coarse, kept[1]) + self.latlayer1(kept[1])
        fine = _enlarge(middle, kept[0]) + self.latlayer2(kept[0])
        return fine, middle, coarse


def _enlarge(x: Tensor, like: Tensor) -> Tensor:
    size = (like.shape[2], like.shape[3])
    return functional.interpolate(x, size=size, mode="bilinear", align_corners=True)
