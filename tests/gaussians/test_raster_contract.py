"""Every rasterizer backend against the float64 torch oracle: values and gradients of all inputs."""

from __future__ import annotations

import functools

import pytest
import torch
from torch import Tensor

from emotalk_core.gaussians.rasterize import rasterize_with_info
from emotalk_core.types.gaussians import RenderOutput
from tests.gaussians.conftest import Backend
from tests.gaussians.scenes import IMAGES, SCENES, draw, gradients, to_kind


@functools.cache
def oracle_images(name: str) -> RenderOutput:
    return draw(to_kind(rounded(name), "cpu", torch.float64), "torch")


@functools.cache
def oracle_gradients(name: str) -> dict[str, Tensor]:
    return gradients(to_kind(rounded(name), "cpu", torch.float64), "torch")


@functools.cache
def rounded(name: str):
    """The scene in float32, so that the oracle starts from the same numbers."""
    return to_kind(SCENES[name](), "cpu", torch.float32)


def distance(got: Tensor, wanted: Tensor) -> float:
    """Relative to the oracle's norm, or absolute where that is zero."""
    got = got.detach().cpu().double()
    return float((got - wanted).norm() / max(float(wanted.norm()), 1.0e-3))


@pytest.mark.parametrize("name", SCENES)
def test_images_equal_the_oracle(name: str, backend: Backend) -> None:
    got = draw(to_kind(rounded(name), backend.device, torch.float32), backend.name)
    wanted = oracle_images(name)
    for image in IMAGES:
        assert getattr(got, image).shape == getattr(wanted, image).shape
        assert distance(getattr(got, image), getattr(wanted, image)) < backend.tolerance, image


@pytest.mark.parametrize("name", SCENES)
def test_gradients_equal_the_oracle(name: str, backend: Backend) -> None:
    got = gradients(to_kind(rounded(name), backend.device, torch.float32), backend.name)
    wanted = oracle_gradients(name)
    errors = {k: distance(got[k], wanted[k]) for k in wanted}
    wrong = {k: error for k, error in errors.items() if not error < backend.tolerance}
    assert not wrong


@pytest.mark.parametrize("name", ["random", "on the border", "around the camera", "huge"])
def test_info_equals_the_oracle(name: str, backend: Backend) -> None:
    scene = to_kind(rounded(name), backend.device, torch.float32)
    exact = to_kind(rounded(name), "cpu", torch.float64)
    _, got = rasterize_with_info(
        scene.gaussians, scene.camera, scene.background, backend=backend.name
    )
    _, wanted = rasterize_with_info(
        exact.gaussians, exact.camera, exact.background, backend="torch"
    )
    seen = wanted.visible
    assert torch.equal(got.visible.cpu(), seen)
    # A radius is rounded up: where rounding meets an integer the two may differ by one.
    assert (got.radii.cpu() - wanted.radii).abs().max() <= 1
    assert torch.allclose(got.means2d.cpu()[seen].double(), wanted.means2d[seen], rtol=1e-4)


def test_a_loss_on_one_image_gives_the_same_gradient(backend: Backend) -> None:
    """Images that no loss looks at are skipped by the kernels; that must not change the rest."""
    for image in IMAGES:
        found = []
        for kind, name in ((torch.float32, backend.name), (torch.float64, "torch")):
            device = backend.device if kind == torch.float32 else "cpu"
            scene = to_kind(rounded("random"), device, kind)
            output, _ = rasterize_with_info(
                scene.gaussians, scene.camera, scene.background, scene.extra, backend=name
            )
            (getattr(output, image) ** 2).sum().backward()
            assert scene.gaussians.means.grad is not None
            found.append(scene.gaussians.means.grad)
        assert distance(found[0], found[1]) < backend.tolerance, image
