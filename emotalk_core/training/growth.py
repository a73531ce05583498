"""Densification inside the training loop: when rows grow, and what the optimiser keeps of them."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import replace

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from emotalk_core.avatar.model import as_gaussians, as_parameters
from emotalk_core.gaussians.densify import Rules, Statistics, choose, grow, new_statistics
from emotalk_core.training.optimiser import NamedAdam
from emotalk_core.training.settings import TrainingSettings
from emotalk_core.training.stages import Phase

logger = logging.getLogger(__name__)

PREFIX = "gaussians."
SPLIT_SIGMA = 3.4e-3  # metres: a larger Gaussian is split in two, a smaller one is cloned
SEED_STRIDE = 1_000_003  # a prime: seeds of different runs and steps do not meet


class Growth:
    """Statistics of screen-space gradients, and densification at fixed steps.

    Instead of a fixed gradient threshold the strongest share of the Gaussians grows: gradients of a
    crop's mean depend on its size, a share does not.
    """

    def __init__(
        self,
        gaussians: nn.ParameterDict,
        adam: NamedAdam,
        settings: TrainingSettings,
        seed: int,
        prefix: str = "",
    ) -> None:
        """`prefix` stands before the names of `gaussians` in optimiser and state."""
        self._prefix = prefix + PREFIX
        self._gaussians = gaussians
        self._adam = adam
        self._settings = settings
        self._seed = seed
        self._restart()

    def _restart(self) -> None:
        means = self._gaussians["means"]
        self._statistics = new_statistics(len(means), means.device)

    def observe(self, probe: Float[Tensor, "N 2"]) -> None:
        """Add one step's gradients of the projected centres."""
        if probe.grad is None:
            return
        norm = probe.grad.norm(dim=1)
        old = self._statistics
        self._statistics = replace(
            old, gradient=old.gradient + norm, seen=old.seen + (norm > 0).to(norm.dtype)
        )

    def grow(self, phase: Phase, step: int) -> None:
        """Split, clone and prune where `step` is one of the fixed steps of `phase`."""
        settings, local = self._settings, step - phase.start + 1
        if (
            local < settings.densify_from
            or local % settings.densify_every
            or phase.progress(step) > settings.densify_until
        ):
            return
        old = as_gaussians(dict(self._gaussians.items()))
        choice = choose(old, self._statistics, self._rules(len(old)))
        generator = torch.Generator().manual_seed(self._seed * SEED_STRIDE + step)
        new, rows = grow(old, choice, generator)
        for name, parameter in as_parameters(new).items():
            self._replace(name, parameter.detach(), rows.source, rows.fresh)
        logger.info(
            "step %d: %d Gaussians pruned, %d split, %d cloned, %d now",
            step,
            int(choice.prune.sum()),
            int(choice.split.sum()),
            int(choice.clone.sum()),
            len(new),
        )
        self._restart()

    def _rules(self, count: int) -> Rules:
        """Rules whose gradient threshold lets `densify_share` of the Gaussians grow."""
        settings = self._settings
        share = max(1, round(settings.densify_share * count))
        strongest = self._statistics.mean_gradient.topk(min(share + 1, count)).values
        return Rules(
            grow_gradient=float(strongest[-1]),
            split_scale=SPLIT_SIGMA,
            prune_opacity=settings.prune_opacity,
            max_count=settings.max_gaussians,
        )

    def _replace(
        self, name: str, rows: Tensor, source: Int[Tensor, " M"], fresh: Bool[Tensor, " M"]
    ) -> None:
        new = nn.Parameter(rows, requires_grad=self._gaussians[name].requires_grad)
        self._gaussians[name] = new
        self._adam.replace_rows(self._prefix + name, new, source, fresh)

    def tensors(self) -> dict[str, Tensor]:
        """What must survive an interruption."""
        return {"gradient": self._statistics.gradient, "seen": self._statistics.seen}

    def load(self, tensors: Mapping[str, Tensor]) -> None:
        """Inverse of `tensors`."""
        device = self._statistics.gradient.device
        self._statistics = Statistics(
            gradient=tensors["gradient"].to(device),
            seen=tensors["seen"].to(device),
            radius=self._statistics.radius,
        )

    def resize(self, model: Mapping[str, Tensor]) -> None:
        """Give the parameters as many rows as the state to be loaded has."""
        none = torch.zeros(0, dtype=torch.long)
        for name in list(self._gaussians.keys()):
            old = self._gaussians[name].detach()
            rows = old.new_zeros(len(model[self._prefix + name]), *old.shape[1:])
            if len(rows) != len(old):
                self._replace(name, rows, none, none.bool())
        self._restart()
