"""The compiled rasterizer as a differentiable torch operation (float32, CPU, any thread count)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from torch.autograd.function import once_differentiable

from emotalk_core.gaussians.conventions import (
    RasterInfo,
    RasterRequest,
    RasterResult,
    check_finite,
    non_finite,
)
from emotalk_core.gaussians.kernels import load, view
from emotalk_core.types.gaussians import Camera, GaussianSet, RenderOutput

# Names of the bits that the forward kernel returns, in the order of csrc/raster.h `Input`.
INPUT_NAMES = (
    "means",
    "quats",
    "scales",
    "opacities",
    "sh_coeffs",
    "normal_residuals",
    "extra_channels",
)


@dataclass(frozen=True)
class Shot:
    """What of a request is not a differentiable tensor."""

    intrinsics: Tensor
    width: int
    height: int
    sh_degree: int
    with_normals: bool
    threads: int


def _gaussians(kernels: Any, tensors: tuple[Tensor | None, ...]) -> Any:
    return kernels.Gaussians(*(view(tensor) for tensor in tensors))


def _check(wrong: int) -> None:
    if wrong:
        names = [name for bit, name in enumerate(INPUT_NAMES) if wrong >> bit & 1]
        raise non_finite(", ".join(names))


class _Rasterize(torch.autograd.Function):
    """Inputs: the seven arrays of a Gaussian set, background, viewmat, probe, shot."""

    @staticmethod
    def forward(ctx: Any, *inputs: Any) -> tuple[Tensor, ...]:
        *tensors, shot = inputs
        arrays, (background, viewmat, probe) = tuple(tensors[:7]), tensors[7:]
        kernels = load()
        n, size = len(arrays[0]), (shot.height, shot.width)
        rgb, alpha, depth = (torch.empty(*lead, *size) for lead in ((3,), (), ()))
        normals = torch.empty(3, *size) if shot.with_normals else torch.zeros(3, *size)
        extra = torch.empty(arrays[6].shape[1], *size)
        radii, means2d = torch.empty(n, 2, dtype=torch.int32), torch.empty(n, 2)
        raster = kernels.Raster(
            view(viewmat), view(shot.intrinsics), *size[::-1], shot.sh_degree, shot.with_normals
        )
        wrong = raster.forward(
            _gaussians(kernels, arrays),
            view(background),
            kernels.Images(*map(view, (rgb, alpha, depth, normals, extra))),
            view(radii),
            view(means2d),
            shot.threads,
        )
        _check(wrong)
        ctx.raster, ctx.shot, ctx.has_probe = raster, shot, probe is not None
        ctx.set_materialize_grads(False)
        ctx.save_for_backward(*arrays, background, rgb, alpha, depth, normals, extra)
        computed = torch.tensor(raster.pixel_splats)
        ctx.mark_non_differentiable(radii, means2d, computed)
        return rgb, alpha, depth, normals, extra, radii, means2d, computed

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor | None) -> tuple[Tensor | None, ...]:
        saved = ctx.saved_tensors
        arrays, background, values = saved[:7], saved[7], saved[8:]
        shot, kernels = ctx.shot, load()
        slopes = list(gradients[:5])
        if not shot.with_normals:
            slopes[3] = None  # constant zero
        wanted = tuple(None if array is None else torch.empty_like(array) for array in arrays)
        to_background = torch.empty_like(background) if ctx.needs_input_grad[7] else None
        to_viewmat = torch.empty(4, 4) if ctx.needs_input_grad[8] else None
        to_probe = torch.empty(len(arrays[0]), 2) if ctx.has_probe else None
        ctx.raster.backward(
            _gaussians(kernels, arrays),
            view(background),
            kernels.Images(*map(view, values)),
            kernels.Images(*map(view, slopes)),
            _gaussians(kernels, wanted),
            view(to_probe),
            view(to_viewmat),
            view(to_background),
            shot.threads,
        )
        return (*wanted, to_background, to_viewmat, to_probe, None)


def paint_cpu(
    gaussians: GaussianSet, camera: Camera, picture: Float[Tensor, "3 H W"], threads: int
) -> None:
    """Draw colours over a contiguous picture, in place and without gradients (live frames).

    The bytes are those of `rasterize(...).rgb` with the picture as its background.

    Raises:
        NumericalError: NaN or infinity in a parameter of the Gaussians.
    """
    n, kernels = len(gaussians), load()
    arrays = (
        gaussians.means,
        gaussians.quats,
        gaussians.scales,
        gaussians.opacities,
        gaussians.sh_coeffs,
        None,
        gaussians.means.new_empty(n, 0),
    )
    size, degree = (camera.width, camera.height), gaussians.sh_degree
    raster = kernels.Raster(view(camera.viewmat), view(camera.K), *size, degree, False)
    wrong = raster.forward(
        _gaussians(kernels, arrays),
        view(picture),
        kernels.Images(view(picture), None, None, None, None),
        view(torch.empty(n, 2, dtype=torch.int32)),
        view(torch.empty(n, 2)),
        threads,
    )
    _check(wrong)


def rasterize_cpu(request: RasterRequest) -> RasterResult:
    """`rasterize` on the compiled kernels."""
    gaussians, camera = request.gaussians, request.camera
    check_finite(
        {
            "background": request.background,
            "camera.viewmat": camera.viewmat,
            "camera.K": camera.K,
        }
    )
    shot = Shot(
        intrinsics=camera.K,
        width=camera.width,
        height=camera.height,
        sh_degree=request.sh_degree,
        with_normals=request.with_normals,
        threads=request.threads,
    )
    arrays = (
        gaussians.means,
        gaussians.quats,
        gaussians.scales,
        gaussians.opacities,
        gaussians.sh_coeffs,
        gaussians.normal_residuals,
        request.extra_channels,
    )
    contiguous = tuple(None if array is None else array.contiguous() for array in arrays)
    *planes, radii, means2d, computed = _Rasterize.apply(
        *contiguous,
        request.background.contiguous(),
        camera.viewmat.contiguous(),
        request.means2d_probe,
        shot,
    )
    info = RasterInfo(radii=radii, means2d=means2d, pixel_splats=computed)
    return RenderOutput(*planes), info
