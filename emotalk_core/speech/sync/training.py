"""Clips of lips with their sound in, a sync expert out: contrastive learning inside a clip.

The right moment of a clip competes with other moments of the same clip, never with other clips:
otherwise voices and faces would be learned instead of speech. Neighbour moments (40 ms) are left
out of the competition; they are neither right nor wrong.
"""

from __future__ import annotations

import copy
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from jaxtyping import Float, Float32
from torch import Tensor, nn
from torch.nn import functional

from emotalk_core.errors import NumericalError
from emotalk_core.media.progress import Progress
from emotalk_core.speech.sync.lip_shapes import MIRROR, N_LIPS
from emotalk_core.speech.sync.network import REACH, ExpertSpec, SyncExpert
from emotalk_core.speech.sync.sounds import LOGMEL

LOG = logging.getLogger(__name__)

SHIFTS = 12  # frames to either side that compete with the right moment
CHUNK = 26  # frames of one example: a second
SPEEDS = (0.95, 1.0, 1.05)  # clips are also shown slower and faster
CHUNK_GAIN = 4.0  # sharpness of the loss on whole chunks over that on frames
MASKED = -1e4
CLIP_GRADIENT = 2.0
WARM_UP = 0.15  # share of the steps in which the learning rate rises
SHORTEST = CHUNK + 2 * SHIFTS + 2 * REACH + 1  # frames


@dataclass(frozen=True)
class SyncClip:
    """One clip to learn from.

    Attributes:
        lips: shapes of T frames (`LipFrame.shapes`).
        sound: T * per_frame columns (`sounds.hear`), in sync with the lips.
    """

    lips: Float32[np.ndarray, "T 80"]
    sound: Float32[np.ndarray, "S D"]

    def __len__(self) -> int:
        return len(self.lips)

    def cut(self, first: int, last: int) -> SyncClip:
        """Frames [first, last)."""
        per_frame = len(self.sound) // len(self.lips)
        return SyncClip(self.lips[first:last], self.sound[first * per_frame : last * per_frame])


@dataclass(frozen=True)
class SyncTraining:
    """How long and how fast an expert learns.

    Attributes:
        steps: of the optimiser.
        batch: examples of a second each per step.
        learning_rate: highest rate of AdamW.
        weight_decay: of AdamW.
    """

    steps: int = 600
    batch: int = 16
    learning_rate: float = 2e-3
    weight_decay: float = 1e-2


def train_expert(
    clips: Sequence[SyncClip],
    start: SyncExpert | ExpertSpec,
    settings: SyncTraining,
    seed: int,
    weights: Sequence[float] | None = None,
) -> SyncExpert:
    """Teach an expert which lips belong to which sound.

    Args:
        clips: in sync; those shorter than `SHORTEST` frames are left out.
        start: a trained expert to adapt (it is not changed), or what a new one is made of.
        settings: numbers.
        seed: of start values, drop-out, choice and variation of examples.
        weights: how often each clip is drawn, relative; by default its length ** 0.7.

    Raises:
        NumericalError: no clip is long enough, or the loss is not finite.
    """
    known = np.ones(len(clips)) if weights is None else np.asarray(weights, dtype=np.float64)
    long = [(c, w) for c, w in zip(clips, known) if len(c) >= SHORTEST]
    if not long:
        raise NumericalError(
            f"sync expert: none of {len(clips)} clips has {SHORTEST} frames; give a longer clip"
        )
    rng = np.random.default_rng([seed, 31])
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        expert = SyncExpert(start) if isinstance(start, ExpertSpec) else copy.deepcopy(start)
        pool = [(_at_speed(c, s), w) for c, w in long for s in SPEEDS]
        pool = [(c, w) for c, w in pool if len(c) >= SHORTEST]
        chance = np.array([w * len(c) ** 0.7 for c, w in pool])
        _optimise(expert, [c for c, _ in pool], chance / chance.sum(), settings, rng)
    return expert.eval().requires_grad_(False)


def _optimise(
    expert: SyncExpert,
    pool: list[SyncClip],
    chance: np.ndarray,
    settings: SyncTraining,
    rng: np.random.Generator,
) -> None:
    """Minimise the contrastive loss in place."""
    expert.requires_grad_(True)

    def loss() -> Float[Tensor, ""]:
        chosen = rng.choice(len(pool), size=settings.batch, p=chance)
        examples = [_example(pool[k], expert.spec.sound, expert.per_frame, rng) for k in chosen]
        lips, sound = (torch.from_numpy(np.stack(part)) for part in zip(*examples))
        return contrast(expert, lips, sound)

    descend(f"sync expert ({expert.spec.sound})", expert, loss, settings)


def descend(
    name: str, expert: nn.Module, loss: Callable[[], Float[Tensor, ""]], settings: SyncTraining
) -> None:
    """AdamW with one rise and fall of the rate, on what of an expert is trained.

    Raises:
        NumericalError: the loss is not finite.
    """
    expert.train()
    trained = [p for p in expert.parameters() if p.requires_grad]
    rate, steps = settings.learning_rate, settings.steps
    adam = torch.optim.AdamW(trained, rate, weight_decay=settings.weight_decay)
    schedule = torch.optim.lr_scheduler.OneCycleLR(adam, rate, total_steps=steps, pct_start=WARM_UP)
    progress = Progress(name, steps, LOG)
    for _ in range(steps):
        value = loss()
        if not bool(torch.isfinite(value)):
            raise NumericalError(f"{name}: the loss is not finite; check lips and sound")
        adam.zero_grad()
        value.backward()
        nn.utils.clip_grad_norm_(trained, CLIP_GRADIENT)
        adam.step()
        schedule.step()
        progress.step(loss=float(value.detach()))


class Towers(Protocol):
    """What sees lips (as points or pictures) and hears."""

    sharpness: nn.Parameter

    def see(self, lips: Float[Tensor, "B T ..."]) -> Float[Tensor, "B t C"]:
        """Vectors of the frames REACH .. T-REACH-1."""
        ...

    def listen(self, sound: Float[Tensor, "B S D"]) -> Float[Tensor, "B t C"]:
        """Vectors of the same frames of sound."""
        ...


def contrast(
    expert: Towers, lips: Float[Tensor, "B T ..."], sound: Float[Tensor, "B S D"]
) -> Float[Tensor, ""]:
    """Cross entropy of the right moment among `SHIFTS` others to either side.

    Args:
        expert: towers.
        lips: CHUNK + 2 REACH frames.
        sound: of the same frames and SHIFTS more at either end.
    """
    seen, heard = expert.see(lips), expert.listen(sound)
    cosines = torch.einsum("btc,bsc->bts", seen, heard) * expert.sharpness.exp()
    n, m = seen.shape[1], 2 * SHIFTS + 1
    moment = torch.arange(n)[:, None] + torch.arange(m)[None, :]
    by_shift = cosines.gather(2, moment[None].expand(len(seen), -1, -1))
    near = (torch.arange(m) - SHIFTS).abs() == 1
    right = torch.full((len(seen), n), SHIFTS)
    frames = functional.cross_entropy(
        by_shift.masked_fill(near, MASKED).reshape(-1, m), right.reshape(-1)
    )
    back = cosines[:, :, SHIFTS : SHIFTS + n].transpose(1, 2)
    close = (torch.arange(n)[:, None] - torch.arange(n)[None, :]).abs() == 1
    sounds = functional.cross_entropy(
        back.masked_fill(close, MASKED).reshape(-1, n), torch.arange(n).repeat(len(seen))
    )
    whole = (by_shift.mean(dim=1) * CHUNK_GAIN).masked_fill(near, MASKED)
    return frames + 0.5 * sounds + functional.cross_entropy(whole, right[:, 0])


def _at_speed(clip: SyncClip, speed: float) -> SyncClip:
    """The clip played at another speed; pitch stays, since columns are resampled, not sound."""
    if speed == 1.0:
        return clip
    n = int(len(clip) / speed)
    per_frame = len(clip.sound) // len(clip)
    return SyncClip(
        _resampled(clip.lips, np.arange(n) * speed),
        _resampled(clip.sound, np.arange(n * per_frame) * speed),
    )


def _resampled(values: np.ndarray, times: np.ndarray) -> Float32[np.ndarray, "N D"]:
    """Rows at fractional positions."""
    below = np.clip(np.floor(times).astype(int), 0, len(values) - 2)
    share = np.clip(times - below, 0.0, 1.0)[:, None]
    return (values[below] * (1 - share) + values[below + 1] * share).astype(np.float32)


def _example(
    clip: SyncClip, sound: str, per_frame: int, rng: np.random.Generator
) -> tuple[Float32[np.ndarray, "L 80"], Float32[np.ndarray, "S D"]]:
    """A varied second of a clip with more of its sound around."""
    margin = SHIFTS + REACH
    first = int(rng.integers(margin, len(clip) - CHUNK - margin + 1))
    lips = clip.lips[first - REACH : first + CHUNK + REACH]
    begin, end = (first - margin) * per_frame, (first + CHUNK + margin) * per_frame
    heard = clip.sound[begin:end]
    vary = vary_mel if sound == LOGMEL else _vary_embedding
    return _vary_lips(lips, rng), vary(heard, rng)


def _vary_lips(
    lips: Float32[np.ndarray, "T 80"], rng: np.random.Generator
) -> Float32[np.ndarray, "T 80"]:
    """Another size of movement, a mirrored face, a little rotation, posture and noise."""
    points = lips.reshape(-1, N_LIPS, 2) * rng.uniform(0.7, 1.4)
    if rng.random() < 0.5:
        points = points[:, MIRROR] * np.array([-1.0, 1.0])
    angle = rng.uniform(-0.15, 0.15)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    points = points @ turn.T + rng.normal(0, 0.08, points.shape) + rng.normal(0, 0.15, (1, 1, 2))
    return points.reshape(len(lips), -1).astype(np.float32)


def vary_mel(
    columns: Float32[np.ndarray, "S 40"], rng: np.random.Generator
) -> Float32[np.ndarray, "S 40"]:
    """Another level, tilt, noise floor, vocal tract; a band that is missing."""
    bands = columns.shape[1]
    tilt = np.linspace(rng.normal(0, 0.2), rng.normal(0, 0.2), bands)
    x = columns * rng.uniform(0.85, 1.15) + rng.normal(0, 0.2) + tilt
    if rng.random() < 0.5:
        floor = rng.uniform(-2.0, -0.5)
        x = np.logaddexp(x * 2, floor * 2 + rng.normal(0, 0.3, x.shape)) / 2
    if rng.random() < 0.5:
        x = np.roll(x, rng.integers(-2, 3), axis=1)
    if rng.random() < 0.5:
        lowest = rng.integers(0, bands - 6)
        x[:, lowest : lowest + rng.integers(2, 7)] = 0
    return x.astype(np.float32)


def _vary_embedding(
    columns: Float32[np.ndarray, "S 96"], rng: np.random.Generator
) -> Float32[np.ndarray, "S 96"]:
    """Noise."""
    return (columns + rng.normal(0, 0.2, columns.shape)).astype(np.float32)
