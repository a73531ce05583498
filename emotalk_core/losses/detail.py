"""Fine detail of the composited picture, patch by patch: ours, where the paper has LPIPS."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from emotalk_core.losses.context import LossContext, need

LUMA = (0.299, 0.587, 0.114)  # grey of RGB (ITU-R BT.601)
PATCH = 8  # px: wider than a misplaced wrinkle, narrower than an eye
STRIDE = 4  # px: patches overlap by half
FLOOR = 1e-6  # squared Laplacian (a quarter of a grey level): keeps the root's slope finite


def patch_detail(image: Float[Tensor, "3 H W"]) -> Float[Tensor, "h w"]:
    """Root mean square of the 3x3 Laplacian of the grey picture in overlapping patches, 0..1."""
    weights = image.new_tensor(LUMA)
    grey = torch.einsum("c,chw->hw", weights, image)
    inner = grey[1:-1, 1:-1]
    around = grey[1:-1, 2:] + grey[1:-1, :-2] + grey[2:, 1:-1] + grey[:-2, 1:-1]
    energy = F.avg_pool2d((around - 4.0 * inner).square()[None, None], PATCH, STRIDE)
    return (energy[0, 0] + FLOOR).sqrt()


def detail_distance(context: LossContext) -> Float[Tensor, ""]:
    """Mean over patches of |detail of the image - detail of the truth|.

    Where a detail lies is what L1 and D-SSIM ask; that it is there at all is what they give up
    first when poses or lips are off by half a pixel, and what this one asks. No network is in it.
    """
    image = need(context.image, "detail", "image")
    target = need(context.target, "detail", "target")
    return (patch_detail(image) - patch_detail(target)).abs().mean()
