"""The named optimiser equals torch's Adam, keeps moments through growth and survives a restart."""

from __future__ import annotations

import torch
from torch import nn

from emotalk_core.training.optimiser import NamedAdam


def walk(adam: NamedAdam, parameter: nn.Parameter, steps: range) -> None:
    for step in steps:
        parameter.grad = torch.sin(parameter.detach() * 3 + step)
        adam.step({"gaussians.means": 0.5})


def test_equals_torch_adam_at_the_scheduled_rate() -> None:
    start = torch.linspace(-1, 1, 6).reshape(3, 2)
    parameter = nn.Parameter(start.clone())
    walk(
        NamedAdam({"gaussians.means": parameter}, {"gaussians.means": 0.2}, set()),
        parameter,
        range(5),
    )
    other = nn.Parameter(start.clone())
    adam = torch.optim.Adam([other], lr=0.1, eps=1e-15)
    for step in range(5):
        other.grad = torch.sin(other.detach() * 3 + step)
        adam.step()
    torch.testing.assert_close(parameter, other)


def test_replaced_rows_keep_or_lose_their_moments() -> None:
    parameter = nn.Parameter(torch.linspace(-1, 1, 6).reshape(3, 2))
    adam = NamedAdam({"gaussians.means": parameter}, {"gaussians.means": 0.2}, set())
    walk(adam, parameter, range(3))
    before = adam.tensors()["gaussians.means/exp_avg"].clone()
    source = torch.tensor([2, 0, 0])
    fresh = torch.tensor([False, False, True])
    new = nn.Parameter(parameter.detach()[source].clone())
    adam.replace_rows("gaussians.means", new, source, fresh)
    after = adam.tensors()["gaussians.means/exp_avg"]
    assert torch.equal(after[0], before[2])
    assert torch.equal(after[1], before[0])
    assert not after[2].any()
    walk(adam, new, range(1))


def test_state_round_trip_continues_bit_for_bit() -> None:
    whole = nn.Parameter(torch.linspace(-1, 1, 6))
    adam = NamedAdam({"gaussians.means": whole}, {"gaussians.means": 0.2}, set())
    walk(adam, whole, range(4))
    saved = {name: value.clone() for name, value in adam.tensors().items()}
    copy = nn.Parameter(whole.detach().clone())
    walk(adam, whole, range(4, 8))
    other = NamedAdam({"gaussians.means": copy}, {"gaussians.means": 0.2}, set())
    other.load(saved)
    walk(other, copy, range(4, 8))
    assert torch.equal(whole, copy)
