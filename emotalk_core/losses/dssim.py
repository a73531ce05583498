"""Structural dissimilarity of the composited picture."""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor

from emotalk_core.gaussians.ssim import fused_ssim
from emotalk_core.losses.context import LossContext, need


def structural_dissimilarity(context: LossContext) -> Float[Tensor, ""]:
    """1 - SSIM (METHOD 1.2, D-SSIM; TalkingGaussian uses the same without the half)."""
    image = need(context.image, "dssim", "image")
    target = need(context.target, "dssim", "target")
    return 1.0 - fused_ssim(image, target, backend=context.backend, threads=context.threads)
