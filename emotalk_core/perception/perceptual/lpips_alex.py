"""LPIPS on AlexNet, version 0.1: two pictures in, their perceptual distance out.

Parameter names are those of the `lpips` package, so that its state dict loads strictly. The
published files are two: the trunk (torchvision's AlexNet) and the linear heads; `lpips_state`
joins them. Trunk weights are the published ones or nothing: any other trunk must not be called
LPIPS.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

CHANNELS = (64, 192, 384, 256, 256)  # of the five maps that are compared
# Position of each convolution in torchvision's AlexNet.features: the slice that holds it here
TRUNK_LAYERS = {0: "slice1", 3: "slice2", 6: "slice3", 8: "slice4", 10: "slice5"}
SHIFT = (-0.030, -0.088, -0.188)  # of pictures in [-1,1]
SPREAD = (0.458, 0.448, 0.450)
EPS = 1e-10  # in the length of a pixel's feature vector


class ScalingLayer(nn.Module):
    """Pictures in [-1,1] to the trunk's units."""

    shift: Tensor
    scale: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("shift", torch.tensor(SHIFT)[None, :, None, None])
        self.register_buffer("scale", torch.tensor(SPREAD)[None, :, None, None])

    def forward(self, x: Float[Tensor, "B 3 H W"]) -> Float[Tensor, "B 3 H W"]:
        """Shifted and scaled."""
        return (x - self.shift) / self.scale


class AlexNetTrunk(nn.Module):
    """The five convolutions of AlexNet in five slices, numbered as in torchvision."""

    def __init__(self) -> None:
        super().__init__()
        convolutions = (
            nn.Conv2d(3, 64, 11, 4, 2),
            nn.Conv2d(64, 192, 5, padding=2),
            nn.Conv2d(192, 384, 3, padding=1),
            nn.Conv2d(384, 256, 3, padding=1),
            nn.Conv2d(256, 256, 3, padding=1),
        )
        for (position, name), convolution in zip(TRUNK_LAYERS.items(), convolutions):
            part = nn.Sequential()
            part.add_module(str(position), convolution)
            self.add_module(name, part)

    def forward(self, x: Float[Tensor, "B 3 H W"]) -> list[Tensor]:
        """Maps after each ReLU; the first three are halved before they go on (once, before)."""
        maps: list[Tensor] = []
        for i, name in enumerate(TRUNK_LAYERS.values()):
            if i in (1, 2):
                x = F.max_pool2d(x, 3, 2)
            x = F.relu(self.get_submodule(name)(x))
            maps.append(x)
        return maps


class LinearHead(nn.Module):
    """Weights of the channels of one map (a 1x1 convolution; its dropout is off when judging)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.model = nn.Sequential(nn.Dropout(), nn.Conv2d(channels, 1, 1, bias=False))

    def forward(self, x: Float[Tensor, "B C H W"]) -> Float[Tensor, "B 1 H W"]:
        """Weighted sum of channels."""
        return self.model(x)


class LPIPS(nn.Module):
    """Learned perceptual distance of Zhang et al. 2018, net "alex", version 0.1, for judging."""

    def __init__(self) -> None:
        super().__init__()
        self.scaling_layer = ScalingLayer()
        self.net = AlexNetTrunk()
        heads = [LinearHead(c) for c in CHANNELS]
        for i, head in enumerate(heads):
            self.add_module(f"lin{i}", head)
        self.lins = nn.ModuleList(heads)  # the same five again: the package's state dict has both
        self.eval()

    def forward(
        self, first: Float[Tensor, "B 3 H W"], second: Float[Tensor, "B 3 H W"]
    ) -> Float[Tensor, "B 1 1 1"]:
        """Distance of each pair; RGB in [-1,1], at least 63 px a side."""
        pairs = zip(self.net(self.scaling_layer(first)), self.net(self.scaling_layer(second)))
        total = first.new_zeros(())
        for head, (one, other) in zip(self.lins, pairs):
            difference = (_unit(one) - _unit(other)) ** 2
            total = total + head(difference).mean((2, 3), keepdim=True)
        return total


def _unit(x: Float[Tensor, "B C H W"]) -> Float[Tensor, "B C H W"]:
    """Feature vectors of unit length (the gradient at zero is zero, not infinite)."""
    return x / (torch.linalg.vector_norm(x, dim=1, keepdim=True) + EPS)


def lpips_state(trunk: Mapping[str, Tensor], heads: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """One state dict of the two published ones.

    Args:
        trunk: of torchvision's AlexNet (`features.*`; its classifier is not used).
        heads: of the package's `weights/v0.1/alex.pth` (`lin0.model.1.weight`, ...).

    Raises:
        KeyError: a layer is missing.
    """
    state = dict(LPIPS().scaling_layer.state_dict(prefix="scaling_layer."))
    for position, name in TRUNK_LAYERS.items():
        for part in ("weight", "bias"):
            state[f"net.{name}.{position}.{part}"] = trunk[f"features.{position}.{part}"]
    for i in range(len(CHANNELS)):
        weight = heads[f"lin{i}.model.1.weight"]
        state[f"lin{i}.model.1.weight"] = state[f"lins.{i}.model.1.weight"] = weight
    return state
