"""SSIM: every backend against the usual definition, torchmetrics, and finite differences."""

from __future__ import annotations

import pytest
import torch
from torchmetrics.functional.image import structural_similarity_index_measure

from emotalk_core.gaussians.ssim import fused_ssim, gaussian_window, ssim_map
from tests.gaussians.conftest import Backend


def images(channels: int, height: int, width: int, seed: int = 0) -> tuple[torch.Tensor, ...]:
    generator = torch.Generator().manual_seed(seed)
    target = torch.rand(channels, height, width, generator=generator)
    noise = torch.rand(channels, height, width, generator=generator)
    return (0.7 * target + 0.3 * noise), target


@pytest.mark.parametrize("size", [(3, 64, 80), (1, 11, 11), (3, 3, 5), (2, 1, 1), (3, 33, 97)])
def test_value_and_gradient_equal_float64(size: tuple[int, int, int], backend: Backend) -> None:
    found = []
    for device, kind, name in (
        (backend.device, torch.float32, backend.name),
        ("cpu", torch.float64, "torch"),
    ):
        image, target = (x.to(device, kind) for x in images(*size))
        image.requires_grad_()
        value = fused_ssim(image, target, backend=name, threads=2)
        found.append((value, torch.autograd.grad(value, image)[0]))
    (value, gradient), (exact, exact_gradient) = found
    assert value.item() == pytest.approx(exact.item(), abs=1e-6)
    difference = gradient.cpu().double() - exact_gradient
    assert float(difference.norm() / exact_gradient.norm()) < 1e-5


def test_the_interior_equals_torchmetrics() -> None:
    image, target = (x.double() for x in images(3, 40, 50))
    _, reference = structural_similarity_index_measure(
        image[None], target[None], data_range=1.0, sigma=1.5, return_full_image=True
    )
    inside = (..., slice(5, -5), slice(5, -5))
    assert torch.allclose(ssim_map(image, target)[inside], reference[0][inside], atol=1e-9)


def test_window_sums_to_one_and_is_symmetric() -> None:
    window = gaussian_window()
    assert sum(window) == pytest.approx(1.0, abs=1e-15)
    assert window == window[::-1] and len(window) == 11


def test_equal_images_score_one_and_have_no_gradient(backend: Backend) -> None:
    image, _ = (x.to(backend.device) for x in images(3, 30, 30))
    image.requires_grad_()
    value = fused_ssim(image, image.detach().clone(), backend=backend.name)
    assert value.item() == pytest.approx(1.0, abs=1e-6)
    (gradient,) = torch.autograd.grad(value, image)
    assert float(gradient.abs().max()) < 1e-6


def test_thread_count_does_not_change_a_bit() -> None:
    image, target = images(3, 100, 60)
    values = []
    for threads in (1, 2, 4):
        leaf = image.clone().requires_grad_()
        value = fused_ssim(leaf, target, threads=threads)
        values.append((value, torch.autograd.grad(value, leaf)[0]))
    for value, gradient in values[1:]:
        assert torch.equal(value, values[0][0]) and torch.equal(gradient, values[0][1])


def test_wrong_shapes_are_named() -> None:
    with pytest.raises(ValueError, match="image, target"):
        fused_ssim(torch.zeros(3, 8, 8), torch.zeros(3, 8, 9))
    with pytest.raises(ValueError, match="image, target"):
        fused_ssim(torch.zeros(8, 8), torch.zeros(8, 8))
