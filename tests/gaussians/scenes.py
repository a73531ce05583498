"""Scenes of the rasterizer's contract: random and degenerate Gaussian sets with cameras."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor

from emotalk_core.gaussians.rasterize import rasterize_with_info
from emotalk_core.gaussians.self_test import example_scene
from emotalk_core.geometry.rotations import rigid_exp
from emotalk_core.types.gaussians import Camera, GaussianSet, RenderOutput

IMAGES = ("rgb", "alpha", "depth", "normals", "extra")


@dataclass(frozen=True)
class Scene:
    """One call of the rasterizer; `options` are its keyword arguments."""

    gaussians: GaussianSet
    camera: Camera
    background: Tensor
    extra: Tensor
    options: dict[str, Any] = field(default_factory=dict)


def random_scene(
    count: int = 200, width: int = 50, height: int = 37, seed: int = 0, extra: int = 2
) -> Scene:
    """Tilted camera, off-centre principal point, image background, odd image size."""
    gaussians, camera = example_scene(count, max(width, height), seed)
    generator = torch.Generator().manual_seed(seed + 1)
    K = camera.K.clone()
    K[0, 2], K[1, 2], K[1, 1] = 0.45 * width, 0.56 * height, 0.9 * K[1, 1]
    tilt = rigid_exp(torch.tensor([0.01, -0.02, 0.03, 0.2, -0.3, 0.1], dtype=torch.float64))
    return Scene(
        gaussians=gaussians,
        camera=Camera(K=K, viewmat=camera.viewmat @ tilt, width=width, height=height),
        background=torch.rand(3, height, width, generator=generator, dtype=torch.float64),
        extra=torch.rand(count, extra, generator=generator, dtype=torch.float64),
    )


def _edit(scene: Scene, **changes: Callable[[Tensor], Tensor]) -> Scene:
    """The scene with some of its Gaussian tensors changed."""
    tensors = {name: edit(getattr(scene.gaussians, name)) for name, edit in changes.items()}
    return replace(scene, gaussians=replace(scene.gaussians, **tensors))


def _huge() -> Scene:
    scene = random_scene(20)
    scales = scene.gaussians.scales.clone()
    scales[:5] = 2.0  # 7 m at a distance of 1 m
    scales[5] = torch.tensor([6.0, 6.0, -9.0])
    return _edit(scene, scales=lambda _: scales)


def _thin() -> Scene:
    scene = random_scene(60)
    scales = scene.gaussians.scales.clone()
    scales[:20, 0] = -14.0  # a micrometre
    scales[20:30] = -20.0
    scales[30:40, 1] += 3.0  # needles across the image
    return _edit(scene, scales=lambda _: scales)


def _around_the_camera() -> Scene:
    scene = random_scene(300)
    means = scene.gaussians.means.clone()
    means[:150] *= 12.0
    means[150:, 2] -= 2.0
    return _edit(scene, means=lambda _: means)


def _opaque() -> Scene:
    # Logits up to 12 pass the clamp at 0.999 and stop pixels at transmittance 1e-4.
    return _edit(random_scene(400), opacities=lambda o: 4.0 * o + 4.0)


def _on_border() -> Scene:
    return _edit(random_scene(100), means=lambda m: m * m.new_tensor([3.0, 2.0, 1.0]))


def _no_direction() -> Scene:
    quats = random_scene(30).gaussians.quats.clone()
    quats[::3] = 0.0
    return _edit(random_scene(30), quats=lambda _: quats)


def _with_options(scene: Scene, **options: Any) -> Scene:
    return replace(scene, options=options)


def _flat_background() -> Scene:
    scene = random_scene(80, 33, 16)
    return replace(scene, background=scene.background[:, 0, 0].clone())


def _first(scene: Scene, count: int) -> Scene:
    kept = {name: tensor[:count] for name, tensor in scene.gaussians.tensors().items()}
    return replace(scene, gaussians=GaussianSet(**kept), extra=scene.extra[:count])


def _no_residuals() -> Scene:
    scene = random_scene(80)
    return replace(scene, gaussians=replace(scene.gaussians, normal_residuals=None))


SCENES: dict[str, Callable[[], Scene]] = {
    "random": random_scene,
    "dense": lambda: random_scene(1500, 64, 64, seed=3),
    "opaque": _opaque,
    "none": lambda: _first(random_scene(5), 0),
    "one": lambda: _first(random_scene(5), 1),
    "behind": lambda: _edit(random_scene(20), means=lambda m: m - m.new_tensor([0.0, 0.0, 3.0])),
    "around the camera": _around_the_camera,
    "on the border": _on_border,
    "huge": _huge,
    "thin": _thin,
    "no direction": _no_direction,
    "no residuals": _no_residuals,
    "flat background": _flat_background,
    "one pixel": lambda: random_scene(40, 1, 1),
    "low bands": lambda: _with_options(random_scene(80), sh_degree=1),
    "grey bands": lambda: _with_options(random_scene(80), sh_degree=0),
    "no normals": lambda: _with_options(random_scene(80), with_normals=False),
    "no extra": lambda: random_scene(80, extra=0),
    "many channels": lambda: random_scene(80, extra=27),
}


def to_kind(scene: Scene, device: str, dtype: torch.dtype) -> Scene:
    """The scene as leaf tensors that require gradients."""

    def leaf(tensor: Tensor) -> Tensor:
        return tensor.detach().to(device, dtype).requires_grad_()

    camera = scene.camera
    return Scene(
        gaussians=GaussianSet(**{k: leaf(v) for k, v in scene.gaussians.tensors().items()}),
        camera=replace(camera, K=camera.K.to(device, dtype), viewmat=leaf(camera.viewmat)),
        background=leaf(scene.background),
        extra=leaf(scene.extra),
        options=scene.options,
    )


def draw(scene: Scene, backend: str, threads: int = 1) -> RenderOutput:
    """The images of a scene, no gradients."""
    with torch.no_grad():
        return rasterize_with_info(
            scene.gaussians,
            scene.camera,
            scene.background,
            scene.extra,
            backend=backend,
            threads=threads,
            **scene.options,
        )[0]


def mixed_loss(output: RenderOutput) -> Tensor:
    """A number that depends on every pixel of every image, with its own weight for each."""
    generator = torch.Generator().manual_seed(9)
    total = output.rgb.new_zeros(())
    for name in IMAGES:
        image = getattr(output, name)
        weights = torch.rand(image.shape, generator=generator, dtype=torch.float64) - 0.3
        total = total + (image * image * weights.to(image)).sum() + 0.1 * image.sum()
    return total


def gradients(scene: Scene, backend: str, threads: int = 1) -> dict[str, Tensor]:
    """Gradient of `mixed_loss` to every differentiable input, by name."""
    probe = scene.gaussians.means.new_zeros(len(scene.gaussians), 2).requires_grad_()
    output, _ = rasterize_with_info(
        scene.gaussians,
        scene.camera,
        scene.background,
        scene.extra,
        backend=backend,
        threads=threads,
        means2d_probe=probe,
        **scene.options,
    )
    inputs = {
        **scene.gaussians.tensors(),
        "extra": scene.extra,
        "background": scene.background,
        "viewmat": scene.camera.viewmat,
        "probe": probe,
    }
    for tensor in inputs.values():
        tensor.grad = None
    mixed_loss(output).backward()
    found = {name: t.grad for name, t in inputs.items()}
    return {k: torch.zeros_like(inputs[k]) if g is None else g.clone() for k, g in found.items()}
