"""Differentiable Gaussian splatting: a GaussianSet and a camera in, images out."""

from __future__ import annotations

import logging
from collections.abc import Callable

from jaxtyping import Float
from torch import Tensor

from emotalk_core.gaussians.backends import resolve
from emotalk_core.gaussians.conventions import (
    RasterInfo,
    RasterRequest,
    RasterResult,
    check_request,
)
from emotalk_core.types.gaussians import Camera, GaussianSet, RenderOutput

logger = logging.getLogger(__name__)


def _backend(name: str) -> Callable[[RasterRequest], RasterResult]:
    """The function behind a backend's name; imports only that backend."""
    if name == "cpu":
        from emotalk_core.gaussians.raster_cpu import rasterize_cpu

        return rasterize_cpu
    if name == "cuda":
        from emotalk_core.gaussians.raster_cuda import rasterize_cuda

        return rasterize_cuda
    from emotalk_core.gaussians.raster_torch import rasterize_torch

    return rasterize_torch


def rasterize_with_info(
    gaussians: GaussianSet,
    camera: Camera,
    background: Float[Tensor, "3"] | Float[Tensor, "3 H W"],
    extra_channels: Float[Tensor, "N C"] | None = None,
    *,
    backend: str = "auto",
    threads: int = 1,
    sh_degree: int | None = None,
    with_normals: bool = True,
    means2d_probe: Float[Tensor, "N 2"] | None = None,
) -> tuple[RenderOutput, RasterInfo]:
    """`rasterize`, and with it what densification needs (radii, projected centres)."""
    if extra_channels is None:
        extra_channels = gaussians.means.new_zeros(len(gaussians), 0)
    request = RasterRequest(
        gaussians=gaussians,
        camera=camera,
        background=background,
        extra_channels=extra_channels,
        means2d_probe=means2d_probe,
        sh_degree=gaussians.sh_degree if sh_degree is None else sh_degree,
        with_normals=with_normals,
        threads=threads,
    )
    check_request(request)
    name = resolve(backend, gaussians.means.device, gaussians.means.dtype)
    return _backend(name)(request)


def rasterize(
    gaussians: GaussianSet,
    camera: Camera,
    background: Float[Tensor, "3"] | Float[Tensor, "3 H W"],
    extra_channels: Float[Tensor, "N C"] | None = None,
    *,
    backend: str = "auto",
    threads: int = 1,
    sh_degree: int | None = None,
    with_normals: bool = True,
    means2d_probe: Float[Tensor, "N 2"] | None = None,
) -> RenderOutput:
    """Draw a Gaussian set; differentiable in everything but the intrinsics and the image size.

    Conventions are gsplat's (docs/engine.md). Gradients reach means, quats, scales, opacities,
    sh_coeffs, normal_residuals, extra_channels, background and camera.viewmat.

    Args:
        gaussians: raw parameters; scales are exponentiated, opacities go through a sigmoid here.
        camera: pinhole camera on the same device.
        background: [3] one colour or [3,H,W] an image.
        extra_channels: [N,C] further per-Gaussian values, blended over zero.
        backend: "torch", "cpu", "cuda" or "auto" (the fastest that can take these tensors).
        threads: CPU threads the `cpu` backend may use; the result's bytes depend on this number.
        sh_degree: bands of spherical harmonics to use; all that sh_coeffs holds by default.
        with_normals: False saves the time of three channels; `normals` is then zero.
        means2d_probe: [N,2] zeros with requires_grad; after backward their .grad is the gradient of
            the loss to the projected centres, per px (densification statistics).

    Raises:
        ValueError: shapes, dtypes or devices do not fit.
        NumericalError: NaN or infinity in an input.
        BackendUnavailableError: a backend asked for by name cannot run here.
    """
    return rasterize_with_info(
        gaussians,
        camera,
        background,
        extra_channels,
        backend=backend,
        threads=threads,
        sh_degree=sh_degree,
        with_normals=with_normals,
        means2d_probe=means2d_probe,
    )[0]
