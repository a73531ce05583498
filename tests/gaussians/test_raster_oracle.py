"""The torch oracle itself: hand-worked Gaussians, finite differences, errors of the public call."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch

from emotalk_core.errors import BackendUnavailableError, NumericalError
from emotalk_core.gaussians.rasterize import rasterize, rasterize_with_info
from emotalk_core.geometry.spherical_harmonics import colours_to_sh
from emotalk_core.types.gaussians import Camera, GaussianSet
from tests.gaussians.conftest import Backend
from tests.gaussians.scenes import gradients, random_scene, to_kind


def single(opacity: float, depth: float, colour: tuple[float, float, float]) -> GaussianSet:
    """One round Gaussian of 1 cm on the optical axis, thinnest towards the camera."""
    kind = torch.float64
    return GaussianSet(
        means=torch.tensor([[0.0, 0.0, depth]], dtype=kind),
        quats=torch.tensor([[1.0, 0, 0, 0]], dtype=kind),
        scales=torch.tensor([[0.01, 0.01, 0.005]], dtype=kind).log(),
        opacities=torch.logit(torch.tensor([opacity], dtype=kind)),
        sh_coeffs=colours_to_sh(torch.tensor([colour], dtype=kind))[:, None],
    )


def camera(size: int = 21, focal: float = 100.0) -> Camera:
    kind = torch.float64
    K = torch.tensor([[focal, 0, size / 2], [0, focal, size / 2], [0, 0, 1]], dtype=kind)
    return Camera(K=K, viewmat=torch.eye(4, dtype=kind), width=size, height=size)


def joined(*sets: GaussianSet) -> GaussianSet:
    names = sets[0].tensors()
    return GaussianSet(**{name: torch.cat([getattr(s, name) for s in sets]) for name in names})


def test_one_gaussian_by_hand(backend: Backend) -> None:
    kind = torch.float64 if backend.name == "torch" else torch.float32
    gaussians = single(0.6, 2.0, (0.9, 0.5, 0.1))
    view = camera()
    gaussians = GaussianSet(
        **{k: v.to(backend.device, kind) for k, v in gaussians.tensors().items()}
    )
    view = replace(
        view, K=view.K.to(backend.device, kind), viewmat=view.viewmat.to(backend.device, kind)
    )
    white = torch.ones(3, device=backend.device, dtype=kind)
    output, info = rasterize_with_info(gaussians, view, white, backend=backend.name)
    # sigma = 100 * 0.01 / 2 = 0.5 px, variance 0.25 + 0.3; the centre lies on pixel (10, 10).
    near = 0.6 * math.exp(-0.5 * 1.0 / 0.55)
    assert output.alpha[10, 10].item() == pytest.approx(0.6, rel=1e-6)
    assert output.alpha[10, 11].item() == pytest.approx(near, rel=1e-6)
    assert output.alpha[9, 11].item() == pytest.approx(0.6 * math.exp(-1.0 / 0.55), rel=1e-6)
    assert output.alpha[10, 14].item() == 0.0  # below 1/255
    assert output.rgb[:, 10, 10].tolist() == pytest.approx([0.94, 0.7, 0.46], rel=1e-6)
    assert output.depth[10, 11].item() == pytest.approx(2.0, rel=1e-6)
    assert output.depth[0, 0].item() == 0.0
    assert output.normals[:, 10, 10].tolist() == pytest.approx([0, 0, -0.6], abs=1e-6)
    reach = math.ceil(math.sqrt(2 * math.log(0.6 * 255) * 0.55))
    assert info.radii.tolist() == [[reach, reach]]
    assert info.means2d[0].tolist() == pytest.approx([10.5, 10.5])


def test_order_is_by_depth_not_by_row() -> None:
    far, near = single(0.5, 3.0, (0, 0, 1)), single(0.5, 2.0, (1, 0, 0))
    output = rasterize(joined(far, near), camera(), torch.zeros(3, dtype=torch.float64))
    assert output.rgb[:, 10, 10].tolist() == pytest.approx([0.5, 0.0, 0.25])
    assert output.depth[10, 10].item() == pytest.approx((0.5 * 2 + 0.25 * 3) / 0.75)


def test_a_pixel_stops_before_the_gaussian_that_would_close_it() -> None:
    # 0.999 * 0.95: 1 - alpha = 0.001, then 5e-5 <= 1e-4, so the second one is dropped.
    sets = [single(0.9999, 2.0, (1, 0, 0)), single(0.95, 3.0, (0, 1, 0))]
    output = rasterize(joined(*sets), camera(), torch.zeros(3, dtype=torch.float64))
    assert output.alpha[10, 10].item() == pytest.approx(0.999)
    assert output.rgb[:, 10, 10].tolist() == pytest.approx([0.999, 0.0, 0.0])


def test_oracle_gradients_equal_finite_differences() -> None:
    scene = to_kind(random_scene(6, 11, 9, seed=4, extra=1), "cpu", torch.float64)
    inputs = {**scene.gaussians.tensors(), "viewmat": scene.camera.viewmat, "extra": scene.extra}

    def images(*values: torch.Tensor) -> tuple[torch.Tensor, ...]:
        named = dict(zip(inputs, values, strict=True))
        view, extra = named.pop("viewmat"), named.pop("extra")
        output = rasterize(
            GaussianSet(**named), replace(scene.camera, viewmat=view), scene.background, extra
        )
        return output.rgb, output.alpha, output.normals, output.extra

    leaves = tuple(tensor.detach().requires_grad_() for tensor in inputs.values())
    assert torch.autograd.gradcheck(images, leaves, eps=1e-7, atol=1e-5, fast_mode=True)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
@pytest.mark.parametrize(
    "name", ["means", "quats", "scales", "opacities", "sh_coeffs", "normal_residuals", "extra"]
)
def test_nan_names_the_tensor(name: str, value: float, backend: Backend) -> None:
    scene = to_kind(random_scene(40), backend.device, torch.float32)
    tensor = scene.extra if name == "extra" else getattr(scene.gaussians, name)
    with torch.no_grad():
        tensor.view(-1)[7] = value
    with pytest.raises(NumericalError, match=name):
        gradients(scene, backend.name)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"means2d_probe": torch.zeros(3, 2)}, "means2d_probe"),
        ({"sh_degree": 4}, "sh_degree"),
        ({"threads": 0}, "threads"),
        ({"background": torch.zeros(3, 5, 5)}, "background"),
        ({"background": torch.zeros(3, dtype=torch.float64)}, "dtype"),
        ({"extra_channels": torch.zeros(7, 1)}, "extra_channels"),
        ({"backend": "magic"}, "backend=magic"),
    ],
)
def test_wrong_calls_name_the_argument(changes: dict, message: str) -> None:
    scene = to_kind(random_scene(10), "cpu", torch.float32)
    arguments = {"background": scene.background, **changes}
    with pytest.raises(ValueError, match=message):
        rasterize(scene.gaussians, scene.camera, **arguments)


def test_asking_for_a_backend_that_cannot_take_the_tensors() -> None:
    scene = to_kind(random_scene(10), "cpu", torch.float64)
    with pytest.raises(BackendUnavailableError, match="float64"):
        rasterize(scene.gaussians, scene.camera, scene.background, backend="cpu")
