"""Layers of StyleGAN2 in plain torch, with the names and shapes of the public PyTorch port."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

BLUR_TAPS = (1.0, 3.0, 3.0, 1.0)  # binomial low-pass around every change of resolution
SLOPE = 0.2  # of the leaky ReLU
GAIN = math.sqrt(2.0)  # brings the variance back that a leaky ReLU takes away
EPS = 1e-8  # keeps the demodulation of an all-zero filter finite


def blur_kernel(taps: Sequence[float], gain: float) -> Float[Tensor, "K K"]:
    """Outer product of the taps, of sum `gain`."""
    row = torch.tensor(taps, dtype=torch.float32)
    kernel = row[None, :] * row[:, None]
    return kernel / kernel.sum() * gain


def upsample_filter(
    images: Float[Tensor, "B C H W"],
    kernel: Float[Tensor, "K K"],
    up: int,
    pad: tuple[int, int],
) -> Float[Tensor, "B C H2 W2"]:
    """Zeros between the pixels (`up` - 1 of them, also after the last), padding, convolution.

    Args:
        images: any channels; each is filtered alone.
        kernel: convolved (flipped), not correlated.
        up: factor of the resolution.
        pad: zeros before and after, both axes, px of the higher resolution.
    """
    batch, channels, height, width = images.shape
    if up > 1:
        spread = images.new_zeros(batch, channels, height, up, width, up)
        spread[:, :, :, 0, :, 0] = images
        images = spread.view(batch, channels, height * up, width * up)
    images = functional.pad(images, (*pad, *pad))
    # one group a channel: twenty times faster on a CPU than channels as a batch
    filters = kernel.flip(0, 1).expand(channels, 1, -1, -1).contiguous()
    return functional.conv2d(images, filters, groups=channels)


def fused_leaky_relu(
    x: Float[Tensor, "B C *dims"], bias: Float[Tensor, " C"]
) -> Float[Tensor, "B C *dims"]:
    """Bias, leaky ReLU, gain of sqrt 2."""
    shaped = bias.view(1, -1, *[1] * (x.ndim - 2))
    return functional.leaky_relu(x + shaped, SLOPE) * GAIN


class FusedLeakyReLU(nn.Module):
    """`fused_leaky_relu` with its own bias."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.bias = nn.Parameter(torch.zeros(channels))

    def forward(self, x: Float[Tensor, "B C *dims"]) -> Float[Tensor, "B C *dims"]:
        """Apply it."""
        return fused_leaky_relu(x, self.bias)


class PixelNorm(nn.Module):
    """Each vector divided by its root mean square."""

    def forward(self, x: Float[Tensor, "B C"]) -> Float[Tensor, "B C"]:
        """Apply it."""
        return x * torch.rsqrt(torch.mean(x**2, dim=1, keepdim=True) + EPS)


class EqualLinear(nn.Module):
    """Linear layer whose weight is scaled at run time (equalised learning rate).

    Args:
        fan_in, fan_out: widths.
        bias_init: start of the bias.
        rate: factor of the learning rate of weight and bias.
        activate: fused leaky ReLU after it.
    """

    def __init__(
        self,
        fan_in: int,
        fan_out: int,
        bias_init: float = 0.0,
        rate: float = 1.0,
        activate: bool = False,
    ) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(fan_out, fan_in) / rate)
        self.bias = nn.Parameter(torch.full((fan_out,), float(bias_init)))
        self._scale, self._rate = rate / math.sqrt(fan_in), rate
        self._activate = activate

    def forward(self, x: Float[Tensor, "*B I"]) -> Float[Tensor, "*B O"]:
        """Apply it."""
        weight, bias = self.weight * self._scale, self.bias * self._rate
        if self._activate:
            return fused_leaky_relu(functional.linear(x, weight), bias)
        return functional.linear(x, weight, bias)


class Blur(nn.Module):
    """Low-pass after a transposed convolution; the gain of 4 makes up for its zeros."""

    kernel: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("kernel", blur_kernel(BLUR_TAPS, 4.0))

    def forward(self, x: Float[Tensor, "B C H W"]) -> Float[Tensor, "B C H2 W2"]:
        """[2n+1] px become [2n]."""
        return upsample_filter(x, self.kernel, 1, (1, 1))


class Upsample(nn.Module):
    """Picture of twice the resolution."""

    kernel: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("kernel", blur_kernel(BLUR_TAPS, 4.0))

    def forward(self, x: Float[Tensor, "B C H W"]) -> Float[Tensor, "B C H2 W2"]:
        """Apply it."""
        return upsample_filter(x, self.kernel, 2, (2, 1))


class ModulatedConv2d(nn.Module):
    """Convolution whose filters are scaled by a style and brought back to unit norm.

    Args:
        fan_in, fan_out: channels.
        size: of the filter, px.
        style_dim: width of a style.
        demodulate: bring each filter to unit norm.
        upsample: double the resolution.

    Attributes:
        fused: True scales the filters and runs one group a picture, as the public port does; False
            scales the pictures instead: equal but for rounding, and faster on a CPU.
    """

    def __init__(
        self,
        fan_in: int,
        fan_out: int,
        size: int,
        style_dim: int,
        demodulate: bool = True,
        upsample: bool = False,
    ) -> None:
        super().__init__()
        if upsample:
            self.blur = Blur()
        self.weight = nn.Parameter(torch.randn(1, fan_out, fan_in, size, size))
        self.modulation = EqualLinear(style_dim, fan_in, bias_init=1.0)
        self.fused = True
        self._scale = 1 / math.sqrt(fan_in * size**2)
        self._padding = size // 2
        self._demodulate, self._upsample = demodulate, upsample

    def forward(
        self, x: Float[Tensor, "B I H W"], style: Float[Tensor, "B D"]
    ) -> Float[Tensor, "B O H2 W2"]:
        """Apply it."""
        style = self.modulation(style)
        return self._grouped(x, style) if self.fused else self._shared(x, style)

    def _grouped(self, x: Tensor, style: Tensor) -> Tensor:
        batch, channels, height, width = x.shape
        weight = self._scale * self.weight * style.view(batch, 1, channels, 1, 1)
        if self._demodulate:
            norm = torch.rsqrt(weight.pow(2).sum([2, 3, 4]) + EPS)
            weight = weight * norm[:, :, None, None, None]
        x = x.reshape(1, batch * channels, height, width)
        if self._upsample:
            flat = weight.transpose(1, 2).flatten(0, 1)
            out = functional.conv_transpose2d(x, flat, stride=2, groups=batch)
        else:
            out = functional.conv2d(x, weight.flatten(0, 1), padding=self._padding, groups=batch)
        out = out.view(batch, -1, *out.shape[2:])
        return self.blur(out) if self._upsample else out

    def _shared(self, x: Tensor, style: Tensor) -> Tensor:
        weight = self._scale * self.weight[0]
        x = x * style[:, :, None, None]
        if self._upsample:
            out = self.blur(functional.conv_transpose2d(x, weight.transpose(0, 1), stride=2))
        else:
            out = functional.conv2d(x, weight, padding=self._padding)
        if self._demodulate:
            energy = style.square() @ weight.square().sum([2, 3]).T
            out = out * torch.rsqrt(energy + EPS)[:, :, None, None]
        return out


class NoiseInjection(nn.Module):
    """Adds noise of a learned strength, the same to all channels."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(1))

    def forward(
        self, x: Float[Tensor, "B C H W"], noise: Float[Tensor, "N 1 H W"]
    ) -> Float[Tensor, "B C H W"]:
        """Apply it."""
        return x + self.weight * noise


class ConstantInput(nn.Module):
    """The learned 4x4 picture that every synthesis starts from."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.input = nn.Parameter(torch.randn(1, channels, 4, 4))

    def forward(self, batch: int) -> Float[Tensor, "B C 4 4"]:
        """`batch` copies."""
        return self.input.repeat(batch, 1, 1, 1)


class StyledConv(nn.Module):
    """Modulated convolution, noise, activation."""

    def __init__(self, fan_in: int, fan_out: int, style_dim: int, upsample: bool = False) -> None:
        super().__init__()
        self.conv = ModulatedConv2d(fan_in, fan_out, 3, style_dim, upsample=upsample)
        self.noise = NoiseInjection()
        self.activate = FusedLeakyReLU(fan_out)

    def forward(
        self,
        x: Float[Tensor, "B I H W"],
        style: Float[Tensor, "B D"],
        noise: Float[Tensor, "N 1 H2 W2"] | None,
    ) -> Float[Tensor, "B O H2 W2"]:
        """Apply it; no noise given: fresh noise."""
        out = self.conv(x, style)
        if noise is None:
            noise = torch.randn_like(out[:, :1])
        return self.activate(self.noise(out, noise))


class ToRGB(nn.Module):
    """Features to a picture, added to the enlarged picture of the level below."""

    def __init__(self, channels: int, style_dim: int, upsample: bool = True) -> None:
        super().__init__()
        if upsample:
            self.upsample = Upsample()
        self.conv = ModulatedConv2d(channels, 3, 1, style_dim, demodulate=False)
        self.bias = nn.Parameter(torch.zeros(1, 3, 1, 1))

    def forward(
        self,
        x: Float[Tensor, "B C H W"],
        style: Float[Tensor, "B D"],
        below: Float[Tensor, "B 3 H4 W4"] | None = None,
    ) -> Float[Tensor, "B 3 H W"]:
        """Apply it."""
        out = self.conv(x, style) + self.bias
        return out if below is None else out + self.upsample(below)
