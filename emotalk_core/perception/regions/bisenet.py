"""BiSeNet on ResNet-18 with 19 CelebAMask-HQ classes: a normalised picture in, class logits out.

Parameter names and shapes are those of the published file `79999_iter.pth` of
zllrunning/face-parsing.PyTorch, so that it loads strictly.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from emotalk_core.perception.backbones.residual import ResNet18

CLASSES = (
    "background",
    "skin",
    "l_brow",
    "r_brow",
    "l_eye",
    "r_eye",
    "eye_g",
    "l_ear",
    "r_ear",
    "ear_r",
    "nose",
    "mouth",
    "u_lip",
    "l_lip",
    "neck",
    "neck_l",
    "cloth",
    "hair",
    "hat",
)


class ConvBNReLU(nn.Module):
    """Convolution without bias, batch norm, ReLU."""

    def __init__(self, width_in: int, width_out: int, kernel: int = 3) -> None:
        super().__init__()
        self.conv = nn.Conv2d(width_in, width_out, kernel, padding=kernel // 2, bias=False)
        self.bn = nn.BatchNorm2d(width_out)

    def forward(self, x: Float[Tensor, "B C H W"]) -> Float[Tensor, "B D H W"]:
        """Same size."""
        return F.relu(self.bn(self.conv(x)))


class AttentionRefinement(nn.Module):
    """A map times a gate for each channel that its own mean opens."""

    def __init__(self, width_in: int, width_out: int) -> None:
        super().__init__()
        self.conv = ConvBNReLU(width_in, width_out)
        self.conv_atten = nn.Conv2d(width_out, width_out, 1, bias=False)
        self.bn_atten = nn.BatchNorm2d(width_out)

    def forward(self, x: Float[Tensor, "B C H W"]) -> Float[Tensor, "B D H W"]:
        """Same size."""
        x = self.conv(x)
        return x * torch.sigmoid(self.bn_atten(self.conv_atten(F.adaptive_avg_pool2d(x, 1))))


class ContextPath(nn.Module):
    """ResNet-18 with its deep maps refined and brought up again."""

    def __init__(self) -> None:
        super().__init__()
        self.resnet = ResNet18()
        self.arm16 = AttentionRefinement(256, 128)
        self.arm32 = AttentionRefinement(512, 128)
        self.conv_head32 = ConvBNReLU(128, 128)
        self.conv_head16 = ConvBNReLU(128, 128)
        self.conv_avg = ConvBNReLU(512, 128, 1)

    def forward(
        self, x: Float[Tensor, "B 3 H W"]
    ) -> tuple[Float[Tensor, "B 128 h w"], Float[Tensor, "B 128 h w"], Float[Tensor, "B 128 i j"]]:
        """(encoder's map at 1/8, context at 1/8, context at 1/16)."""
        eighth, sixteenth, deepest = self.resnet(x)
        overall = self.conv_avg(F.adaptive_avg_pool2d(deepest, 1))
        deep = self.arm32(deepest) + overall
        deep = self.conv_head32(F.interpolate(deep, sixteenth.shape[2:], mode="nearest"))
        middle = self.arm16(sixteenth) + deep
        middle = self.conv_head16(F.interpolate(middle, eighth.shape[2:], mode="nearest"))
        return eighth, middle, deep


class FeatureFusion(nn.Module):
    """Two maps of one size side by side, mixed, with a gate for each channel."""

    def __init__(self, width_in: int, width_out: int) -> None:
        super().__init__()
        self.convblk = ConvBNReLU(width_in, width_out, 1)
        self.conv1 = nn.Conv2d(width_out, width_out // 4, 1, bias=False)
        self.conv2 = nn.Conv2d(width_out // 4, width_out, 1, bias=False)

    def forward(
        self, spatial: Float[Tensor, "B C H W"], context: Float[Tensor, "B D H W"]
    ) -> Float[Tensor, "B E H W"]:
        """Same size."""
        x = self.convblk(torch.cat([spatial, context], dim=1))
        gate = torch.sigmoid(self.conv2(F.relu(self.conv1(F.adaptive_avg_pool2d(x, 1)))))
        return x * gate + x


class BiSeNetOutput(nn.Module):
    """A head: one convolution block and the class logits."""

    def __init__(self, width_in: int, width: int, n_classes: int) -> None:
        super().__init__()
        self.conv = ConvBNReLU(width_in, width)
        self.conv_out = nn.Conv2d(width, n_classes, 1, bias=False)

    def forward(self, x: Float[Tensor, "B C H W"]) -> Float[Tensor, "B N H W"]:
        """Logits at the map's size."""
        return self.conv_out(self.conv(x))


class BiSeNet(nn.Module):
    """Face parsing network of Yu et al. 2018 in the variant without a spatial path.

    Args:
        n_classes: 19 for CelebAMask-HQ (`CLASSES`).
    """

    def __init__(self, n_classes: int = len(CLASSES)) -> None:
        super().__init__()
        self.cp = ContextPath()
        self.ffm = FeatureFusion(256, 256)
        self.conv_out = BiSeNetOutput(256, 256, n_classes)
        self.conv_out16 = BiSeNetOutput(128, 64, n_classes)
        self.conv_out32 = BiSeNetOutput(128, 64, n_classes)

    def forward(
        self, x: Float[Tensor, "B 3 H W"]
    ) -> tuple[Float[Tensor, "B N H W"], Float[Tensor, "B N H W"], Float[Tensor, "B N H W"]]:
        """Logits at the picture's size: the answer first, then the two training heads.

        Args:
            x: RGB in [0,1], ImageNet mean subtracted and divided by its deviation; the file was
                trained on 512x512.
        """
        eighth, middle, deep = self.cp(x)
        maps = (
            self.conv_out(self.ffm(eighth, middle)),
            self.conv_out16(middle),
            self.conv_out32(deep),
        )
        first, second, third = (
            F.interpolate(m, x.shape[2:], mode="bilinear", align_corners=True) for m in maps
        )
        return first, second, third
