"""Aligned crops in, class scores of every pixel out: a small U-Net."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

DOWN = 2  # pixels are gathered two by two before the first convolution: a quarter of the work
DEPTH = 4  # resolutions


class _Block(nn.Sequential):
    """Two 3x3 convolutions with normalisation; the first may halve the resolution."""

    def __init__(self, inputs: int, outputs: int, stride: int = 1) -> None:
        super().__init__(
            nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False),
            nn.BatchNorm2d(outputs),
            nn.ReLU(inplace=True),
            nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False),
            nn.BatchNorm2d(outputs),
            nn.ReLU(inplace=True),
        )


class PartNet(nn.Module):
    """U-Net over four resolutions that begins and ends at half the crop's.

    Args:
        inputs: channels of the crop.
        outputs: scores per pixel.
        width: channels at the finest resolution; half as many more at each coarser one.
    """

    def __init__(self, inputs: int, outputs: int, width: int) -> None:
        super().__init__()
        self.outputs = outputs
        widths = [width + width // 2 * level for level in range(DEPTH)]
        self.down = nn.ModuleList(
            _Block(before, after, 2 if level else 1)
            for level, (before, after) in enumerate(zip([inputs * DOWN**2, *widths], widths))
        )
        self.up = nn.ModuleList(
            _Block(widths[level] + widths[level + 1], widths[level]) for level in range(DEPTH - 1)
        )
        self.head = nn.Conv2d(width, outputs * DOWN**2, 1)
        # A third faster on a processor; torch's stubs do not know the argument
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def forward(self, crops: Float[Tensor, "B C H W"]) -> Float[Tensor, "B K H W"]:
        """Scores (logits); H and W are multiples of 16."""
        x = functional.pixel_unshuffle(crops, DOWN).contiguous(memory_format=torch.channels_last)
        kept = []
        for block in self.down:
            x = block(x)
            kept.append(x)
        for level in reversed(range(DEPTH - 1)):
            x = functional.interpolate(x, scale_factor=2.0, mode="nearest")
            x = self.up[level](torch.cat([x, kept[level]], dim=1))
        return functional.pixel_shuffle(self.head(x), DOWN)


def count_parameters(network: nn.Module) -> int:
    """Trained numbers."""
    return sum(p.numel() for p in network.parameters())
