"""StyleGAN2: a latent or per-layer styles in, a face picture out.

Names and shapes are those of the public PyTorch port (rosinality/stylegan2-pytorch, which e4e's
decoder shares); without mapping (`n_mlp=0`) those of EmoStyle's `Generator`, whose mapping is a
network of its own (`Mapping`).
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn

from emotalk_core.emotion.glef.layers import (
    ConstantInput,
    EqualLinear,
    ModulatedConv2d,
    PixelNorm,
    StyledConv,
    ToRGB,
)
from emotalk_core.errors import ConfigError, explain

STYLE_DIM = 512
N_MLP = 8  # layers of the mapping
MAPPING_RATE = 0.01  # of the learning rate
SMALLEST, LARGEST = 8, 1024  # px
# Channels at each resolution for a multiplier of 1; the lower ones are not multiplied.
FIXED_CHANNELS = {4: 512, 8: 512, 16: 512, 32: 512}
MULTIPLIED_CHANNELS = {64: 256, 128: 128, 256: 64, 512: 32, 1024: 16}


def channels_of(multiplier: int, narrow: int = 1) -> dict[int, int]:
    """Resolution -> channels, all divided by `narrow` (1: the published networks)."""
    table = FIXED_CHANNELS | {k: v * multiplier for k, v in MULTIPLIED_CHANNELS.items()}
    return {size: count // narrow for size, count in table.items()}


def n_styles(size: int) -> int:
    """Styles of a generator: 18 at 1024 px, 14 at 256 px, 10 at 64 px."""
    return 2 * int(math.log2(size)) - 2


def _mapping(style_dim: int, n_mlp: int) -> nn.Sequential:
    layers = (
        EqualLinear(style_dim, style_dim, rate=MAPPING_RATE, activate=True) for _ in range(n_mlp)
    )
    return nn.Sequential(PixelNorm(), *layers)


class Mapping(nn.Module):
    """z -> w as a network of its own (EmoStyle's layout, keys `latent_net.*`)."""

    def __init__(self, style_dim: int = STYLE_DIM, n_mlp: int = N_MLP) -> None:
        super().__init__()
        self.latent_net = _mapping(style_dim, n_mlp)

    def forward(self, z: Float[Tensor, "B D"]) -> Float[Tensor, "B D"]:
        """Apply it."""
        return self.latent_net(z)


class StyleGAN2(nn.Module):
    """Generator of StyleGAN2.

    Args:
        size: side of the picture, px, a power of two in 8..1024.
        style_dim: width of a latent.
        n_mlp: layers of the mapping; 0: none, latents are given in W or W+.
        channel_multiplier: of the channels from 64 px on (2: the published networks).
        narrow: divides the channels, for small networks.

    Attributes:
        n_latent: styles of W+.
    """

    def __init__(
        self,
        size: int = 1024,
        style_dim: int = STYLE_DIM,
        n_mlp: int = N_MLP,
        channel_multiplier: int = 2,
        narrow: int = 1,
    ) -> None:
        super().__init__()
        if size & (size - 1) or not SMALLEST <= size <= LARGEST:
            wanted = f"wanted a power of two in {SMALLEST}..{LARGEST} px"
            raise ConfigError(explain("size", size, wanted, "use 64, 256 or 1024"))
        self.size, self.style_dim, self.n_latent = size, style_dim, n_styles(size)
        if n_mlp:
            self.style = _mapping(style_dim, n_mlp)
        channels = channels_of(channel_multiplier, narrow)
        self.input = ConstantInput(channels[4])
        self.conv1 = StyledConv(channels[4], channels[4], style_dim)
        self.to_rgb1 = ToRGB(channels[4], style_dim, upsample=False)
        self.convs, self.to_rgbs = nn.ModuleList(), nn.ModuleList()
        self.noises = nn.Module()
        self.noises.register_buffer("noise_0", torch.randn(1, 1, 4, 4))
        for level in range(3, int(math.log2(size)) + 1):
            side = 2**level
            below, here = channels[side // 2], channels[side]
            self.convs.append(StyledConv(below, here, style_dim, upsample=True))
            self.convs.append(StyledConv(here, here, style_dim))
            self.to_rgbs.append(ToRGB(here, style_dim))
            for number in (2 * level - 5, 2 * level - 4):
                noise = torch.randn(1, 1, side, side)
                self.noises.register_buffer(f"noise_{number}", noise)

    @property
    def n_noises(self) -> int:
        """Number of noise pictures: one a styled convolution."""
        return len(self.convs) + 1

    def set_fused(self, fused: bool) -> None:
        """How modulated convolutions compute: see `ModulatedConv2d.fused`."""
        for module in self.modules():
            if isinstance(module, ModulatedConv2d):
                module.fused = fused

    def forward(
        self,
        latents: Float[Tensor, "B D"] | Float[Tensor, "B L D"],
        *,
        input_is_latent: bool = True,
        truncation: float = 1.0,
        truncation_latent: Float[Tensor, "1 D"] | None = None,
        noise: Sequence[Tensor | None] | None = None,
        randomize_noise: bool = False,
    ) -> Float[Tensor, "B 3 S S"]:
        """Synthesize pictures, about -1..1 (not clamped).

        Args:
            latents: w, or a style of each layer (W+); z with `input_is_latent=False`.
            input_is_latent: False sends `latents` through the mapping first.
            truncation: share of the distance to `truncation_latent` that is kept.
            truncation_latent: usually the mean w.
            noise: a picture for each of `n_noises` (None: fresh noise).
            randomize_noise: fresh noise everywhere, where no `noise` is given; False takes the
                constant noise of the checkpoint.
        """
        codes = latents if input_is_latent else self.style(latents)
        if truncation < 1 and truncation_latent is not None:
            codes = truncation_latent + truncation * (codes - truncation_latent)
        if codes.ndim == 2:
            codes = codes[:, None].expand(-1, self.n_latent, -1)
        if noise is None:
            noise = [None] * self.n_noises if randomize_noise else self.constant_noise()
        x = self.conv1(self.input(len(codes)), codes[:, 0], noise[0])
        picture = self.to_rgb1(x, codes[:, 1])
        for level, to_rgb in enumerate(self.to_rgbs):
            first = 2 * level + 1
            x = self.convs[2 * level](x, codes[:, first], noise[first])
            x = self.convs[2 * level + 1](x, codes[:, first + 1], noise[first + 1])
            picture = to_rgb(x, codes[:, first + 2], picture)
        return picture

    def constant_noise(self) -> list[Tensor]:
        """The checkpoint's own noise pictures."""
        return [self.noises.get_buffer(f"noise_{i}") for i in range(self.n_noises)]
