"""A second of arithmetic: does every engine backend of this machine compute what it should?"""

from __future__ import annotations

import logging

import torch
from torch import Tensor

from emotalk_core.errors import EmotalkError
from emotalk_core.gaussians.backends import available
from emotalk_core.gaussians.hash_grid import TriPlaneHashGrid
from emotalk_core.gaussians.rasterize import rasterize
from emotalk_core.gaussians.ssim import fused_ssim
from emotalk_core.types.gaussians import Camera, GaussianSet, RenderOutput

logger = logging.getLogger(__name__)

COUNT, SIZE = 60, 40  # Gaussians, px: enough to cross tiles and reach the image border
TOLERANCE = 1e-4  # relative, per gradient; float32 stays well below, a broken kernel does not


def example_scene(count: int, size: int, seed: int) -> tuple[GaussianSet, Camera]:
    """A random float64 scene in front of a camera at 1 m: `count` Gaussians, `size` px squared."""
    generator = torch.Generator().manual_seed(seed)

    def normal(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator, dtype=torch.float64)

    spread = torch.log(torch.tensor(0.25 / max(count, 1) ** 0.5, dtype=torch.float64))
    gaussians = GaussianSet(
        means=normal(count, 3) * 0.08,
        quats=normal(count, 4),
        scales=normal(count, 3) * 0.3 + spread,
        opacities=normal(count),
        sh_coeffs=normal(count, 16, 3) * 0.3,
        normal_residuals=normal(count, 3) * 0.1,
    )
    K = torch.tensor([[2.5 * size, 0, size / 2], [0, 2.5 * size, size / 2], [0, 0, 1]])
    viewmat = torch.eye(4, dtype=torch.float64)
    viewmat[2, 3] = 1.0
    return gaussians, Camera(K=K.double(), viewmat=viewmat, width=size, height=size)


def _raster_gradients(backend: str, device: str, dtype: torch.dtype) -> list[Tensor]:
    gaussians, camera = example_scene(COUNT, SIZE, seed=0)
    leaves = {
        name: tensor.to(device, dtype).requires_grad_()
        for name, tensor in gaussians.tensors().items()
    }
    camera = Camera(
        K=camera.K.to(device, dtype),
        viewmat=camera.viewmat.to(device, dtype).requires_grad_(),
        width=SIZE,
        height=SIZE,
    )
    background = torch.ones(3, device=device, dtype=dtype)
    output = rasterize(GaussianSet(**leaves), camera, background, backend=backend)
    return list(torch.autograd.grad(_mixed_loss(output), [*leaves.values(), camera.viewmat]))


def _mixed_loss(output: RenderOutput) -> Tensor:
    parts = (output.rgb, output.alpha, output.depth, output.normals)
    return sum(((part - 0.3) ** 2).sum() for part in parts)  # type: ignore[return-value]


def _grid_gradients(backend: str, device: str, dtype: torch.dtype) -> list[Tensor]:
    generator = torch.Generator().manual_seed(0)
    grid = TriPlaneHashGrid(levels=3, finest_resolution=64, backend=backend, generator=generator)
    grid = grid.to(device, dtype)
    points = (torch.rand(50, 3, generator=generator) - 0.5) * 0.3
    points = points.to(device, dtype).requires_grad_()
    return list(torch.autograd.grad((grid(points) ** 2).sum(), [points, grid.tables]))


def _ssim_gradients(backend: str, device: str, dtype: torch.dtype) -> list[Tensor]:
    images = torch.rand(2, 3, 24, 24, generator=torch.Generator().manual_seed(0))
    image, target = images.to(device, dtype)
    image.requires_grad_()
    return list(torch.autograd.grad(fused_ssim(image, target, backend=backend), [image]))


CHECKS = {"raster": _raster_gradients, "hash grid": _grid_gradients, "ssim": _ssim_gradients}


def _worst_error(got: list[Tensor], wanted: list[Tensor]) -> float:
    pairs = [(a.cpu().double(), b.cpu().double()) for a, b in zip(got, wanted, strict=True)]
    return max(float((a - b).norm() / b.norm().clamp_min(1e-30)) for a, b in pairs)


def self_test() -> dict[str, str]:
    """Backend name -> "" if it works, else what is wrong (absent, or wrong results).

    Compares gradients, which contain the values, of a small scene with the float64 torch oracle.
    """
    report = available()
    for name, reason in report.items():
        if reason:
            continue
        device = "cuda" if name == "cuda" else "cpu"
        for what, gradients in CHECKS.items():
            try:
                got = gradients(name, device, torch.float32)
            except (EmotalkError, RuntimeError) as error:
                report[name] = f"{what}: {error}"
                break
            error_size = _worst_error(got, gradients("torch", "cpu", torch.float64))
            logger.info("%s, %s: relative error %.1e", name, what, error_size)
            if not error_size < TOLERANCE:
                report[name] = f"{what}: gradients differ from the oracle by {error_size:.1e}"
                break
    return report
