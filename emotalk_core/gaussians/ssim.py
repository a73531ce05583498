"""Mean structural similarity of two images as a loss: [C,H,W] in, one differentiable number out."""

from __future__ import annotations

import functools

import torch
from jaxtyping import Float
from torch import Tensor

from emotalk_core.errors import explain
from emotalk_core.gaussians.backends import resolve

WINDOW = 11  # px
SIGMA = 1.5  # px
C1, C2 = 0.01**2, 0.03**2  # for values in 0..1 (Wang et al. 2004)


@functools.cache
def gaussian_window() -> tuple[float, ...]:
    """The eleven weights of the separable window, sum 1."""
    steps = torch.arange(WINDOW, dtype=torch.float64) - WINDOW // 2
    weights = torch.exp(-(steps**2) / (2 * SIGMA**2))
    return tuple((weights / weights.sum()).tolist())


def _blur(planes: Float[Tensor, "P H W"]) -> Float[Tensor, "P H W"]:
    """Depthwise, which is many times faster on a CPU than the same planes as a batch."""
    line = planes.new_tensor(gaussian_window())
    count = len(planes)
    kernel = (line[:, None] * line[None, :]).expand(count, 1, WINDOW, WINDOW)
    return torch.nn.functional.conv2d(planes[None], kernel, padding=WINDOW // 2, groups=count)[0]


def ssim_map(
    image: Float[Tensor, "C H W"], target: Float[Tensor, "C H W"]
) -> Float[Tensor, "C H W"]:
    """SSIM of every pixel with torch operations, zero padding, values in 0..1."""
    maps = torch.cat([image, target, image * image, target * target, image * target])
    mean_x, mean_y, square_x, square_y, product = _blur(maps).chunk(5)
    variances = square_x - mean_x**2 + square_y - mean_y**2
    luminance = (2 * mean_x * mean_y + C1) / (mean_x**2 + mean_y**2 + C1)
    return luminance * (2 * (product - mean_x * mean_y) + C2) / (variances + C2)


def fused_ssim(
    image: Float[Tensor, "C H W"],
    target: Float[Tensor, "C H W"],
    *,
    backend: str = "auto",
    threads: int = 1,
) -> Float[Tensor, ""]:
    """Mean SSIM over all channels and pixels; 1 for equal images (D-SSIM loss = 1 - it).

    Window 11x11, sigma 1.5, zero padding of 5 px, so the result has one value per pixel: the usual
    definition of the splatting literature (3DGS `loss_utils.ssim`, fused-ssim "same").

    Args:
        image: values in 0..1; gets a gradient.
        target: gets none.
        backend: "torch", "cpu", "cuda" (which is torch's convolution there) or "auto".
        threads: CPU threads of the `cpu` backend.

    Raises:
        ValueError: the shapes differ or are not [C,H,W].
    """
    if image.ndim != 3 or image.shape != target.shape:
        got = (tuple(image.shape), tuple(target.shape))
        raise ValueError(explain("image, target", got, "wanted two equal [C,H,W]", "crop one"))
    if resolve(backend, image.device, image.dtype) == "cpu":
        from emotalk_core.gaussians.ssim_cpu import ssim_cpu

        return ssim_cpu(image, target.detach(), threads)
    return ssim_map(image, target.detach()).mean()
