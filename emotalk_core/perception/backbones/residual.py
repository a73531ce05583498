"""Residual blocks and an 18-layer encoder with the usual parameter names; pictures in, maps out."""

from __future__ import annotations

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn


def projection(width_in: int, width_out: int, stride: int) -> nn.Sequential | None:
    """The shortcut's 1x1 convolution (`downsample.0`, `downsample.1`); None where sizes agree."""
    if stride == 1 and width_in == width_out:
        return None
    convolution = nn.Conv2d(width_in, width_out, 1, stride, bias=False)
    return nn.Sequential(convolution, nn.BatchNorm2d(width_out))


class BasicBlock(nn.Module):
    """Two 3x3 convolutions beside a shortcut."""

    def __init__(self, width_in: int, width_out: int, stride: int = 1) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(width_in, width_out, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width_out)
        self.conv2 = nn.Conv2d(width_out, width_out, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(width_out)
        self.downsample = projection(width_in, width_out, stride)

    def forward(self, x: Float[Tensor, "B C H W"]) -> Float[Tensor, "B D h w"]:
        """Block output."""
        shortcut = x if self.downsample is None else self.downsample(x)
        x = F.relu(self.bn1(self.conv1(x)))
        return F.relu(shortcut + self.bn2(self.conv2(x)))


class Bottleneck(nn.Module):
    """1x1, 3x3 (with the stride), 1x1 to four times the width, beside a shortcut."""

    expansion = 4

    def __init__(self, width_in: int, width: int, stride: int = 1) -> None:
        super().__init__()
        width_out = width * self.expansion
        self.conv1 = nn.Conv2d(width_in, width, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, stride, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.conv3 = nn.Conv2d(width, width_out, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(width_out)
        self.downsample = projection(width_in, width_out, stride)

    def forward(self, x: Float[Tensor, "B C H W"]) -> Float[Tensor, "B D h w"]:
        """Block output."""
        shortcut = x if self.downsample is None else self.downsample(x)
        x = F.relu(self.bn1(self.conv1(x)))
        x = F.relu(self.bn2(self.conv2(x)))
        return F.relu(shortcut + self.bn3(self.conv3(x)))


def basic_layer(width_in: int, width_out: int, stride: int) -> nn.Sequential:
    """Two basic blocks, the first one with the stride."""
    return nn.Sequential(BasicBlock(width_in, width_out, stride), BasicBlock(width_out, width_out))


class ResNet18(nn.Module):
    """The 18-layer encoder: maps at an eighth, a sixteenth and a thirty-second of the size.

    Args:
        n_classes: outputs of the classifier `fc` that some files carry (unused here); 0: none.
    """

    def __init__(self, n_classes: int = 0) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 64, 7, 2, 3, bias=False)
        self.bn1 = nn.BatchNorm2d(64)
        self.layer1 = basic_layer(64, 64, 1)
        self.layer2 = basic_layer(64, 128, 2)
        self.layer3 = basic_layer(128, 256, 2)
        self.layer4 = basic_layer(256, 512, 2)
        if n_classes:
            self.fc = nn.Linear(512, n_classes)

    def forward(
        self, x: Float[Tensor, "B 3 H W"]
    ) -> tuple[Float[Tensor, "B 128 h w"], Float[Tensor, "B 256 i j"], Float[Tensor, "B 512 k l"]]:
        """Maps of the last three layers."""
        x = F.max_pool2d(F.relu(self.bn1(self.conv1(x))), 3, 2, 1)
        eighth = self.layer2(self.layer1(x))
        sixteenth = self.layer3(eighth)
        return eighth, sixteenth, self.layer4(sixteenth)
