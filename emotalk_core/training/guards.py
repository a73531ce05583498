"""Watches a run's numbers and stops it early with a named cause."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping

from torch import Tensor, nn

from emotalk_core.errors import NumericalError
from emotalk_core.training.stages import Phase

WINDOW = 50  # steps of the first mean and of the running mean
FALL = 0.98  # at half of a phase the running mean must lie below this share of the first mean
EXPLOSION = 4.0  # a running mean above this multiple of the first mean has diverged
SHORTEST_PHASE = 200  # steps; shorter phases are too noisy to judge
GRADIENT_STEPS = 10  # steps in which every trained group must have seen a gradient


class Guard:
    """NaN, diverging, not falling, and parameter groups that get no gradient."""

    def __init__(self, stage: str) -> None:
        self._stage = stage
        self.first = 0.0
        self.running = 0.0
        self._silent: set[str] = set()

    def numbers(self) -> dict[str, float]:
        """What must survive an interruption."""
        return {"first": self.first, "running": self.running}

    def restore(self, numbers: Mapping[str, float]) -> None:
        """Inverse of `numbers`."""
        self.first, self.running = numbers["first"], numbers["running"]

    def loss(self, step: int, phase: Phase, total: float, parts: Mapping[str, float]) -> None:
        """Check one step's loss.

        Raises:
            NumericalError: it is not finite, has exploded, or does not fall.
        """
        where = f"stage {self._stage}, phase {phase.data.name}, step {step}"
        if not math.isfinite(total):
            bad = sorted(name for name, value in parts.items() if not math.isfinite(value))
            raise NumericalError(
                f"{where}: the loss is {total} (parts {bad}); lower the learning rates of "
                "this stage or look for broken frames in quality.json"
            )
        local = step - phase.start
        if local == 0:
            self.first = self.running = total
        elif local < WINDOW:
            self.first = (self.first * local + total) / (local + 1)
            self.running = self.first
        else:
            self.running += (total - self.running) / WINDOW
        if phase.length < SHORTEST_PHASE:
            return
        if local >= WINDOW and self.running > EXPLOSION * self.first:
            raise NumericalError(
                f"{where}: the loss rose from {self.first:.4g} to {self.running:.4g}; "
                "lower the learning rates of this stage"
            )
        half = local == phase.length // 2
        if phase.data.must_fall and half and self.running > FALL * self.first:
            raise NumericalError(
                f"{where}: dead loss: {self.running:.4g} after half of the phase, {self.first:.4g} "
                "at its start; masks, poses or kernels are wrong (quality.png shows masks, "
                "python -m emotalk_core doctor tests kernels)"
            )

    def gradients(
        self, step: int, phase: Phase, groups: Mapping[str, Iterable[nn.Parameter]]
    ) -> None:
        """Check in a phase's first steps that each trained group gets a gradient that is not zero.

        Raises:
            NumericalError: a group had none in `GRADIENT_STEPS` steps.
        """
        local = step - phase.start
        if local == 0:
            self._silent = set(groups)
        if local >= GRADIENT_STEPS or not self._silent:
            return
        for name in sorted(self._silent):
            if any(_moves(parameter.grad) for parameter in groups[name]):
                self._silent.discard(name)
        if local == GRADIENT_STEPS - 1 and self._silent:
            raise NumericalError(
                f"stage {self._stage}, phase {phase.data.name}: groups {sorted(self._silent)} got "
                f"no gradient in {GRADIENT_STEPS} steps; masks are empty or a kernel is broken "
                "(python -m emotalk_core doctor)"
            )


def _moves(gradient: Tensor | None) -> bool:
    return gradient is not None and bool(gradient.any())
