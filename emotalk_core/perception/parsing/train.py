"""Lessons in, a trained network as .safetensors out."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from emotalk_core.media.checkpoints import save_checkpoint
from emotalk_core.media.progress import Progress
from emotalk_core.perception.parsing.augment import learner_view
from emotalk_core.perception.parsing.crops import crop_input, crop_transform
from emotalk_core.perception.parsing.network import PartNet
from emotalk_core.perception.parsing.tasks import TASKS, ParsingTask

logger = logging.getLogger(__name__)

PEAK_RATE = 4e-3  # of a one-cycle schedule; twice that diverged on the mouth
WEIGHT_DECAY = 1e-3
DICE_WEIGHT = 0.5  # against cross entropy
KIND = "parsing_network"


class Lessons:
    """Random augmented batches of stored lessons."""

    def __init__(self, paths: list[Path], task: ParsingTask, batch: int, seed: int) -> None:
        arrays = [np.load(path) for path in paths]
        self._rgb = np.concatenate([a["rgb"] for a in arrays])
        self._labels = np.concatenate([a["labels"] for a in arrays])
        self._landmarks = np.concatenate([a["landmarks"] for a in arrays]).astype(np.float64)
        self._task, self._batch = task, batch
        self._rng = np.random.default_rng(seed)
        self._transforms = [crop_transform(points, task.crop) for points in self._landmarks]

    def batch(self) -> tuple[Float[Tensor, "B C S S"], Float[Tensor, "B K S S"]]:
        """Channels and shares of the classes of random lessons."""
        inputs, targets = [], []
        for i in self._rng.integers(len(self._rgb), size=self._batch):
            crop, points, shares = learner_view(
                self._task,
                self._rgb[i],
                self._labels[i],
                self._landmarks[i],
                self._transforms[i],
                self._rng,
            )
            inputs.append(crop_input(crop, points, self._task.rings))
            targets.append(shares.transpose(2, 0, 1))
        return torch.from_numpy(np.stack(inputs)), torch.from_numpy(np.stack(targets))


def soft_loss(
    scores: Float[Tensor, "B K S S"],
    shares: Float[Tensor, "B K S S"],
    balance: Float[Tensor, " K"],
) -> Float[Tensor, ""]:
    """Weighted cross entropy to shares, and a soft Dice term: thin classes count as large ones do.

    The Dice term has squares below the line (Milletari et al. 2016, eq. 1): it is least where the
    chances are the shares, also where these are fractions.

    Args:
        scores: logits.
        shares: of each class in each pixel, sum 1.
        balance: weights of the classes in the cross entropy.
    """
    weighted = shares * balance[:, None, None]
    entropy = -(weighted * functional.log_softmax(scores, dim=1)).sum() / weighted.sum()
    chances = torch.softmax(scores, dim=1)
    every = (0, 2, 3)
    common = 2 * (chances * shares).sum(every) + 1
    dice = common / ((chances**2).sum(every) + (shares**2).sum(every) + 1)
    return entropy + DICE_WEIGHT * (1 - dice[1:]).mean()


def train_network(
    *,
    lessons: list[Path],
    weights: Path,
    task: str,
    steps: int,
    batch: int,
    seed: int,
    threads: int,
) -> None:
    """Train one network and write it with half precision.

    Args:
        lessons: of `teacher.write_lessons`.
        weights: .safetensors, written.
        task: name in `TASKS`.
        steps: batches.
        batch: crops in each.
        seed: of start and augmentation.
        threads: numeric threads.
    """
    torch.set_num_threads(threads)
    torch.manual_seed(seed)
    plan = TASKS[task]
    data = Lessons(lessons, plan, batch, seed)
    network = PartNet(plan.inputs, len(plan.classes), plan.width)
    optimiser = torch.optim.AdamW(network.parameters(), lr=PEAK_RATE, weight_decay=WEIGHT_DECAY)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, PEAK_RATE, steps, pct_start=0.15)
    balance = torch.tensor(plan.weights)
    progress = Progress(f"training {task}", steps, logger)
    smooth = None
    for step in range(steps):
        inputs, shares = data.batch()
        loss = soft_loss(network(inputs), shares, balance)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        schedule.step()
        smooth = loss.item() if smooth is None else 0.98 * smooth + 0.02 * loss.item()
        if step % 100 == 99:
            logger.info("training %s: step %d, loss %.4f", task, step + 1, smooth)
        progress.step()
    tensors = {name: value.half() for name, value in network.state_dict().items()}
    save_checkpoint(
        weights,
        tensors,
        KIND,
        {"task": task, "steps": steps, "batch": batch, "seed": seed, "loss": smooth},
    )
