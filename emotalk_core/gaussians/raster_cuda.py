"""Splatting by gsplat on a CUDA device, behind the same request and result as the others."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from emotalk_core.gaussians.conventions import (
    EPS2D,
    NEAR_PLANE,
    RasterInfo,
    RasterRequest,
    RasterResult,
    check_finite,
)
from emotalk_core.gaussians.raster_torch import gaussian_features, rasterize_torch
from emotalk_core.geometry.rotations import normalize_quats
from emotalk_core.types.gaussians import RenderOutput


def why_gsplat_fails() -> str:
    """Empty if gsplat's CUDA extension loads, else the reason."""
    try:
        from gsplat.cuda._backend import _C
    except (ImportError, RuntimeError, OSError) as error:
        return f"gsplat cannot load its CUDA extension ({error}); reinstall gsplat for this torch"
    if _C is None:
        return "gsplat found no CUDA toolkit to build its extension; install nvcc or a gsplat wheel"
    return ""


def gsplat_arguments(request: RasterRequest, colours: Tensor) -> dict[str, Any]:
    """What `gsplat.rasterization` is called with (tests bind it against gsplat's own signature).

    Args:
        request: the checked call.
        colours: [N,D] values to blend; depth is added by gsplat as the last channel.
    """
    gaussians, camera = request.gaussians, request.camera
    return {
        "means": gaussians.means,
        "quats": normalize_quats(gaussians.quats),
        "scales": gaussians.scales.exp(),
        "opacities": gaussians.opacities.sigmoid(),
        "colors": colours,
        "viewmats": camera.viewmat[None],
        "Ks": camera.K[None],
        "width": camera.width,
        "height": camera.height,
        "near_plane": NEAR_PLANE,
        "eps2d": EPS2D,
        "sh_degree": None,
        "packed": False,
        "render_mode": "RGB+ED",
    }


def _tap_gradient(source: Tensor, probe: Tensor) -> None:
    """Let `probe` receive, through autograd, the gradient that reaches `source` [1,N,2]."""

    def add(gradient: Tensor) -> None:
        part = gradient.detach().reshape(probe.shape)
        probe.grad = part.clone() if probe.grad is None else probe.grad + part

    if source.requires_grad and probe.requires_grad:
        source.register_hook(add)


Splatter = Callable[..., tuple[Tensor, Tensor, Any]]


def _gsplat() -> Splatter:
    from gsplat import rasterization

    return rasterization


def rasterize_cuda(request: RasterRequest, splatter: Splatter | None = None) -> RasterResult:
    """`rasterize` by gsplat.

    Args:
        request: the checked call; its tensors are on a CUDA device.
        splatter: gsplat.rasterization, or what a test puts in its place.
    """
    if len(request.gaussians) == 0:  # gsplat launches no kernel for nothing
        return rasterize_torch(request)
    check_finite(request.named_tensors())
    features = gaussian_features(request)
    at = 6 if request.with_normals else 3  # column of the depth, which gsplat makes itself
    colours = torch.cat([features[:, :at], features[:, at + 1 :]], dim=-1)
    image, alpha, meta = (splatter or _gsplat())(**gsplat_arguments(request, colours))
    planes, alpha = image[0].permute(2, 0, 1), alpha[0, ..., 0]
    if request.means2d_probe is not None:
        _tap_gradient(meta["means2d"], request.means2d_probe)
    background = request.background
    if background.ndim == 1:
        background = background[:, None, None]
    output = RenderOutput(
        rgb=planes[:3] + (1 - alpha) * background,
        alpha=alpha,
        depth=planes[-1],
        normals=planes[3:6] if request.with_normals else torch.zeros_like(planes[:3]),
        extra=planes[at:-1],
    )
    n = len(request.gaussians)
    radii = meta["radii"].reshape(n, -1).expand(n, 2).int()
    drawn = (radii > 0).all(-1, keepdim=True)
    return output, RasterInfo(
        radii=torch.where(drawn, radii, torch.zeros_like(radii)),
        means2d=meta["means2d"].detach().reshape(n, 2),
    )
