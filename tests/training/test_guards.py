"""Guards stop a run early and name the cause."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from emotalk_core.errors import NumericalError
from emotalk_core.training.guards import Guard
from emotalk_core.training.stages import Phase, PhaseData


def phase(must_fall: bool = True, length: int = 400) -> Phase:
    data = PhaseData(
        name="motion",
        steps="steps",
        trains=("networks",),
        deform=True,
        losses=("l1",),
        sampling="all",
        must_fall=must_fall,
    )
    return Phase(data, 10, 10 + length, {"l1": 1.0})


def test_nan_names_its_loss() -> None:
    with pytest.raises(NumericalError, match=r"step 10.*parts \['dssim'\]"):
        Guard("face").loss(10, phase(), math.nan, {"l1": 0.1, "dssim": math.nan})


def test_a_loss_that_does_not_fall_is_dead() -> None:
    guard = Guard("face")
    with pytest.raises(NumericalError, match=r"dead loss: 0\.5 after half of the phase, 0\.5"):
        for step in range(10, 410):
            guard.loss(step, phase(), 0.5, {"l1": 0.5})
    assert step == 210


def test_a_falling_loss_passes_and_short_phases_are_not_judged() -> None:
    guard = Guard("face")
    for step in range(10, 410):
        guard.loss(step, phase(), 0.5 * 0.99 ** (step - 10), {})
    for step in range(10, 110):
        guard.loss(step, phase(length=100), 0.5, {})


def test_an_exploding_loss_stops() -> None:
    guard = Guard("face")
    with pytest.raises(NumericalError, match=r"the loss rose from 0\.1"):
        for step in range(10, 410):
            guard.loss(step, phase(must_fall=False), 0.1 if step < 100 else 1.0, {})


def test_a_group_without_gradient_is_named() -> None:
    moving, silent = nn.Parameter(torch.ones(2)), nn.Parameter(torch.ones(2))
    guard = Guard("face")
    with pytest.raises(NumericalError, match=r"groups \['grid'\] got no gradient in 10 steps"):
        for step in range(10, 30):
            moving.grad, silent.grad = torch.ones(2), torch.zeros(2)
            guard.gradients(step, phase(), {"networks": [moving], "grid": [silent]})
    assert step == 19


def test_numbers_survive_a_restart() -> None:
    guard, other = Guard("face"), Guard("face")
    for step in range(10, 100):
        guard.loss(step, phase(), 1.0 / step, {})
    other.restore(guard.numbers())
    guard.loss(100, phase(), 0.3, {})
    other.loss(100, phase(), 0.3, {})
    assert guard.numbers() == other.numbers()
