"""Speed of the Gaussian engine on this machine: prints a table and writes a flat JSON.

    python -m benchmarks.engine --json out.json [--quick] [--threads 1 2]

Times are the best of several repeats (the least disturbed one), in ms; ratios compare repeats that
ran alternately in this process. `torch` is the engine's own vectorised torch backend in float32 on
one thread, SSIM's rival is depthwise conv2d. Keys are explained in docs/engine.md.
"""

from __future__ import annotations

import argparse
import json
import resource
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor, nn

from emotalk_core.gaussians import kernels
from emotalk_core.gaussians.backends import available
from emotalk_core.gaussians.hash_grid import TriPlaneHashGrid
from emotalk_core.gaussians.rasterize import rasterize, rasterize_with_info
from emotalk_core.gaussians.ssim import fused_ssim
from emotalk_core.geometry.spherical_harmonics import colours_to_sh
from emotalk_core.types.gaussians import Camera, GaussianOffsets, GaussianSet, RenderOutput

SIZES = {"2k": 2_000, "10k": 10_000, "30k": 30_000, "100k": 100_000}
DIAGONAL = (("2k", 128), ("10k", 256), ("30k", 512))
CROSS = [(count, size) for count in ("2k", "10k", "30k") for size in (128, 256, 512)]
LARGE = (("100k", 512), ("100k", 1024), ("30k", 1024))
IMAGES = ("rgb", "alpha", "depth", "normals", "extra")
# Floating-point operations per pixel and splat in the blending loops, beside those per channel:
# exponent 10, power of two 12, weight 5; backward also slope 12 and moments 13.
FORWARD_FLOPS, FORWARD_PER_CHANNEL = 27, 2
BACKWARD_FLOPS, BACKWARD_PER_CHANNEL = 52, 4
CHANNELS = 8  # rgb, normal, depth, one extra


@dataclass(frozen=True)
class Scene:
    """A head-shaped cloud in front of a camera, all inputs as leaves."""

    gaussians: GaussianSet
    camera: Camera
    extra: Tensor
    background: Tensor


def head_scene(count: int, size: int, degree: int = 1) -> Scene:
    """Gaussians on and below an ellipsoid of 15 x 20 x 17 cm that fills half of the image."""
    generator = torch.Generator().manual_seed(count + size)

    def normal(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator)

    directions = torch.nn.functional.normalize(normal(count, 3), dim=-1)
    depth = 1.0 - 0.25 * torch.rand(count, 1, generator=generator) ** 2
    spacing = torch.tensor(0.35 / count**0.5).log()
    sh = 0.1 * normal(count, (degree + 1) ** 2, 3)
    sh[:, 0] = colours_to_sh(torch.rand(count, 3, generator=generator))
    gaussians = GaussianSet(
        means=directions * depth * torch.tensor([0.075, 0.10, 0.085]),
        quats=normal(count, 4),
        scales=spacing + 0.4 * normal(count, 3) - torch.tensor([0.0, 0.0, 0.7]),
        opacities=1.0 + 1.5 * normal(count),
        sh_coeffs=sh,
        normal_residuals=0.1 * normal(count, 3),
    )
    gaussians = GaussianSet(**{k: t.requires_grad_() for k, t in gaussians.tensors().items()})
    K = torch.tensor([[3.6 * size, 0, size / 2], [0, 3.6 * size, size / 2], [0, 0, 1.0]])
    viewmat = torch.eye(4)
    viewmat[2, 3] = 1.0
    return Scene(
        gaussians=gaussians,
        camera=Camera(K=K, viewmat=viewmat.requires_grad_(), width=size, height=size),
        extra=torch.rand(count, 1, generator=generator).requires_grad_(),
        background=torch.rand(3, size, size, generator=generator),
    )


def best(run: Callable[[], object], seconds: float) -> float:
    """Shortest time in ms of repeats that together take about `seconds` (two at least)."""
    times: list[float] = []
    while len(times) < 2 or (sum(times) < seconds and len(times) < 200):
        start = time.perf_counter()
        run()
        times.append(time.perf_counter() - start)
    return 1000 * min(times)


def draw(scene: Scene, backend: str, threads: int) -> RenderOutput:
    """All five images."""
    return rasterize(
        scene.gaussians,
        scene.camera,
        scene.background,
        scene.extra,
        backend=backend,
        threads=threads,
    )


def raster_times(scene: Scene, backend: str, threads: int, seconds: float) -> dict[str, float]:
    """Forward, backward and their sum, with gradients of all five images to every input."""
    upstream = [torch.ones_like(getattr(draw(scene, backend, threads), name)) for name in IMAGES]
    inputs = [*scene.gaussians.tensors().values(), scene.extra, scene.camera.viewmat]
    forward: list[float] = []
    backward: list[float] = []

    def once() -> None:
        start = time.perf_counter()
        output = draw(scene, backend, threads)
        middle = time.perf_counter()
        torch.autograd.grad([getattr(output, name) for name in IMAGES], inputs, upstream)
        forward.append(1000 * (middle - start))
        backward.append(1000 * (time.perf_counter() - middle))

    both = best(once, seconds)
    return {"forward_ms": min(forward), "backward_ms": min(backward), "both_ms": both}


class Deformation(nn.Module):
    """A branch as large as the avatar's: hash grid, then 64-64-10 on 36 + 32 inputs."""

    def __init__(self, threads: int) -> None:
        super().__init__()
        self.grid = TriPlaneHashGrid(threads=threads, generator=torch.Generator().manual_seed(0))
        self.network = nn.Sequential(
            nn.Linear(68, 64), nn.ReLU(), nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 10)
        )

    def forward(self, gaussians: GaussianSet, condition: Tensor) -> GaussianSet:
        """The moved set."""
        codes = self.grid(gaussians.means)
        offsets = self.network(torch.cat([codes, condition.expand(len(codes), -1)], dim=-1)) * 1e-3
        means, scales, quats = offsets.split([3, 3, 4], dim=-1)
        return gaussians.deformed(GaussianOffsets(means=means, scales=scales, quats=quats))


def training_step(scene: Scene, threads: int) -> Callable[[], None]:
    """A full step: deform, draw 8 channels, L1 + D-SSIM + normal loss, backward, Adam."""
    deformation, condition = Deformation(threads), torch.rand(32)
    target, normals = torch.rand_like(scene.background), torch.rand_like(scene.background)
    tensors = list(scene.gaussians.tensors().values())
    adam = torch.optim.Adam([*tensors, *deformation.parameters()], lr=1e-7, fused=True)

    def step() -> None:
        moved = replace(scene, gaussians=deformation(scene.gaussians, condition))
        output = draw(moved, "auto", threads)
        loss = 0.8 * (output.rgb - target).abs().mean()
        loss = loss + 0.2 * (1 - fused_ssim(output.rgb, target, threads=threads))
        loss = loss + 0.05 * (output.normals - normals).abs().mean() + output.extra.mean()
        loss.backward()
        adam.step()
        adam.zero_grad()

    return step


def rendered_frame(scene: Scene, threads: int) -> Callable[[], None]:
    """A frame of a deformed avatar as the viewer draws it: colours alone, no gradients."""
    deformation, condition = Deformation(threads), torch.rand(32)

    @torch.no_grad()
    def frame() -> None:
        rasterize(
            deformation(scene.gaussians, condition),
            scene.camera,
            scene.background,
            threads=threads,
            with_normals=False,
        )

    return frame


def hash_times(backend: str, threads: int, count: int, seconds: float) -> dict[str, float]:
    """Forward, and forward with the gradients of tables and points."""
    generator = torch.Generator().manual_seed(0)
    grid = TriPlaneHashGrid(backend=backend, threads=threads, generator=generator)
    points = ((torch.rand(count, 3, generator=generator) - 0.5) * 0.3).requires_grad_()
    upstream = torch.ones_like(grid(points))

    def both() -> None:
        torch.autograd.grad(grid(points), [points, grid.tables], upstream)

    def forward() -> None:
        with torch.no_grad():
            grid(points)

    return {"forward_ms": best(forward, seconds / 3), "both_ms": best(both, seconds)}


def ssim_time(run: Callable[[Tensor, Tensor], Tensor], size: int, seconds: float) -> float:
    """Value and gradient."""
    images = torch.rand(2, 3, size, size, generator=torch.Generator().manual_seed(0))
    image, target = images[0].requires_grad_(), images[1]
    return best(lambda: torch.autograd.grad(run(image, target), image), seconds)


def measured_peak(threads: int) -> float:
    """Gflop/s of a large float32 matrix product, the fastest thing this machine does."""
    torch.set_num_threads(threads)
    a, b = torch.rand(1024, 1024), torch.rand(1024, 1024)
    return 2 * 1024**3 / best(lambda: a @ b, 1.0) * 1e-6


def gradient_error(scene: Scene) -> float:
    """Worst relative error of any gradient against the float64 oracle."""
    found = []
    for kind, backend in ((torch.float32, "auto"), (torch.float64, "torch")):
        leaves = {
            k: t.detach().to(kind).requires_grad_() for k, t in scene.gaussians.tensors().items()
        }
        viewmat = scene.camera.viewmat.detach().to(kind).requires_grad_()
        camera = replace(scene.camera, K=scene.camera.K.to(kind), viewmat=viewmat)
        moved = Scene(
            GaussianSet(**leaves), camera, scene.extra.to(kind), scene.background.to(kind)
        )
        output = draw(moved, backend, 1)
        loss = sum((getattr(output, name) ** 2).sum() for name in IMAGES)
        found.append(torch.autograd.grad(loss, [*leaves.values(), viewmat]))
    pairs = zip(*found, strict=True)
    return max(float((a.double() - b).norm() / b.norm()) for a, b in pairs)


class Report:
    """Measurements by key, printed as they come."""

    def __init__(self) -> None:
        self.values: dict[str, float] = {}

    def add(self, key: str, value: float) -> None:
        """Keep and print one number."""
        self.values[key] = float(f"{value:.5g}")
        print(f"{key:48s} {value:12.4g}", flush=True)

    def add_all(self, prefix: str, values: dict[str, float]) -> None:
        """Keep and print several under one prefix."""
        for name, value in values.items():
            self.add(f"{prefix}.{name}", value)


def measure_raster(report: Report, threads: list[int], quick: bool) -> None:
    """All sizes on the kernels, the main ones also on torch."""
    seconds = 0.4 if quick else 2.0
    sizes = list(DIAGONAL) if quick else [*CROSS, *LARGE]
    for count, size in sizes:
        scene = head_scene(SIZES[count], size)
        for n in threads:
            times = raster_times(scene, "auto", n, seconds)
            report.add_all(f"raster.cpu.{count}_{size}.{n}t", times)
        if (count, size) not in DIAGONAL:
            continue
        torch.set_num_threads(1)
        rival = raster_times(scene, "torch", 1, 2 * seconds)
        report.add_all(f"raster.torch.{count}_{size}.1t", rival)
        again = raster_times(scene, "auto", 1, seconds)
        ours = min(again["both_ms"], report.values[f"raster.cpu.{count}_{size}.1t.both_ms"])
        report.add(f"ratio.raster_vs_torch.{count}_{size}.1t", rival["both_ms"] / ours)


def measure_parts(report: Report, threads: list[int], quick: bool) -> None:
    """Hash grid and SSIM, and their rivals."""
    seconds = 0.4 if quick else 2.0
    torch.set_num_threads(1)
    for n in threads:
        report.add_all(f"hash.cpu.30k.{n}t", hash_times("auto", n, 30_000, seconds))
        fused = ssim_time(lambda a, b, n=n: fused_ssim(a, b, threads=n), 512, seconds)
        report.add(f"ssim.cpu.512.{n}t.both_ms", fused)
    report.add_all("hash.torch.30k.1t", hash_times("torch", 1, 30_000, seconds))
    rival = ssim_time(lambda a, b: fused_ssim(a, b, backend="torch"), 512, seconds)
    report.add("ssim.conv2d.512.1t.both_ms", rival)
    values = report.values
    hash_ratio = values["hash.torch.30k.1t.both_ms"] / values["hash.cpu.30k.1t.both_ms"]
    ssim_ratio = values["ssim.conv2d.512.1t.both_ms"] / values["ssim.cpu.512.1t.both_ms"]
    report.add("ratio.hash_vs_torch.30k", hash_ratio)
    report.add("ratio.ssim_vs_conv2d.512", ssim_ratio)


def measure_whole(report: Report, threads: list[int], quick: bool) -> None:
    """Training steps and rendered frames per second."""
    seconds = 0.7 if quick else 4.0
    for count, size in DIAGONAL:
        for n in threads:
            torch.set_num_threads(n)
            scene = head_scene(SIZES[count], size)
            step = best(training_step(scene, n), seconds)
            frame = best(rendered_frame(scene, n), seconds / 3)
            report.add(f"step_per_s.{count}_{size}.{n}t", 1000 / step)
            report.add(f"render_fps.{count}_{size}.{n}t", 1000 / frame)


def measure_peak_share(report: Report) -> None:
    """Arithmetic of the blending loops in the time of a whole pass, against a matrix product."""
    peak = measured_peak(1)
    report.add("peak_gflops.1t", peak)
    for count, size in DIAGONAL:
        scene = head_scene(SIZES[count], size)
        _, info = rasterize_with_info(scene.gaussians, scene.camera, scene.background, scene.extra)
        pairs = int(info.pixel_splats)
        times = report.values
        for name, per_pair in (
            ("forward", FORWARD_FLOPS + FORWARD_PER_CHANNEL * CHANNELS),
            ("backward", BACKWARD_FLOPS + BACKWARD_PER_CHANNEL * CHANNELS),
        ):
            rate = pairs * per_pair / times[f"raster.cpu.{count}_{size}.1t.{name}_ms"] * 1e-6
            report.add(f"peak_share.raster_{name}.{count}_{size}.1t", rate / peak)


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", type=Path, help="where to write the flat JSON")
    parser.add_argument("--quick", action="store_true", help="under 50 s: the three main sizes")
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    arguments = parser.parse_args()
    report = Report()
    reason = available()["cpu"]
    print(f"kernels: {reason or kernels.load().isa}")
    report.add("error.gradient.2k_128", gradient_error(head_scene(2_000, 128)))
    measure_raster(report, arguments.threads, arguments.quick)
    measure_parts(report, arguments.threads, arguments.quick)
    measure_whole(report, arguments.threads, arguments.quick)
    if not reason:
        measure_peak_share(report)
    report.add("memory_gib", resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20)
    if arguments.json:
        arguments.json.write_text(json.dumps(report.values, indent=1, sort_keys=True) + "\n")


if __name__ == "__main__":
    main()
