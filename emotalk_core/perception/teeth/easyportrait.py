"""EasyPortrait face parsing, FPN on ResNet-50, eight classes: a picture in, class logits out.

Parameter names and shapes are those of the checkpoint `fpn-fp-512.pth` of hukenovs/easyportrait
(trained with mmsegmentation 0.30, which is not needed here), so that its `state_dict` loads
strictly.
"""

from __future__ import annotations

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from emotalk_core.perception.backbones.residual import Bottleneck

CLASSES = (
    "background",
    "skin",
    "left_brow",
    "right_brow",
    "left_eye",
    "right_eye",
    "lips",
    "teeth",
)
TEETH = CLASSES.index("teeth")
MEAN = (143.55267075, 132.96705975, 126.94924335)  # of RGB 0..255, from the published config
DEVIATION = (60.2625333, 60.32740275, 59.30988645)
INPUT_SIZE = 384  # px, the published test pipeline's longer side
STAGES = ((64, 3, 1), (128, 4, 2), (256, 6, 2), (512, 3, 2))  # (width, blocks, stride)
STEM = 64  # channels
PYRAMID = 256
HEAD = 128


class ResNetV1c(nn.Module):
    """ResNet-50 whose stem is three 3x3 convolutions; maps at 1/4, 1/8, 1/16 and 1/32."""

    def __init__(self) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for width_in, width_out, stride in (
            (3, STEM // 2, 2),
            (STEM // 2, STEM // 2, 1),
            (STEM // 2, STEM, 1),
        ):
            convolution = nn.Conv2d(width_in, width_out, 3, stride, 1, bias=False)
            layers += [convolution, nn.BatchNorm2d(width_out), nn.ReLU()]
        self.stem = nn.Sequential(*layers)
        width_in = STEM
        for number, (width, n_blocks, stride) in enumerate(STAGES, 1):
            blocks = [Bottleneck(width_in, width, stride)]
            width_in = width * Bottleneck.expansion
            blocks += [Bottleneck(width_in, width) for _ in range(n_blocks - 1)]
            self.add_module(f"layer{number}", nn.Sequential(*blocks))

    def forward(self, x: Float[Tensor, "B 3 H W"]) -> list[Tensor]:
        """The four maps, finest first."""
        x = F.max_pool2d(self.stem(x), 3, 2, 1)
        maps = []
        for number in range(1, len(STAGES) + 1):
            x = self.get_submodule(f"layer{number}")(x)
            maps.append(x)
        return maps


class Convolution(nn.Module):
    """A convolution, with batch norm and ReLU where `normalised` (else with a bias)."""

    def __init__(
        self, width_in: int, width_out: int, kernel: int, normalised: bool = False
    ) -> None:
        super().__init__()
        self.conv = nn.Conv2d(width_in, width_out, kernel, padding=kernel // 2, bias=not normalised)
        self.bn = nn.BatchNorm2d(width_out) if normalised else None

    def forward(self, x: Float[Tensor, "B C H W"]) -> Float[Tensor, "B D H W"]:
        """Same size."""
        x = self.conv(x)
        return x if self.bn is None else F.relu(self.bn(x))


class FeaturePyramid(nn.Module):
    """Every map brought to one width, deeper ones added to finer ones."""

    def __init__(self) -> None:
        super().__init__()
        widths = [width * Bottleneck.expansion for width, _, _ in STAGES]
        self.lateral_convs = nn.ModuleList([Convolution(w, PYRAMID, 1) for w in widths])
        self.fpn_convs = nn.ModuleList([Convolution(PYRAMID, PYRAMID, 3) for _ in widths])

    def forward(self, maps: list[Tensor]) -> list[Tensor]:
        """Same sizes, 256 channels."""
        levels = [convolution(m) for convolution, m in zip(self.lateral_convs, maps)]
        for i in range(len(levels) - 1, 0, -1):
            finer = levels[i - 1]
            levels[i - 1] = finer + F.interpolate(levels[i], finer.shape[2:], mode="nearest")
        return [convolution(level) for convolution, level in zip(self.fpn_convs, levels)]


class Doubling(nn.Module):
    """Twice the size, bilinear."""

    def forward(self, x: Float[Tensor, "B C H W"]) -> Float[Tensor, "B C h w"]:
        """Twice the size."""
        return F.interpolate(x, scale_factor=2.0, mode="bilinear", align_corners=False)


class PyramidHead(nn.Module):
    """Every level brought to the finest one's size, summed, classified."""

    def __init__(self, n_classes: int) -> None:
        super().__init__()
        self.conv_seg = nn.Conv2d(HEAD, n_classes, 1)
        heads = []
        for level in range(len(STAGES)):
            layers: list[nn.Module] = []
            for k in range(max(level, 1)):
                layers.append(Convolution(PYRAMID if k == 0 else HEAD, HEAD, 3, normalised=True))
                if level > 0:
                    layers.append(Doubling())
            heads.append(nn.Sequential(*layers))
        self.scale_heads = nn.ModuleList(heads)

    def forward(self, levels: list[Tensor]) -> Float[Tensor, "B N h w"]:
        """Logits at a quarter of the picture's size."""
        total = self.scale_heads[0](levels[0])
        for head, level in zip(list(self.scale_heads)[1:], levels[1:]):
            up = head(level)
            total = total + F.interpolate(up, total.shape[2:], mode="bilinear", align_corners=False)
        return self.conv_seg(total)


class EasyPortraitFPN(nn.Module):
    """The published FPN + ResNet-50 of EasyPortrait's face parsing experiments.

    Args:
        n_classes: 8 (`CLASSES`).
    """

    def __init__(self, n_classes: int = len(CLASSES)) -> None:
        super().__init__()
        self.backbone = ResNetV1c()
        self.neck = FeaturePyramid()
        self.decode_head = PyramidHead(n_classes)

    def forward(self, x: Float[Tensor, "B 3 H W"]) -> Float[Tensor, "B N H W"]:
        """Logits at the picture's size; RGB 0..255 less `MEAN`, divided by `DEVIATION`."""
        logits = self.decode_head(self.neck(self.backbone(x)))
        return F.interpolate(logits, x.shape[2:], mode="bilinear", align_corners=False)
