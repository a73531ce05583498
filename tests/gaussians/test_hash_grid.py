"""Tri-plane hash grid: hand-worked cells, every backend against float64, collisions, errors."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from emotalk_core.errors import NumericalError
from emotalk_core.gaussians.hash_grid import TriPlaneHashGrid, grid_layout
from tests.gaussians.conftest import Backend

SHAPES = {
    "face": {"base_resolution": 16, "finest_resolution": 256},
    "mouth": {"base_resolution": 64, "finest_resolution": 384},
    "hashed": {"log2_table": 8},
    "two features": {"features": 2, "levels": 4},
    "eight features": {"features": 8, "levels": 2},
    "one level": {"levels": 1, "base_resolution": 2, "finest_resolution": 2},
}


def pair_of_grids(backend: Backend, **shape: int) -> tuple[TriPlaneHashGrid, TriPlaneHashGrid]:
    grids = [
        TriPlaneHashGrid(
            **shape, backend=name, generator=torch.Generator().manual_seed(1), threads=2
        )
        for name in (backend.name, "torch")
    ]
    return grids[0].to(backend.device), grids[1].double()


def results(grid: TriPlaneHashGrid, points: Tensor) -> list[Tensor]:
    points = points.clone().requires_grad_()
    out = grid(points)
    weights = torch.rand(out.shape, generator=torch.Generator().manual_seed(3)).to(out)
    return [out.detach(), *torch.autograd.grad((out * weights).sum(), [points, grid.tables])]


@pytest.mark.parametrize("name", SHAPES)
def test_values_and_gradients_equal_the_oracle(name: str, backend: Backend) -> None:
    grid, oracle = pair_of_grids(backend, **SHAPES[name])
    points = (torch.rand(333, 3, generator=torch.Generator().manual_seed(2)) - 0.5) * 0.33
    got = results(grid, points.to(backend.device))
    for mine, wanted in zip(got, results(oracle, points.double()), strict=True):
        assert mine.shape == wanted.shape
        assert float((mine.cpu().double() - wanted).norm() / wanted.norm()) < 1e-5


def test_layout_of_the_paper() -> None:
    layout = grid_layout(12, 16, 256, 17, 0.15)
    assert layout.resolutions[0] == 16 and layout.resolutions[-1] == 256
    assert all(size == r * r for r, size in zip(layout.resolutions, layout.sizes, strict=True))
    # The mouth's finest level has 384^2 = 147,456 vertices, more than 2^17: it alone is hashed.
    mouth = grid_layout(12, 64, 384, 17, 0.15)
    assert [r * r > 2**17 for r in mouth.resolutions] == [False] * 11 + [True]


def test_a_point_reads_its_own_vertex_and_the_middle_of_a_cell_the_mean() -> None:
    grid = TriPlaneHashGrid(levels=1, base_resolution=3, finest_resolution=3, bound=1.0).double()
    with torch.no_grad():
        grid.tables.copy_(torch.arange(27.0)[:, None])
    points = torch.tensor([[-1.0, 0.0, 1.0], [-0.5, -0.5, -0.5]], dtype=torch.float64)
    # Rows are v, columns u: xy of the first point is column 0, row 1 -> 3; yz: 9 + (1, row 2) = 16;
    # xz: 18 + (0, row 2) = 24. The second point averages 0, 1, 3, 4 in each plane.
    assert grid(points)[0].tolist() == [3.0, 16.0, 24.0]
    assert grid(points)[1].tolist() == [2.0, 11.0, 20.0]


def test_points_outside_are_clamped_and_get_no_gradient(backend: Backend) -> None:
    grid, _ = pair_of_grids(backend, levels=3, finest_resolution=32)
    inside = torch.tensor([[0.15, 0.02, -0.15]], device=backend.device)
    outside = torch.tensor([[0.9, 0.02, -2.0]], device=backend.device, requires_grad=True)
    assert torch.equal(grid(inside), grid(outside))
    grid(outside).sum().backward()
    assert outside.grad is not None
    assert outside.grad[0, 0] == 0 and outside.grad[0, 2] == 0 and outside.grad[0, 1] != 0


def test_no_points(backend: Backend) -> None:
    grid, _ = pair_of_grids(backend)
    points = torch.zeros(0, 3, device=backend.device, requires_grad=True)
    out = grid(points)
    assert out.shape == (0, 36)
    out.sum().backward()
    assert grid.tables.grad is not None and float(grid.tables.grad.abs().sum()) == 0.0


def test_thread_count_does_not_change_a_bit() -> None:
    points = (torch.rand(1000, 3, generator=torch.Generator().manual_seed(2)) - 0.5) * 0.3
    found = []
    for threads in (1, 2, 5):
        grid = TriPlaneHashGrid(threads=threads, generator=torch.Generator().manual_seed(1))
        found.append(results(grid, points))
    for other in found[1:]:
        assert all(torch.equal(a, b) for a, b in zip(found[0], other, strict=True))


def test_nan_points_and_wrong_shapes(backend: Backend) -> None:
    grid, _ = pair_of_grids(backend)
    with pytest.raises(NumericalError, match="points"):
        grid(torch.full((4, 3), float("nan"), device=backend.device))
    with pytest.raises(ValueError, match="points"):
        grid(torch.zeros(4, 2, device=backend.device))
    with pytest.raises(ValueError, match="base"):
        TriPlaneHashGrid(base_resolution=64, finest_resolution=16)
    with pytest.raises(ValueError, match="features"):
        TriPlaneHashGrid(features=3)


def test_state_dict_and_seed() -> None:
    one, two = (TriPlaneHashGrid(generator=torch.Generator().manual_seed(7)) for _ in range(2))
    assert torch.equal(one.tables, two.tables)
    assert float(one.tables.detach().abs().max()) <= 1e-4
    assert list(one.state_dict()) == ["tables"]
