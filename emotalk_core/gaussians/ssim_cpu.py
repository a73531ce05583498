"""The compiled SSIM as a differentiable torch operation (float32, CPU)."""

from __future__ import annotations

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from torch.autograd.function import once_differentiable

from emotalk_core.gaussians.kernels import load, view


class _Ssim(torch.autograd.Function):
    """The gradient costs little beside the value, so the forward pass computes both at once."""

    @staticmethod
    def forward(ctx: Any, image: Tensor, target: Tensor, threads: int) -> Tensor:
        gradient = torch.empty_like(image) if ctx.needs_input_grad[0] else None
        value = load().ssim(view(image), view(target), view(gradient), threads)
        if gradient is not None:
            ctx.save_for_backward(gradient)
        return image.new_tensor(value)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, upstream: Tensor) -> tuple[Tensor | None, ...]:
        return ctx.saved_tensors[0] * upstream, None, None


def ssim_cpu(
    image: Float[Tensor, "C H W"], target: Float[Tensor, "C H W"], threads: int
) -> Float[Tensor, ""]:
    """Mean SSIM; see `fused_ssim`."""
    return _Ssim.apply(image.contiguous(), target.contiguous(), threads)
