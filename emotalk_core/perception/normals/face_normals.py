"""Cross-modal Deep Face Normals: a 256x256 face crop in, normals out.

Parameter names and shapes are those of the published `model.pth` of boukhayma/face_normals
(Abrevaya et al. 2020), so that it loads strictly. The file holds four networks at once: picture
and normal encoders, normal and picture decoders; pictures to normals is the part that is used.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from emotalk_core.perception.backbones.residual import ResNet18

INPUT_SIZE = 256  # px, side of the crop; RGB in [0,1]
N_IMAGENET = 1000  # classes of the encoder's classifier, which the file carries unused


def convolution(width_in: int, width_out: int, kernel: int = 3) -> nn.Sequential:
    """Convolution with bias and ReLU, same size."""
    return nn.Sequential(
        nn.Conv2d(width_in, width_out, kernel, padding=kernel // 2), nn.ReLU(inplace=True)
    )


def _steps(encoder: ResNet18) -> tuple[nn.Module, ...]:
    """Stem and four layers of an encoder, with the places that pooling and ReLU take."""
    stem = nn.Sequential(encoder.conv1, encoder.bn1, nn.ReLU(inplace=True))
    first = nn.Sequential(nn.MaxPool2d(3, 2, 1), encoder.layer1)
    return stem, first, encoder.layer2, encoder.layer3, encoder.layer4


class ResNetUNet(nn.Module):
    """U-Net on ResNet-18 encoders with skip connections that can be switched off.

    Args:
        n_class: channels of the outputs, 3 for normals and colours.
    """

    def __init__(self, n_class: int = 3) -> None:
        super().__init__()
        self.base_model = ResNet18(N_IMAGENET)
        for i, step in enumerate(_steps(self.base_model)):
            self.add_module(f"layer{i}", step)
        for i, step in enumerate(_steps(ResNet18())):
            self.add_module(f"layer{i}_2", step)
        for i, width in enumerate((64, 64, 128, 256)):
            self.add_module(f"layer{i}_1x1", convolution(width, width, 1))
        self.layer4_1x1 = convolution(512, 512 + 256, 1)
        ups = ((512 + 256, 512 + 128), (512 + 128, 256 + 64), (256 + 64, 256 + 64), (256 + 64, 192))
        for i, (width_in, width_out) in zip((3, 2, 1, 0), ups):
            self.add_module(f"conv_up{i}", convolution(width_in, width_out))
        for i, (width_in, width_out) in zip(
            (3, 2, 1, 0), ((512, 512), (512, 256), (256, 256), (256, 128))
        ):
            self.add_module(f"conv_up{i}_2", convolution(width_in, width_out))
        for suffix, width in (("", 128 + 64), ("_2", 128)):
            self.add_module(f"conv_original_size0{suffix}", convolution(3, 64))
            self.add_module(f"conv_original_size1{suffix}", convolution(64, 64))
            self.add_module(f"conv_original_size2{suffix}", convolution(width, 64))
            self.add_module(f"conv_last{suffix}", nn.Conv2d(64, n_class, 1))

    def _run(self, name: str, x: Tensor) -> Tensor:
        return self.get_submodule(name)(x)

    def forward(
        self, picture: Float[Tensor, "B 3 H W"]
    ) -> tuple[Float[Tensor, "B 3 H W"], Float[Tensor, "B 3 H W"]]:
        """(normals, not of unit length; the picture again), H and W multiples of 32.

        Skip connections enter a decoder level by a maximum with its last channels.
        """
        full = self._run("conv_original_size1", self._run("conv_original_size0", picture))
        maps = [picture]
        for i in range(5):
            maps.append(self._run(f"layer{i}", maps[-1]))
        x = self._run("layer4_1x1", maps[5])
        skips = [(f"layer{i}_1x1", maps[i + 1], f"conv_up{i}") for i in (3, 2, 1, 0)]
        for projection, skip, up in skips:
            x = self._run(up, _join(_double(x), self._run(projection, skip)))
        x = self._run("conv_original_size2", _join(_double(x), full))
        again = maps[5]
        for name in ("conv_up3_2", "conv_up2_2", "conv_up1_2", "conv_up0_2"):
            again = self._run(name, _double(again))
        again = self._run("conv_original_size2_2", _double(again))
        return self._run("conv_last", x), self._run("conv_last_2", again)


def _double(x: Float[Tensor, "B C h w"]) -> Float[Tensor, "B C H W"]:
    """Twice the size, bilinear with aligned corners."""
    return F.interpolate(x, scale_factor=2.0, mode="bilinear", align_corners=True)


def _join(x: Float[Tensor, "B C H W"], skip: Float[Tensor, "B S H W"]) -> Float[Tensor, "B C H W"]:
    """The last S channels become their maximum with the skip connection."""
    kept = x.shape[1] - skip.shape[1]
    return torch.cat([x[:, :kept], torch.maximum(x[:, kept:], skip)], dim=1)
