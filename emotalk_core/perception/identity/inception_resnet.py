"""InceptionResnetV1 of VGGFace2: an aligned 160x160 face in, a 512-number unit embedding out.

Parameter names and shapes are those of the published file `20180402-114759-vggface2.pt` of
timesler/facenet-pytorch, which also carries the classifier `logits` of 8631 people.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

INPUT_SIZE = 160  # px, side of the face crop
EMBEDDING = 512
BATCH_NORM_EPS = 1e-3  # of the TensorFlow model that the file comes from
SCALE_35, SCALE_17, SCALE_8 = 0.17, 0.10, 0.20  # of the residual branches
CENTRE, SPREAD = 127.5, 128.0  # (pixel - centre) / spread is the network's input
Kernel = int | tuple[int, int]


class BasicConv2d(nn.Module):
    """Convolution without bias, batch norm, ReLU."""

    def __init__(
        self, width_in: int, width_out: int, kernel: Kernel, stride: int = 1, padding: Kernel = 0
    ) -> None:
        super().__init__()
        self.conv = nn.Conv2d(width_in, width_out, kernel, stride, padding, bias=False)
        self.bn = nn.BatchNorm2d(width_out, eps=BATCH_NORM_EPS)

    def forward(self, x: Float[Tensor, "B C H W"]) -> Float[Tensor, "B D h w"]:
        """Block output."""
        return F.relu(self.bn(self.conv(x)))


class ResidualBlock(nn.Module):
    """Branches side by side, mixed by a 1x1 convolution and added to the input at a scale.

    Args:
        branches: the block's own; registered as `branch0`, `branch1`, ...
        width_branches: channels of all branches together.
        width: channels in and out.
        scale: of the mix.
        activate: ReLU at the end.
    """

    def __init__(
        self,
        branches: list[nn.Module],
        width_branches: int,
        width: int,
        scale: float,
        activate: bool = True,
    ) -> None:
        super().__init__()
        self._scale, self._activate, self._n = scale, activate, len(branches)
        for i, branch in enumerate(branches):
            self.add_module(f"branch{i}", branch)
        self.conv2d = nn.Conv2d(width_branches, width, 1)

    def forward(self, x: Float[Tensor, "B C H W"]) -> Float[Tensor, "B C H W"]:
        """Same size."""
        parts = [self.get_submodule(f"branch{i}")(x) for i in range(self._n)]
        x = self.conv2d(torch.cat(parts, dim=1)) * self._scale + x
        return F.relu(x) if self._activate else x


def block35() -> ResidualBlock:
    """Inception-ResNet-A."""
    branches: list[nn.Module] = [
        BasicConv2d(256, 32, 1),
        nn.Sequential(BasicConv2d(256, 32, 1), BasicConv2d(32, 32, 3, padding=1)),
        nn.Sequential(
            BasicConv2d(256, 32, 1),
            BasicConv2d(32, 32, 3, padding=1),
            BasicConv2d(32, 32, 3, padding=1),
        ),
    ]
    return ResidualBlock(branches, 96, 256, SCALE_35)


def block17() -> ResidualBlock:
    """Inception-ResNet-B."""
    branches: list[nn.Module] = [
        BasicConv2d(896, 128, 1),
        nn.Sequential(
            BasicConv2d(896, 128, 1),
            BasicConv2d(128, 128, (1, 7), padding=(0, 3)),
            BasicConv2d(128, 128, (7, 1), padding=(3, 0)),
        ),
    ]
    return ResidualBlock(branches, 256, 896, SCALE_17)


def block8(scale: float = SCALE_8, activate: bool = True) -> ResidualBlock:
    """Inception-ResNet-C."""
    branches: list[nn.Module] = [
        BasicConv2d(1792, 192, 1),
        nn.Sequential(
            BasicConv2d(1792, 192, 1),
            BasicConv2d(192, 192, (1, 3), padding=(0, 1)),
            BasicConv2d(192, 192, (3, 1), padding=(1, 0)),
        ),
    ]
    return ResidualBlock(branches, 384, 1792, scale, activate)


class Reduction(nn.Module):
    """Strided branches and a strided maximum side by side: half the size.

    Args:
        branches: registered as `branch0`, `branch1`, ...; the maximum comes last.
    """

    def __init__(self, branches: list[nn.Module]) -> None:
        super().__init__()
        self._n = len(branches)
        for i, branch in enumerate(branches):
            self.add_module(f"branch{i}", branch)

    def forward(self, x: Float[Tensor, "B C H W"]) -> Float[Tensor, "B D h w"]:
        """Half the size."""
        parts = [self.get_submodule(f"branch{i}")(x) for i in range(self._n)]
        return torch.cat([*parts, F.max_pool2d(x, 3, 2)], dim=1)


def mixed_6a() -> Reduction:
    """From 256 to 896 channels."""
    wide = nn.Sequential(
        BasicConv2d(256, 192, 1), BasicConv2d(192, 192, 3, padding=1), BasicConv2d(192, 256, 3, 2)
    )
    return Reduction([BasicConv2d(256, 384, 3, 2), wide])


def mixed_7a() -> Reduction:
    """From 896 to 1792 channels."""
    return Reduction(
        [
            nn.Sequential(BasicConv2d(896, 256, 1), BasicConv2d(256, 384, 3, 2)),
            nn.Sequential(BasicConv2d(896, 256, 1), BasicConv2d(256, 256, 3, 2)),
            nn.Sequential(
                BasicConv2d(896, 256, 1),
                BasicConv2d(256, 256, 3, padding=1),
                BasicConv2d(256, 256, 3, 2),
            ),
        ]
    )


class InceptionResnetV1(nn.Module):
    """Face embedding network (Szegedy et al. 2017, trained by VGGFace2).

    Args:
        n_classes: people of the classifier `logits`; None: none until a file brings one. The
            classifier is carried, not used: `forward` gives embeddings.
    """

    def __init__(self, n_classes: int | None = None) -> None:
        super().__init__()
        self.conv2d_1a = BasicConv2d(3, 32, 3, 2)
        self.conv2d_2a = BasicConv2d(32, 32, 3)
        self.conv2d_2b = BasicConv2d(32, 64, 3, padding=1)
        self.conv2d_3b = BasicConv2d(64, 80, 1)
        self.conv2d_4a = BasicConv2d(80, 192, 3)
        self.conv2d_4b = BasicConv2d(192, 256, 3, 2)
        self.repeat_1 = nn.Sequential(*(block35() for _ in range(5)))
        self.mixed_6a = mixed_6a()
        self.repeat_2 = nn.Sequential(*(block17() for _ in range(10)))
        self.mixed_7a = mixed_7a()
        self.repeat_3 = nn.Sequential(*(block8() for _ in range(5)))
        self.block8 = block8(scale=1.0, activate=False)
        self.last_linear = nn.Linear(1792, EMBEDDING, bias=False)
        self.last_bn = nn.BatchNorm1d(EMBEDDING, eps=BATCH_NORM_EPS)
        if n_classes is not None:
            self.logits = nn.Linear(EMBEDDING, n_classes)
        self.register_load_state_dict_pre_hook(_take_classifier)

    def forward(self, face: Float[Tensor, "B 3 160 160"]) -> Float[Tensor, "B 512"]:
        """Embeddings of unit length; input (pixel - 127.5) / 128, RGB."""
        x = self.conv2d_2b(self.conv2d_2a(self.conv2d_1a(face)))
        x = self.conv2d_3b(F.max_pool2d(x, 3, 2))
        x = self.repeat_1(self.conv2d_4b(self.conv2d_4a(x)))
        x = self.repeat_2(self.mixed_6a(x))
        x = self.block8(self.repeat_3(self.mixed_7a(x)))
        x = self.last_bn(self.last_linear(x.mean((2, 3))))
        return F.normalize(x, dim=1)


def _take_classifier(network: nn.Module, state: dict[str, Tensor], prefix: str, *_: Any) -> None:
    """Make room for the classifier of files that carry one, so that they load strictly."""
    weight = state.get(prefix + "logits.weight")
    if weight is not None and not hasattr(network, "logits"):
        network.logits = nn.Linear(EMBEDDING, len(weight))
