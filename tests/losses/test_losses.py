"""Every loss against a hand-worked value, and one contract over the registry."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from emotalk_core.errors import ConfigError, NumericalError
from emotalk_core.losses.context import LandmarkMotion, LossContext
from emotalk_core.losses.registry import LOSSES, get_loss
from emotalk_core.losses.sync import LandmarkRun
from emotalk_core.speech.sync.network import ExpertSpec, SyncExpert
from emotalk_core.types.gaussians import GaussianOffsets


def full_context(size: int = 16) -> LossContext:
    generator = torch.Generator().manual_seed(0)

    def image(channels: int, grad: bool = True) -> torch.Tensor:
        return torch.rand(channels, size, size, generator=generator).requires_grad_(grad)

    def motion() -> LandmarkMotion:
        predicted = torch.rand(2, 4, 2, generator=generator).requires_grad_()
        return LandmarkMotion(predicted, torch.rand(2, 4, 2, generator=generator), torch.ones(4))

    return LossContext(
        image=image(3),
        target=image(3, grad=False),
        weight=torch.ones(size, size),
        alpha=image(1)[0],
        target_alpha=image(1, grad=False)[0],
        alpha_weight=torch.ones(size, size),
        normals=image(3),
        target_normals=image(3, grad=False),
        normal_mask=torch.ones(size, size),
        normal_residuals=torch.rand(5, 3, generator=generator).requires_grad_(),
        offsets=(GaussianOffsets(torch.rand(5, 3, generator=generator).requires_grad_()),),
        landmarks=motion(),
        taught=motion(),
        sync=sync_run(torch.rand(9, 80, generator=generator).requires_grad_()),
    )


def sync_run(lips: torch.Tensor, true_distance: float = 0.01) -> LandmarkRun:
    """A run whose sound is a fixed direction."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        expert = SyncExpert(ExpertSpec()).eval().requires_grad_(False)
    heard = torch.nn.functional.one_hot(torch.zeros(5, dtype=torch.long), 64).float()
    return LandmarkRun(expert, lips, heard, true_distance)


def test_detail_counts_what_is_there_not_where() -> None:
    stripes = torch.zeros(3, 18, 18)
    stripes[:, :, ::2] = 0.2
    context = LossContext(image=stripes.roll(1, dims=2), target=stripes)
    assert float(get_loss("detail")(context)) == pytest.approx(0.0, abs=1e-6)
    # A flat picture lacks all of it: the Laplacian of stripes .2 high is +-.4 everywhere.
    flat = replace(context, image=torch.full((3, 18, 18), 0.1))
    assert float(get_loss("detail")(flat)) == pytest.approx(0.4, abs=2e-3)


@pytest.mark.parametrize("name", LOSSES.names())
def test_every_loss_is_a_positive_number_with_a_gradient(name: str) -> None:
    value = get_loss(name)(full_context())
    assert value.shape == ()
    assert float(value.detach()) > 0
    value.backward()


@pytest.mark.parametrize("name", LOSSES.names())
def test_a_loss_without_its_input_says_so(name: str) -> None:
    with pytest.raises(NumericalError, match=f"loss {name}"):
        get_loss(name)(LossContext())


def test_unknown_loss_names_the_nearest() -> None:
    with pytest.raises(ConfigError, match="did you mean 'dssim'"):
        get_loss("dsim")


def test_l1_weights_pixels() -> None:
    image, target = torch.zeros(3, 1, 2), torch.ones(3, 1, 2)
    context = LossContext(image=image, target=target, weight=torch.tensor([[1.0, 4.0]]))
    assert float(get_loss("l1")(context)) == 2.5


def test_dssim_is_zero_for_equal_pictures() -> None:
    context = full_context()
    same = replace(context, image=context.target)
    assert float(get_loss("dssim")(same)) == pytest.approx(0.0, abs=1e-6)


def test_normal_l1_counts_masked_pixels_only() -> None:
    context = LossContext(
        normals=torch.tensor([[[0.0, 5.0]], [[0.0, 5.0]], [[-1.0, 5.0]]]),
        target_normals=torch.tensor([[[0.6, 0.0]], [[0.0, 0.0]], [[-0.8, 0.0]]]),
        normal_mask=torch.tensor([[1.0, 0.0]]),
    )
    assert float(get_loss("normal")(context)) == pytest.approx((0.6 + 0.2) / 3)


def test_normal_tv_of_a_checkerboard() -> None:
    board = torch.tensor([[0.0, 1.0], [1.0, 0.0]]).expand(3, 2, 2)
    context = LossContext(normals=board, normal_mask=torch.ones(2, 2))
    assert float(get_loss("normal_tv")(context)) == 1.0
    half = LossContext(normals=board, normal_mask=torch.tensor([[1.0, 0.0], [1.0, 0.0]]))
    assert float(get_loss("normal_tv")(half)) == 1.0
    flat = LossContext(normals=torch.ones(3, 2, 2), normal_mask=torch.ones(2, 2))
    assert float(get_loss("normal_tv")(flat)) == 0.0


def test_residual_is_the_squared_norm() -> None:
    context = LossContext(normal_residuals=torch.tensor([[3.0, 4.0, 0.0], [0.0, 0.0, 1.0]]))
    assert float(get_loss("normal_residual")(context)) == 13.0


def test_alpha_forgives_half_transparent_pixels() -> None:
    context = LossContext(
        alpha=torch.tensor([[1.0, 0.0]]),
        target_alpha=torch.tensor([[0.5, 1.0]]),
        alpha_weight=torch.tensor([[0.0, 1.0]]),
    )
    assert float(get_loss("alpha")(context)) == 0.5


def test_landmark_motion_weights_points() -> None:
    predicted = torch.zeros(1, 2, 2)
    target = torch.tensor([[[0.1, 0.0], [0.0, -0.2]]])
    context = LossContext(landmarks=LandmarkMotion(predicted, target, torch.tensor([1.0, 4.0])))
    squares = (0.1**2 + 4 * 0.2**2) / 2
    assert float(get_loss("landmark")(context)) == pytest.approx(squares / (2 * 0.02))


def test_offset_adds_what_is_there() -> None:
    offsets = GaussianOffsets(
        means=torch.full((2, 3), 0.01), scales=torch.full((2, 3), -0.5), quats=torch.zeros(2, 4)
    )
    assert float(get_loss("offset")(LossContext(offsets=(offsets,)))) == pytest.approx(1.5)


def test_sync_is_the_squared_distance_beyond_the_truth() -> None:
    lips = torch.rand(9, 80, generator=torch.Generator().manual_seed(1)).requires_grad_()
    run = sync_run(lips, true_distance=0.5)
    seen = run.expert.see(lips[None])[0]
    wanted = (2 - 2 * seen[:, 0]).mean() - 0.5  # |a - b|^2 of unit vectors is 2 - 2 a.b
    value = get_loss("sync")(LossContext(sync=run))
    assert float(value.detach()) == pytest.approx(float(wanted.detach()), abs=1e-5)
    value.backward()
    assert lips.grad is not None and lips.grad.abs().sum() > 0
    assert all(p.grad is None for p in run.expert.parameters())


def test_lips_as_close_as_true_ones_get_no_gradient() -> None:
    lips = torch.rand(9, 80, generator=torch.Generator().manual_seed(1)).requires_grad_()
    value = get_loss("sync")(LossContext(sync=sync_run(lips, true_distance=4.0)))
    value.backward()
    assert float(value.detach()) == 0 and not lips.grad.any()
