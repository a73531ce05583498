"""Adding and removing Gaussians during training: which rows grow, and what the optimiser keeps."""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from emotalk_core.geometry.rotations import quats_to_rotmats
from emotalk_core.training.optimiser import NamedAdam
from emotalk_core.training.settings import TrainingSettings
from emotalk_core.training.stages import Phase

logger = logging.getLogger(__name__)

PREFIX = "gaussians."
SPLIT_SIGMA = 3.4e-3  # metres: a larger Gaussian is split in two, a smaller one is cloned
SPLIT_SHRINK = 1.6  # scales of the two halves are divided by this (3DGS)


class Growth:
    """Statistics of screen-space gradients, and densification at fixed steps."""

    def __init__(
        self, gaussians: nn.ParameterDict, adam: NamedAdam, settings: TrainingSettings, seed: int
    ) -> None:
        self._gaussians = gaussians
        self._adam = adam
        self._settings = settings
        self._seed = seed
        self._restart()

    def _restart(self) -> None:
        means = self._gaussians["means"]
        self._gradient = torch.zeros(len(means), device=means.device)
        self._seen = torch.zeros(len(means), device=means.device)

    def observe(self, probe: Float[Tensor, "N 2"]) -> None:
        """Add one step's gradients of the projected centres."""
        if probe.grad is None:
            return
        norm = probe.grad.norm(dim=1)
        self._gradient += norm
        self._seen += norm > 0

    def grow(self, phase: Phase, step: int) -> None:
        """Split, clone and prune where `step` is one of the fixed steps of `phase`."""
        settings, local = self._settings, step - phase.start + 1
        if (
            local < settings.densify_from
            or local % settings.densify_every
            or phase.progress(step) > settings.densify_until
        ):
            return
        with torch.no_grad():
            keep = torch.sigmoid(self._gaussians["opacities"]) > settings.prune_opacity
            grown = self._choose(keep)
            large = self._gaussians["scales"].amax(dim=1).exp() > SPLIT_SIGMA
            self._rebuild(keep, grown & large, grown & ~large, step)
        logger.info(
            "step %d: %d Gaussians pruned, %d split, %d cloned, %d now",
            step,
            int((~keep).sum()),
            int((grown & large).sum()),
            int((grown & ~large).sum()),
            len(self._gaussians["means"]),
        )
        self._restart()

    def _choose(self, keep: Bool[Tensor, " N"]) -> Bool[Tensor, " N"]:
        """The kept Gaussians with the largest mean screen gradient, as many as have room."""
        settings = self._settings
        mean = self._gradient / self._seen.clamp_min(1.0) * keep
        room = settings.max_gaussians - int(keep.sum())
        count = min(room, round(settings.densify_share * len(mean)))
        chosen = torch.zeros_like(keep)
        if count > 0:
            chosen[torch.argsort(mean, descending=True, stable=True)[:count]] = True
        return chosen & (mean > 0)

    def _rebuild(
        self,
        keep: Bool[Tensor, " N"],
        split: Bool[Tensor, " N"],
        clone: Bool[Tensor, " N"],
        step: int,
    ) -> None:
        """New parameters: kept rows, two halves of each split row, a copy of each cloned one."""
        halves = split.nonzero()[:, 0]
        stay = (keep & ~split).nonzero()[:, 0]
        source = torch.cat([stay, halves, halves, clone.nonzero()[:, 0]])
        fresh = torch.ones(len(source), dtype=torch.bool, device=source.device)
        fresh[: len(stay)] = False
        moved = self._offsets(halves, step)
        first = len(stay)
        for name in list(self._gaussians.keys()):
            rows = self._gaussians[name].detach()[source].clone()
            if name == "means":
                rows[first : first + len(moved)] += moved
            elif name == "scales":
                rows[first : first + len(moved)] -= math.log(SPLIT_SHRINK)
            self._replace(name, rows, source, fresh)

    def _offsets(self, rows: Int[Tensor, " S"], step: int) -> Float[Tensor, "2S 3"]:
        """Random shifts of both halves, drawn from the Gaussians themselves."""
        twice = torch.cat([rows, rows])
        generator = torch.Generator().manual_seed(self._seed * 1_000_003 + step)
        noise = torch.randn(len(twice), 3, generator=generator).to(rows.device)
        local = noise * self._gaussians["scales"].detach()[twice].exp()
        rotation = quats_to_rotmats(self._gaussians["quats"].detach()[twice])
        return (rotation @ local[:, :, None])[:, :, 0]

    def _replace(
        self, name: str, rows: Tensor, source: Int[Tensor, " M"], fresh: Bool[Tensor, " M"]
    ) -> None:
        new = nn.Parameter(rows, requires_grad=self._gaussians[name].requires_grad)
        self._gaussians[name] = new
        self._adam.replace_rows(PREFIX + name, new, source, fresh)

    def tensors(self) -> dict[str, Tensor]:
        """What must survive an interruption."""
        return {"gradient": self._gradient, "seen": self._seen}

    def load(self, tensors: Mapping[str, Tensor]) -> None:
        """Inverse of `tensors`."""
        device = self._gradient.device
        self._gradient = tensors["gradient"].to(device)
        self._seen = tensors["seen"].to(device)

    def resize(self, model: Mapping[str, Tensor]) -> None:
        """Give the parameters as many rows as the state to be loaded has."""
        none = torch.zeros(0, dtype=torch.long)
        for name in list(self._gaussians.keys()):
            old = self._gaussians[name].detach()
            rows = old.new_zeros(len(model[PREFIX + name]), *old.shape[1:])
            if len(rows) != len(old):
                self._replace(name, rows, none, none.bool())
        self._restart()
