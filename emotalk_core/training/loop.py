"""The one training loop: phases of losses on samples, resumable at every step to the same bytes."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor, nn

from emotalk_core.losses.context import LossContext
from emotalk_core.losses.registry import get_loss
from emotalk_core.media.progress import Progress
from emotalk_core.training.average import RunningMean
from emotalk_core.training.growth import SEED_STRIDE, Growth
from emotalk_core.training.guards import Guard
from emotalk_core.training.layers.base import Layer
from emotalk_core.training.layers.groups import parameter_groups
from emotalk_core.training.optimiser import NamedAdam
from emotalk_core.training.sampling import SamplePool, batch_at, sample_at
from emotalk_core.training.settings import TrainingSettings
from emotalk_core.training.stages import Phase, phase_at
from emotalk_core.training.state import RunState, load_state, save_state
from emotalk_core.training.watch import EVERY, Watch

logger = logging.getLogger(__name__)

MEANS_END = 0.01  # positions end at this share of their rate (METHOD 2.4)
OTHERS_END = 0.1  # everything else


@dataclass(frozen=True)
class Run:
    """One stage's run.

    Attributes:
        stage: name, for messages.
        layer: what is drawn.
        phases: in order.
        pool: what can be sampled.
        settings: numbers.
        seed: of sampling and growth.
        state: where the run's state lies between interruptions.
        fingerprint: a state of another fingerprint is not used.
        held_out: training frame that is only looked at.
        nearest_psnr: see `Prepared`.
        log_folder: of TensorBoard's event file, or None.
    """

    stage: str
    layer: Layer
    phases: tuple[Phase, ...]
    pool: SamplePool
    settings: TrainingSettings
    seed: int
    state: Path
    fingerprint: str
    held_out: int
    nearest_psnr: float | None = None
    log_folder: Path | None = None


def learning_rates(module: nn.Module, settings: TrainingSettings) -> dict[str, float]:
    """Rate of every parameter by name, before the schedule."""
    by_field = {
        "means": settings.lr_means,
        "quats": settings.lr_quats,
        "scales": settings.lr_scales,
        "opacities": settings.lr_opacities,
        "sh_dc": settings.lr_colours,
        "sh_rest": settings.lr_colours / 10.0,
        "normal_residuals": settings.lr_normals,
    }
    rates = {}
    for name, _ in module.named_parameters():
        if is_gaussian(name):
            rates[name] = by_field[name.rpartition(".")[2]]
        else:
            grid = name.endswith("grid.tables")
            rates[name] = settings.lr_grid if grid else settings.lr_networks
    return rates


def is_gaussian(name: str) -> bool:
    """Whether a parameter of that name belongs to Gaussians, not to a network."""
    return "gaussians" in name.split(".")


def rate_factors(names: list[str], phases: tuple[Phase, ...], step: int) -> dict[str, float]:
    """Exponential decay over the drawn steps; phases that draw nothing keep the full rate.

    A phase with a restart decays by itself, from that share of the full rate.
    """
    now = phase_at(phases, step)
    together = [phase for phase in phases if phase.data.batch == 1 and not phase.data.restart]
    chain, share = ([now], now.data.restart) if now.data.restart else (together, 1.0)
    first, last = chain[0].start, chain[-1].stop
    progress = max(0.0, (step - first) / max(last - first, 1))
    means, others = share * MEANS_END**progress, share * OTHERS_END**progress
    return {name: means if name.endswith("gaussians.means") else others for name in names}


def evaluate_losses(
    context: LossContext, weights: Mapping[str, float]
) -> tuple[Tensor, dict[str, float]]:
    """Weighted sum, and every loss's own value."""
    values = {name: get_loss(name)(context) for name in weights}
    total = torch.stack([weights[name] * value for name, value in values.items()]).sum()
    return total, {name: float(value.detach()) for name, value in values.items()}


class Loop:
    """Walks a run from its last state to its end."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self._module = run.layer.module
        parameters = dict(self._module.named_parameters())
        networks = {name for name in parameters if not is_gaussian(name)}
        self._adam = NamedAdam(parameters, learning_rates(self._module, run.settings), networks)
        self._growth = Growth(
            run.layer.gaussians, self._adam, run.settings, run.seed, run.layer.prefix
        )
        self._mean = RunningMean()
        self._guard = Guard(run.stage)
        self._watch = Watch(
            run.stage,
            run.layer,
            run.held_out,
            run.pool.frames,
            run.log_folder,
            run.nearest_psnr,
        )

    def walk(self) -> None:
        """All remaining steps; the state file is gone at the end."""
        run = self._run
        start = self._resume()
        total = run.phases[-1].stop
        progress = Progress(f"training {run.stage}", total, logger, start=start)
        saved = time.monotonic()
        phase, seen = None, dict[str, float]()
        for step in range(start, total):
            if phase is None or step >= phase.stop:
                phase = phase_at(run.phases, step)
                self._enter(phase)
            loss = self._step(phase, step)
            if step % EVERY == 0 or step == phase.stop - 1:
                seen |= self._watch.look(phase, step, loss)
            count = float(len(run.layer.gaussians["means"]))
            progress.step(1, **{"loss": loss, "gaussians": count, **seen})
            if time.monotonic() - saved > run.settings.save_every_seconds:
                self._save(step + 1)
                saved = time.monotonic()
        run.state.unlink(missing_ok=True)

    def _enter(self, phase: Phase) -> None:
        """Freeze what the phase does not train; with or without noise."""
        self._module.train(phase.data.noise)
        groups = parameter_groups(self._module)
        trained = {name for group in phase.data.trains for name in groups.get(group, [])}
        for name, parameter in self._module.named_parameters():
            parameter.requires_grad_(name in trained)
        logger.info(
            "stage %s, phase %s: steps %d..%d, %d parameters in %s, losses %s",
            self._run.stage,
            phase.data.name,
            phase.start,
            phase.stop,
            sum(p.numel() for p in self._module.parameters() if p.requires_grad),
            "+".join(phase.data.trains),
            phase.weights,
        )

    def _step(self, phase: Phase, step: int) -> float:
        run = self._run
        torch.manual_seed(run.seed * SEED_STRIDE + step)  # noise and dropout of this step
        if phase.data.batch > 1:
            made = run.layer.batch(phase, batch_at(run.pool, phase.data.batch, run.seed, step))
        else:
            every = run.settings.curriculum_every
            progress = phase.progress(step)
            sample = sample_at(run.pool, phase.data.sampling, every, run.seed, step, progress)
            made = run.layer.step(phase, sample)
        context, weights = self._with_sync(made.context, phase, step)
        total, parts = evaluate_losses(context, weights)
        value = float(total.detach())
        self._guard.loss(step, phase, value, parts)
        total.backward()
        self._guard.gradients(step, phase, self._trained(phase))
        if made.probe is not None:
            self._growth.observe(made.probe)
        names = [name for name, _ in self._module.named_parameters()]
        self._adam.step(rate_factors(names, run.phases, step))
        if phase.data.densify:
            self._growth.grow(phase, step)
        if phase.data.average:
            self._average(phase, step)
        return value

    def _average(self, phase: Phase, step: int) -> None:
        """Take the networks into their mean, which takes their place at the phase's end."""
        named = self._module.named_parameters()
        networks = {name: p for name, p in named if p.requires_grad and not is_gaussian(name)}
        self._mean.observe(networks, phase.data.average)
        if step == phase.stop - 1:
            self._mean.settle(networks)

    def _with_sync(
        self, context: LossContext, phase: Phase, step: int
    ) -> tuple[LossContext, dict[str, float]]:
        """Every n-th step of a phase with the sync loss sees a run of frames too."""
        run, weights = self._run, phase.weights_at(step)
        if "sync" not in weights:
            return context, weights
        seen = (
            run.layer.sync_run(phase, run.seed, step)
            if step % run.settings.sync_every == 0
            else None
        )
        if seen is None:
            return context, {k: v for k, v in weights.items() if k != "sync"}
        return replace(context, sync=seen), weights

    def _trained(self, phase: Phase) -> dict[str, list[nn.Parameter]]:
        parameters = dict(self._module.named_parameters())
        groups = parameter_groups(self._module)
        return {g: [parameters[n] for n in groups.get(g, [])] for g in phase.data.trains}

    def _save(self, step: int) -> None:
        tensors = {f"model:{k}": v for k, v in self._module.state_dict().items()}
        tensors |= {f"adam:{k}": v for k, v in self._adam.tensors().items()}
        tensors |= {f"growth:{k}": v for k, v in self._growth.tensors().items()}
        tensors |= {f"mean:{k}": v for k, v in self._mean.tensors().items()}
        run = self._run
        save_state(run.state, RunState(step, tensors, self._guard.numbers()), run.fingerprint)

    def _resume(self) -> int:
        run = self._run
        state = load_state(run.state, run.fingerprint)
        if state is None or state.step >= run.phases[-1].stop:
            return 0
        model = state.part("model")
        self._growth.resize(model)
        self._module.load_state_dict(model)
        self._adam.load(state.part("adam"))
        self._growth.load(state.part("growth"))
        self._mean.load(state.part("mean"), next(self._module.parameters()).device)
        self._guard.restore(state.numbers)
        logger.info(
            "stage %s continues at step %d of %d", run.stage, state.step, run.phases[-1].stop
        )
        return state.step
