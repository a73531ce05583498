"""gsplat as an external oracle: its CPU parts against ours, and the arguments we would give it."""

from __future__ import annotations

import inspect
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from emotalk_core.gaussians.conventions import EPS2D, NEAR_PLANE, RasterRequest
from emotalk_core.gaussians.raster_cuda import gsplat_arguments, rasterize_cuda
from emotalk_core.gaussians.raster_torch import _tile_pairs, project, rasterize_torch
from emotalk_core.geometry.spherical_harmonics import sh_values
from emotalk_core.types.gaussians import Camera, GaussianSet
from tests.gaussians.scenes import (
    IMAGES,
    SCENES,
    Scene,
    gradients,
    mixed_loss,
    random_scene,
    to_kind,
)

gsplat = pytest.importorskip("gsplat", reason="gsplat is not installed")
reference = pytest.importorskip("gsplat.cuda._torch_impl")

TILE = 16


def request_of(scene: Scene, probe: Tensor | None = None) -> RasterRequest:
    return RasterRequest(
        gaussians=scene.gaussians,
        camera=scene.camera,
        background=scene.background,
        extra_channels=scene.extra,
        means2d_probe=probe,
        sh_degree=scene.options.get("sh_degree", 3),
        with_normals=scene.options.get("with_normals", True),
        threads=1,
    )


@pytest.fixture(params=["random", "around the camera", "thin", "on the border"])
def scene(request: pytest.FixtureRequest) -> Scene:
    return to_kind(SCENES[request.param](), "cpu", torch.float64)


def gsplat_projection(scene: Scene) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Radii, centres, depths and conics by gsplat's own torch code."""
    gaussians, camera = scene.gaussians, scene.camera
    covariances, _ = reference._quat_scale_to_covar_preci(
        gaussians.quats, gaussians.scales.exp(), True, False
    )
    found = reference._fully_fused_projection(
        gaussians.means,
        covariances,
        camera.viewmat[None],
        camera.K[None],
        camera.width,
        camera.height,
        eps2d=EPS2D,
        near_plane=NEAR_PLANE,
    )
    return tuple(tensor[0] for tensor in found[:4])  # type: ignore[return-value]


def test_projection_equals_gsplat(scene: Scene) -> None:
    ours = project(request_of(scene))
    _, means2d, depths, conics = gsplat_projection(scene)
    assert len(ours.index) > 10
    assert torch.allclose(ours.means2d, means2d[ours.index], rtol=1e-10)
    assert torch.allclose(ours.conics, conics[ours.index], rtol=1e-8, atol=1e-12)
    assert torch.equal(depths[ours.index].argsort(stable=True), torch.arange(len(ours.index)))


def test_opaque_gaussians_are_culled_as_by_gsplat(scene: Scene) -> None:
    """gsplat's CPU code knows no opacity: its box is 3.33 sigma, that of an opacity near one."""
    opaque = replace(scene.gaussians, opacities=torch.full_like(scene.gaussians.opacities, 20.0))
    scene = replace(scene, gaussians=opaque)
    radii, *_ = gsplat_projection(scene)
    ours = project(request_of(scene))
    by_gsplat = (radii > 0).all(-1).nonzero()[:, 0]
    assert torch.equal(ours.index.sort().values, by_gsplat)
    # 3.33 against sqrt(2 ln 255) = 3.329: equal but where rounding up meets an integer.
    assert (ours.radii - radii[ours.index]).abs().max() <= 1


@pytest.mark.parametrize("degree", [0, 1, 2, 3])
def test_spherical_harmonics_equal_gsplat(degree: int) -> None:
    generator = torch.Generator().manual_seed(degree)
    directions = torch.randn(50, 3, generator=generator, dtype=torch.float64)
    coefficients = torch.randn(50, 16, 3, generator=generator, dtype=torch.float64)
    unit = torch.nn.functional.normalize(directions, dim=-1)
    wanted = reference._spherical_harmonics(degree, directions, coefficients)
    assert torch.allclose(sh_values(coefficients, unit, degree), wanted, atol=1e-7)


def test_tile_lists_equal_gsplat(scene: Scene) -> None:
    splats = project(request_of(scene))
    columns, rows = -(-scene.camera.width // TILE), -(-scene.camera.height // TILE)
    depths = torch.arange(len(splats.index), dtype=torch.float32)
    _, ids, flat = reference._isect_tiles(
        splats.means2d[None].float(), splats.radii[None], depths[None], TILE, columns, rows
    )
    tile_mask = (1 << (columns * rows).bit_length()) - 1
    tiles_of_gsplat = ((ids >> 32) & tile_mask).tolist()
    wanted = set(zip(tiles_of_gsplat, flat.tolist(), strict=True))
    pairs, counts = _tile_pairs(splats, columns, rows)
    tiles = torch.arange(columns * rows).repeat_interleave(torch.tensor(counts))
    got = set(zip(tiles.tolist(), pairs.tolist(), strict=True))
    # Ours may list a tile that a box only touches at its edge.
    assert wanted <= got
    assert len(got) <= 1.05 * len(wanted) + 5


def test_our_arguments_bind_to_gsplat() -> None:
    scene = to_kind(random_scene(10), "cpu", torch.float32)
    arguments = gsplat_arguments(request_of(scene), scene.extra)
    bound = inspect.signature(gsplat.rasterization).bind(**arguments)
    bound.apply_defaults()
    values = bound.arguments
    assert values["rasterize_mode"] == "classic" and values["camera_model"] == "pinhole"
    assert values["radius_clip"] == 0.0 and values["covars"] is None
    assert values["viewmats"].shape == (1, 4, 4) and values["Ks"].shape == (1, 3, 3)


def fake_gsplat(**arguments: Any) -> tuple[Tensor, Tensor, dict[str, Tensor]]:
    """The contract of `gsplat.rasterization` on the CPU: colours and depth blended over zero."""
    inspect.signature(gsplat.rasterization).bind(**arguments)
    count = len(arguments["means"])
    raw = GaussianSet(
        means=arguments["means"],
        quats=arguments["quats"],
        scales=arguments["scales"].log(),
        opacities=arguments["opacities"].logit(),
        sh_coeffs=arguments["means"].new_zeros(count, 1, 3),
    )
    probe = arguments["means"].new_zeros(1, count, 2).requires_grad_()
    camera = Camera(
        K=arguments["Ks"][0],
        viewmat=arguments["viewmats"][0],
        width=arguments["width"],
        height=arguments["height"],
    )
    request = RasterRequest(
        gaussians=raw,
        camera=camera,
        background=arguments["means"].new_zeros(3),
        extra_channels=arguments["colors"],
        means2d_probe=probe[0],
        sh_degree=0,
        with_normals=False,
        threads=1,
    )
    output, info = rasterize_torch(request)
    image = torch.cat([output.extra, output.depth[None]]).permute(1, 2, 0)[None]
    meta = {"means2d": probe, "radii": info.radii[None]}
    return image, output.alpha[None, ..., None], meta


@pytest.mark.parametrize("name", ["random", "no normals", "flat background", "none", "no extra"])
def test_the_cuda_backend_arranges_channels_like_the_oracle(name: str) -> None:
    scene = to_kind(SCENES[name](), "cpu", torch.float64)
    wanted, info = rasterize_torch(request_of(scene))
    got, got_info = rasterize_cuda(request_of(scene), splatter=fake_gsplat)
    for image in IMAGES:
        assert torch.allclose(getattr(got, image), getattr(wanted, image), atol=1e-9), image
    assert torch.equal(got_info.radii, info.radii)


def test_the_cuda_backend_fills_the_probe() -> None:
    scene = to_kind(random_scene(30), "cpu", torch.float64)
    wanted = gradients(scene, "torch")["probe"]
    probe = torch.zeros(30, 2, dtype=torch.float64, requires_grad=True)
    output, _ = rasterize_cuda(request_of(scene, probe), splatter=fake_gsplat)
    mixed_loss(output).backward()
    assert probe.grad is not None
    assert torch.allclose(probe.grad, wanted, rtol=1e-6, atol=1e-9)
