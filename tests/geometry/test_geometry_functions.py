"""Rotations, projection, spherical harmonics and normals: scipy, hand-worked cases, invariants."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from emotalk_core.geometry.normals import gaussian_normals, shortest_axes
from emotalk_core.geometry.projection import (
    camera_centre,
    covariance_factors,
    project_covariances,
    project_points,
    projection_jacobians,
)
from emotalk_core.geometry.rotations import (
    axis_angles_to_rotmats,
    multiply_quats,
    normalize_quats,
    quats_to_rotmats,
    rigid_exp,
    rotmats_to_quats,
)
from emotalk_core.geometry.spherical_harmonics import colours_to_sh, sh_basis, sh_colours, sh_size

KIND = torch.float64


def normal(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=KIND)


def test_quaternions_equal_scipy_and_come_back() -> None:
    quats = normalize_quats(normal(200, 4))
    quats = torch.where(quats[:, :1] < 0, -quats, quats)
    rotmats = quats_to_rotmats(3.0 * quats)
    wxyz = quats.numpy()
    assert np.allclose(rotmats, Rotation.from_quat(wxyz[:, [1, 2, 3, 0]]).as_matrix())
    assert torch.allclose(rotmats_to_quats(rotmats), quats)


def test_half_turns_come_back_too() -> None:
    for axis in ([1.0, 0, 0], [0, 1.0, 0], [0, 0, 1.0], [0.6, 0.8, 0]):
        rotmat = axis_angles_to_rotmats(math.pi * torch.tensor(axis, dtype=KIND))
        assert torch.allclose(quats_to_rotmats(rotmats_to_quats(rotmat)), rotmat, atol=1e-12)


def test_product_of_quaternions_is_product_of_matrices() -> None:
    a, b = normalize_quats(normal(20, 4, seed=1)), normalize_quats(normal(20, 4, seed=2))
    both = quats_to_rotmats(multiply_quats(a, b))
    assert torch.allclose(both, quats_to_rotmats(a) @ quats_to_rotmats(b))


def test_zero_quaternion_is_identity_without_gradient() -> None:
    quats = torch.zeros(1, 4, dtype=KIND, requires_grad=True)
    rotmats = quats_to_rotmats(quats)
    assert torch.equal(rotmats[0], torch.eye(3, dtype=KIND))
    rotmats.sum().backward()
    assert quats.grad is not None and torch.equal(quats.grad, torch.zeros(1, 4, dtype=KIND))


def test_rigid_exp_is_the_matrix_exponential_and_smooth_at_zero() -> None:
    for twist in (normal(6), 1e-6 * normal(6, seed=1), torch.zeros(6, dtype=KIND)):
        matrix = torch.zeros(4, 4, dtype=KIND)
        x, y, z = twist[3:].tolist()
        matrix[:3, :3] = torch.tensor([[0, -z, y], [z, 0, -x], [-y, x, 0]], dtype=KIND)
        matrix[:3, 3] = twist[:3]
        assert torch.allclose(rigid_exp(twist), torch.linalg.matrix_exp(matrix), atol=1e-14)
    zero = torch.zeros(6, dtype=KIND, requires_grad=True)
    assert torch.autograd.gradcheck(lambda t: rigid_exp(t), (zero,))


def test_projection_by_hand() -> None:
    K = torch.tensor([[100.0, 0, 50], [0, 200, 30], [0, 0, 1]], dtype=KIND)
    viewmat = torch.eye(4, dtype=KIND)
    viewmat[2, 3] = 1.0
    points = torch.tensor([[0.1, -0.2, 1.0]], dtype=KIND)
    pixels, depth = project_points(points, K, viewmat)
    assert pixels.tolist() == [[55.0, 10.0]] and depth.tolist() == [2.0]
    assert camera_centre(viewmat).tolist() == [0.0, 0.0, -1.0]


def test_jacobian_is_the_derivative_of_the_projection_inside_the_frustum() -> None:
    K = torch.tensor([[90.0, 0, 30], [0, 80, 25], [0, 0, 1]], dtype=KIND)
    eye = torch.eye(4, dtype=KIND)
    point = torch.tensor([0.1, -0.05, 1.3], dtype=KIND)
    derivative = torch.autograd.functional.jacobian(
        lambda p: project_points(p[None], K, eye)[0][0], point
    )
    assert torch.allclose(projection_jacobians(point[None], K, 60, 50)[0], derivative)


def test_a_round_gaussian_has_a_round_image_on_the_axis() -> None:
    K = torch.tensor([[100.0, 0, 50], [0, 100, 50], [0, 0, 1]], dtype=KIND)
    factors = covariance_factors(normal(1, 4), torch.full((1, 3), 0.02, dtype=KIND))
    point = torch.tensor([[0.0, 0, 2.0]], dtype=KIND)
    covariance = project_covariances(factors, point, K, torch.eye(4, dtype=KIND), (100, 100), 0.3)
    assert torch.allclose(covariance[0], 1.3 * torch.eye(2, dtype=KIND))  # (100 * 0.02 / 2)^2 + 0.3


def test_spherical_harmonics_are_orthonormal() -> None:
    # Gauss-Legendre in cos(theta) times an even grid in phi is exact for these polynomials.
    nodes, weights = np.polynomial.legendre.leggauss(8)
    phi = np.arange(16) * 2 * np.pi / 16
    sine = np.sqrt(1 - nodes**2)
    directions = np.stack(
        [np.outer(sine, np.cos(phi)), np.outer(sine, np.sin(phi)), np.outer(nodes, np.ones(16))], -1
    ).reshape(-1, 3)
    basis = sh_basis(torch.from_numpy(directions), 3)
    area = torch.from_numpy(np.repeat(weights, 16) * 2 * np.pi / 16)
    assert torch.allclose(basis.T @ (area[:, None] * basis), torch.eye(16, dtype=KIND), atol=1e-7)


def test_colours_survive_the_way_through_the_basis() -> None:
    colours = torch.rand(5, 3, dtype=KIND)
    coefficients = torch.zeros(5, sh_size(3), 3, dtype=KIND)
    coefficients[:, 0] = colours_to_sh(colours)
    directions = torch.nn.functional.normalize(normal(5, 3), dim=-1)
    assert torch.allclose(sh_colours(coefficients, directions, 3), colours)
    with pytest.raises(ValueError, match="degree=4"):
        sh_basis(directions, 4)


def test_the_normal_is_the_column_of_the_smallest_scale_towards_the_camera() -> None:
    quats = normal(50, 4)
    scales = normal(50, 3, seed=1)
    axes = shortest_axes(quats, scales)
    rotmats = quats_to_rotmats(quats)
    for i, smallest in enumerate(scales.argmin(-1).tolist()):
        assert torch.equal(axes[i], rotmats[i, :, smallest])
    view = normal(50, 3, seed=2)
    normals = gaussian_normals(quats, scales, None, view)
    assert bool(((normals * view).sum(-1) <= 0).all())
    residual = torch.tensor([[0.0, 3.0, 0.0]], dtype=KIND).expand(50, 3)
    tilted = gaussian_normals(quats, scales, residual, view)
    assert torch.allclose(tilted.norm(dim=-1), torch.ones(50, dtype=KIND))
    assert bool((tilted[:, 1] > 0.8).all())
