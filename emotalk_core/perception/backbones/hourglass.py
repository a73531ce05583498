"""Hourglass modules of the face alignment network; EmoNet is built on the same ones."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

WIDTH = 256  # channels of every hourglass
DEPTH = 4  # halvings inside an hourglass
N_POINTS = 68  # heatmaps
Pool = Callable[..., Tensor]


class ConvBlock(nn.Module):
    """Three 3x3 convolutions (batch norm and ReLU before each), their outputs side by side."""

    def __init__(self, width_in: int, width_out: int) -> None:
        super().__init__()
        half, quarter = width_out // 2, width_out // 4
        self.bn1 = nn.BatchNorm2d(width_in)
        self.conv1 = nn.Conv2d(width_in, half, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(half)
        self.conv2 = nn.Conv2d(half, quarter, 3, padding=1, bias=False)
        self.bn3 = nn.BatchNorm2d(quarter)
        self.conv3 = nn.Conv2d(quarter, quarter, 3, padding=1, bias=False)
        self.downsample = None
        if width_in != width_out:
            self.downsample = nn.Sequential(
                nn.BatchNorm2d(width_in), nn.ReLU(), nn.Conv2d(width_in, width_out, 1, bias=False)
            )

    def forward(self, x: Float[Tensor, "B C H W"]) -> Float[Tensor, "B D H W"]:
        """Block output."""
        first = self.conv1(F.relu(self.bn1(x)))
        second = self.conv2(F.relu(self.bn2(first)))
        third = self.conv3(F.relu(self.bn3(second)))
        shortcut = x if self.downsample is None else self.downsample(x)
        return torch.cat((first, second, third), dim=1) + shortcut


class HourGlass(nn.Module):
    """Four halvings and doublings with a side branch at each level.

    Args:
        pool: how maps are halved (mean in FAN, maximum in EmoNet).
    """

    def __init__(self, pool: Pool) -> None:
        super().__init__()
        self._pool = pool
        for level in range(DEPTH, 0, -1):
            self.add_module(f"b1_{level}", ConvBlock(WIDTH, WIDTH))
            self.add_module(f"b2_{level}", ConvBlock(WIDTH, WIDTH))
            self.add_module(f"b3_{level}", ConvBlock(WIDTH, WIDTH))
        self.add_module("b2_plus_1", ConvBlock(WIDTH, WIDTH))

    def _level(self, level: int, x: Tensor) -> Tensor:
        low = self.get_submodule(f"b2_{level}")(self._pool(x, 2, stride=2))
        inner = self._level(level - 1, low) if level > 1 else self.get_submodule("b2_plus_1")(low)
        up = F.interpolate(self.get_submodule(f"b3_{level}")(inner), scale_factor=2, mode="nearest")
        return self.get_submodule(f"b1_{level}")(x) + up

    def forward(self, x: Float[Tensor, "B 256 H W"]) -> Float[Tensor, "B 256 H W"]:
        """Same size; H and W must be multiples of 16."""
        return self._level(DEPTH, x)


class HourGlassStack(nn.Module):
    """Stem and hourglasses one behind the other, each with its own heatmaps.

    Args:
        n_modules: hourglasses (4 in FAN-4, 2 in EmoNet).
        pool: how maps are halved, in the stem too.
    """

    def __init__(self, n_modules: int, pool: Pool) -> None:
        super().__init__()
        self.n_modules, self._pool = n_modules, pool
        self.conv1 = nn.Conv2d(3, 64, 7, 2, 3)
        self.bn1 = nn.BatchNorm2d(64)
        self.conv2 = ConvBlock(64, 128)
        self.conv3 = ConvBlock(128, 128)
        self.conv4 = ConvBlock(128, WIDTH)
        for i in range(n_modules):
            self.add_module(f"m{i}", HourGlass(pool))
            self.add_module(f"top_m_{i}", ConvBlock(WIDTH, WIDTH))
            self.add_module(f"conv_last{i}", nn.Conv2d(WIDTH, WIDTH, 1))
            self.add_module(f"bn_end{i}", nn.BatchNorm2d(WIDTH))
            self.add_module(f"l{i}", nn.Conv2d(WIDTH, N_POINTS, 1))
            if i < n_modules - 1:
                self.add_module(f"bl{i}", nn.Conv2d(WIDTH, WIDTH, 1))
                self.add_module(f"al{i}", nn.Conv2d(N_POINTS, WIDTH, 1))

    def stack(
        self, picture: Float[Tensor, "B 3 H W"]
    ) -> tuple[Float[Tensor, "B 256 h w"], list[Tensor], list[Tensor]]:
        """(stem's map, features of every hourglass, heatmaps of every hourglass) at H/4."""
        x = F.relu(self.bn1(self.conv1(picture)))
        stem = self.conv4(self.conv3(self._pool(self.conv2(x), 2, stride=2)))
        previous = stem
        features, heatmaps = [], []
        for i in range(self.n_modules):
            x = self.get_submodule(f"top_m_{i}")(self.get_submodule(f"m{i}")(previous))
            x = F.relu(self.get_submodule(f"bn_end{i}")(self.get_submodule(f"conv_last{i}")(x)))
            heatmaps.append(self.get_submodule(f"l{i}")(x))
            if i < self.n_modules - 1:
                x = self.get_submodule(f"bl{i}")(x)
                previous = previous + x + self.get_submodule(f"al{i}")(heatmaps[-1])
            features.append(x)
        return stem, features, heatmaps
