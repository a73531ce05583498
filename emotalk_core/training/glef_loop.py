"""The training loop of g_LEF: a subject's aligned faces in, fine-tuned networks and curves out."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from emotalk_core.emotion.glef.critics import Critics
from emotalk_core.emotion.glef.inversion import invert_faces
from emotalk_core.emotion.glef.losses import PAPER_WEIGHTS, FrameTruth, glef_losses, read_truth
from emotalk_core.emotion.glef.model import LipAlignedGenerator
from emotalk_core.emotion.glef.networks import GlefNetworks
from emotalk_core.emotion.glef.settings import GlefSettings
from emotalk_core.emotion.sampling import draw_emotions
from emotalk_core.errors import NumericalError
from emotalk_core.media.progress import Progress
from emotalk_core.training.state import RunState, load_state, save_state

logger = logging.getLogger(__name__)

READ_BATCH = 8  # pictures that are inverted and read at once
LOSSES = tuple(PAPER_WEIGHTS)


@dataclass(frozen=True)
class GlefData:
    """What training knows of each of N frames.

    Attributes:
        images: aligned crops.
        latents: W of the inversion.
        lip_heatmaps, lip_points, identity: as the critics read the crops.
    """

    images: UInt8[Tensor, "N 3 S S"]
    latents: Float[Tensor, "N L D"]
    lip_heatmaps: Float[Tensor, "N 20 H H"]
    lip_points: Float[Tensor, "N 20 2"]
    identity: Float[Tensor, "N D"]

    def batch(self, rows: Tensor, device: str) -> tuple[FrameTruth, Float[Tensor, "B L D"]]:
        """Truth and latents of some frames."""
        truth = FrameTruth(
            images=self.images[rows].to(device).float() / 255,
            lip_heatmaps=self.lip_heatmaps[rows].to(device),
            lip_points=self.lip_points[rows].to(device),
            identity=self.identity[rows].to(device),
        )
        return truth, self.latents[rows].to(device)


def read_faces(
    networks: GlefNetworks,
    images: UInt8[np.ndarray, "N S S 3"],
    settings: GlefSettings,
    device: str,
) -> GlefData:
    """Invert and read all crops, a few at a time."""
    stack = torch.from_numpy(np.ascontiguousarray(images.transpose(0, 3, 1, 2)))
    parts: list[tuple[Tensor, ...]] = []
    progress = Progress("inverting faces", len(stack), logger)
    for chunk in stack.split(READ_BATCH):
        pictures = chunk.to(device).float() / 255
        truth = read_truth(pictures, networks.critics)
        latents = invert_faces(networks, pictures, settings)
        parts.append(
            tuple(t.cpu() for t in (latents, truth.lip_heatmaps, truth.lip_points, truth.identity))
        )
        progress.step(len(chunk))
    return GlefData(stack, *(torch.cat(part) for part in zip(*parts)))


class GlefLoop:
    """Epochs over shuffled frames, each with a random emotion; resumable at every step.

    Args:
        model: g_LEF; its generator, lip encoder and lip mapping are trained.
        data: of the subject.
        critics: frozen judges.
        settings: config block.
        seed: of order and emotions.
        device: where the model lies.
        state, fingerprint: file of an interrupted run and what it must have been made with; None:
            nothing is kept.
    """

    def __init__(
        self,
        model: LipAlignedGenerator,
        data: GlefData,
        critics: Critics,
        settings: GlefSettings,
        seed: int,
        device: str = "cpu",
        state: Path | None = None,
        fingerprint: str = "",
    ) -> None:
        self._model, self._data, self._critics = model, data, critics
        self._settings, self._seed, self._device = settings, seed, device
        self._state, self._fingerprint = state, fingerprint
        self._trained = model.trained_parameters()
        model.requires_grad_(False)
        for parameter in self._trained.values():
            parameter.requires_grad_(True)
        self._adam = torch.optim.Adam(list(self._trained.values()), lr=settings.learning_rate)
        per_epoch = math.ceil(len(data.images) / settings.batch)
        self.n_steps = per_epoch * settings.epochs
        self._per_epoch = per_epoch
        self._curves = torch.full((self.n_steps, len(LOSSES)), torch.nan)

    def walk(self, stop: int | None = None) -> dict[str, np.ndarray]:
        """Train to the end (or to step `stop`, keeping the state); curves of the raw losses."""
        start = self._resume()
        last = self.n_steps if stop is None else min(stop, self.n_steps)
        progress = Progress("training g_LEF", self.n_steps, logger, start=start)
        saved = time.monotonic()
        self._model.train()
        for step in range(start, last):
            values = self._step(step)
            self._curves[step] = torch.tensor([values[name] for name in LOSSES])
            progress.step(1, **values)
            if time.monotonic() - saved > self._settings.save_every_seconds:
                self._save(step + 1)
                saved = time.monotonic()
        self._model.eval()
        if self._state is not None and last == self.n_steps:
            self._state.unlink(missing_ok=True)
        elif self._state is not None:
            self._save(last)
        return {name: self._curves[:, i].numpy() for i, name in enumerate(LOSSES)}

    def _rows(self, step: int) -> Tensor:
        """Frames of a step: each epoch is a permutation."""
        epoch, place = divmod(step, self._per_epoch)
        order = np.random.default_rng([self._seed, 1, epoch]).permutation(len(self._data.images))
        first = place * self._settings.batch
        return torch.from_numpy(order[first : first + self._settings.batch])

    def _step(self, step: int) -> dict[str, float]:
        rows = self._rows(step)
        drawn = draw_emotions(len(rows), np.random.default_rng([self._seed, 2, step]))
        emotions = torch.from_numpy(drawn).float().to(self._device)
        truth, latents = self._data.batch(rows, self._device)
        face = self._model(latents, emotions, truth.lip_heatmaps)
        losses = glef_losses(face, truth, emotions, self._critics, self._settings.lip_margin)
        weights = self._settings.weights()
        total = torch.stack([weights[name] * losses[name] for name in LOSSES]).sum()
        values = {name: float(value.detach()) for name, value in losses.items()}
        _check(step, values)
        self._adam.zero_grad(set_to_none=True)
        total.backward()
        self._adam.step()
        return values

    def _save(self, step: int) -> None:
        if self._state is None:
            return
        tensors = {f"model:{name}": value.detach() for name, value in self._trained.items()}
        for name, parameter in self._trained.items():
            for key, value in self._adam.state.get(parameter, {}).items():
                tensors[f"adam:{name}/{key}"] = torch.as_tensor(value)
        tensors["curves:all"] = self._curves
        save_state(self._state, RunState(step, tensors, {}), self._fingerprint)

    def _resume(self) -> int:
        state = None if self._state is None else load_state(self._state, self._fingerprint)
        if state is None:
            return 0
        self._load_model(state.part("model"))
        moments = state.part("adam")
        for name, parameter in self._trained.items():
            prefix = f"{name}/"
            found = {k.removeprefix(prefix): v for k, v in moments.items() if k.startswith(prefix)}
            if found:
                self._adam.state[parameter] = {
                    key: value if key == "step" else value.to(self._device)
                    for key, value in found.items()
                }
        self._curves = state.part("curves")["all"]
        logger.info("g_LEF continues at step %d of %d", state.step, self.n_steps)
        return state.step

    @torch.no_grad()
    def _load_model(self, values: Mapping[str, Tensor]) -> None:
        for name, parameter in self._trained.items():
            parameter.copy_(values[name])


def _check(step: int, values: Mapping[str, float]) -> None:
    bad = sorted(name for name, value in values.items() if not math.isfinite(value))
    if bad:
        raise NumericalError(
            f"g_LEF, step {step}: losses {bad} are not finite; lower glef.learning_rate or look "
            "for broken frames in quality.json"
        )
