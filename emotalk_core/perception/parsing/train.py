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

BATCH = 16
PEAK_RATE = 4e-3  # of a one-cycle schedule; twice that diverged on the mouth
WEIGHT_DECAY = 1e-3
KIND = "parsing_network"


class Lessons:
    """Random augmented batches of stored lessons."""

    def __init__(self, paths: list[Path], task: ParsingTask, seed: int) -> None:
        arrays = [np.load(path) for path in paths]
        self._rgb = np.concatenate([a["rgb"] for a in arrays])
        self._labels = np.concatenate([a["labels"] for a in arrays])
        self._landmarks = np.concatenate([a["landmarks"] for a in arrays]).astype(np.float64)
        self._task = task
        self._rng = np.random.default_rng(seed)
        self._transforms = [crop_transform(points, task.crop) for points in self._landmarks]

    def batch(self) -> tuple[Float[Tensor, "B C S S"], Tensor]:
        """Channels and classes of random lessons."""
        table = self._task.class_of_label()
        inputs, classes = [], []
        for i in self._rng.integers(len(self._rgb), size=BATCH):
            crop, points, parts = learner_view(
                self._task,
                self._rgb[i],
                self._labels[i],
                self._landmarks[i],
                self._transforms[i],
                self._rng,
            )
            inputs.append(crop_input(crop, points, self._task.rings))
            classes.append(table[parts])
        return torch.from_numpy(np.stack(inputs)), torch.from_numpy(np.stack(classes)).long()


def train_network(
    *, lessons: list[Path], weights: Path, task: str, steps: int, seed: int, threads: int
) -> None:
    """Train one network and write it with half precision.

    Args:
        lessons: of `teacher.write_lessons`.
        weights: .safetensors, written.
        task: name in `TASKS`.
        steps: batches.
        seed: of start and augmentation.
        threads: numeric threads.
    """
    torch.set_num_threads(threads)
    torch.manual_seed(seed)
    plan = TASKS[task]
    data = Lessons(lessons, plan, seed)
    network = PartNet(plan.inputs, len(plan.classes), plan.width)
    optimiser = torch.optim.AdamW(network.parameters(), lr=PEAK_RATE, weight_decay=WEIGHT_DECAY)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, PEAK_RATE, steps, pct_start=0.15)
    balance = torch.tensor(plan.weights)
    progress = Progress(f"training {task}", steps, logger)
    smooth = None
    for step in range(steps):
        inputs, classes = data.batch()
        loss = functional.cross_entropy(network(inputs), classes, weight=balance)
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
        weights, tensors, KIND, {"task": task, "steps": steps, "seed": seed, "loss": smooth}
    )
