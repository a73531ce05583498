"""Training rule of the packaged tiny networks: actor faces in, encoder, generator and critics out.

They take the place of networks that were trained for weeks on 70,000 photographs. So the small
generator knows one actor only, and is taught directly: pictures of one pose and mouth shape that
differ in emotion are pairs, and it has to draw the one from the latent of the other plus
EmoExtract's offset. The critics are trained on ten other actors.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional

from emotalk_core.emotion.glef.actor_faces import ActorFaces, actor_faces
from emotalk_core.emotion.glef.critics import pooled
from emotalk_core.emotion.glef.lips import LIPS, draw_heatmaps, lip_rectangle
from emotalk_core.emotion.glef.model import TINY
from emotalk_core.emotion.glef.networks import (
    GlefNetworks,
    new_tiny_networks,
    save_tiny_networks,
)
from emotalk_core.emotion.glef.tiny_critics import HEATMAP_SIZE, INPUT_SIZE
from emotalk_core.media.progress import Progress

logger = logging.getLogger(__name__)

POPULATION = tuple(range(101, 111))  # actors on which the critics are trained
STATES, EMOTIONS = 12, 3  # of each: poses and mouth shapes, emotional pictures of each of them
STAR = 7  # the built-in actor: the only one that the small generator can draw
STAR_STATES, STAR_EMOTIONS = 24, 5
BATCH = 16
PAIR_BATCH = 8
PEAK_WEIGHT = 20.0  # of heatmap cells with a peak: most cells are empty
LIP_WEIGHT = 4.0  # of pixels around the lips in the reconstruction
SHIFT = 4  # px; largest shift of augmented pictures
SELF_SHARE = 0.35  # of pictures that are drawn from their own latent alone
OFFSET_WEIGHT = 1e-3  # of the squared offset: emotion moves latents no more than needed


@dataclass(frozen=True)
class TinyBudget:
    """How long each part is trained; the defaults are those of the packaged file.

    Attributes:
        critic_steps: of each of the three critics. steps: of encoder, generator and EmoExtract.
        critic_rate, rate: learning rates at the start; they fall to a tenth (cosine).
    """

    critic_steps: int = 500
    steps: int = 1500
    critic_rate: float = 3e-3
    rate: float = 3e-3


def train_tiny_networks(*, output: Path, budget: TinyBudget, seed: int, threads: int) -> None:
    """Render the population, train critics, encoder, generator and EmoExtract, write one file.

    Args:
        output: the packaged file is such a one.
        budget: steps and rates.
        seed: of weights, augmentation and order.
        threads: of torch.
    """
    torch.set_num_threads(threads)
    torch.manual_seed(seed)
    faces = actor_faces(POPULATION, STATES, EMOTIONS, TINY.size, TINY.crop_share)
    networks = new_tiny_networks()
    generator = torch.Generator().manual_seed(seed)
    losses = train_critics(networks, faces, budget, generator)
    star = actor_faces([STAR], STAR_STATES, STAR_EMOTIONS, TINY.size, TINY.crop_share)
    losses |= {"pairs": train_pairs(networks, star, budget, generator)}
    save_tiny_networks(output, networks, card(budget, losses))


def card(budget: TinyBudget, losses: dict[str, float]) -> dict[str, object]:
    """Model card that the file carries."""
    return {
        "data": f"critics: digital actors {POPULATION[0]}..{POPULATION[-1]}, {STATES} states with "
        f"rest and {EMOTIONS} emotions each; generator: actor {STAR}, {STAR_STATES} states with "
        f"rest and {STAR_EMOTIONS} emotions each; {TINY.size} px",
        "use": "tests and demonstrations of g_LEF; no face but the digital actor's",
        "licence": "Apache-2.0, made by this project's own renderer",
        "budget": vars(budget),
        "losses": losses,
    }


def train_critics(
    networks: GlefNetworks, faces: ActorFaces, budget: TinyBudget, generator: torch.Generator
) -> dict[str, float]:
    """Landmark heatmaps, valence and arousal, identity classes."""
    images = faces.tensor()
    points = torch.from_numpy(faces.points)
    emotions = torch.from_numpy(faces.emotions)
    persons = torch.from_numpy(faces.identity)
    marks, reading, identity = (
        cast(nn.Module, critic) for critic in vars(networks.critics).values()
    )
    classes = nn.Linear(networks.critics.identity(images[:1]).shape[1], int(persons.max()) + 1)

    def landmark_loss(rows: Tensor) -> Tensor:
        shift = _shifts(len(rows), generator)
        truth = (points[rows] + shift[:, None]) * (HEATMAP_SIZE / INPUT_SIZE)
        wanted = draw_heatmaps(truth, HEATMAP_SIZE)
        made = marks(_augment(images[rows], shift, generator))
        return ((made - wanted).square() * (1 + PEAK_WEIGHT * wanted)).mean()

    def emotion_loss(rows: Tensor) -> Tensor:
        pictures = _augment(images[rows], _shifts(len(rows), generator), generator)
        return (reading(pictures) - emotions[rows]).square().sum(dim=1).mean()

    def identity_loss(rows: Tensor) -> Tensor:
        pictures = _augment(images[rows], _shifts(len(rows), generator), generator)
        return functional.cross_entropy(classes(identity(pictures)), persons[rows])

    tasks: dict[str, tuple[nn.Module, Callable[[Tensor], Tensor], float]] = {
        "landmarks": (marks, landmark_loss, 1.0),
        "emotion": (reading, emotion_loss, 2.5),  # the hardest task, on the smallest network
        "identity": (nn.ModuleList([identity, classes]), identity_loss, 0.5),
    }
    steps, rate = budget.critic_steps, budget.critic_rate
    return {
        name: _descend(name, module, loss, len(images), round(share * steps), rate)
        for name, (module, loss, share) in tasks.items()
    }


def train_pairs(
    networks: GlefNetworks, faces: ActorFaces, budget: TinyBudget, generator: torch.Generator
) -> float:
    """Encoder, StyleGAN2 and EmoExtract together: each picture from itself and from its sibling."""
    images, emotions = faces.tensor(), torch.from_numpy(faces.emotions)
    lips = torch.from_numpy(faces.points)[:, LIPS]
    siblings = _siblings(faces.state)
    modules = nn.ModuleList([networks.encoder, networks.generator, networks.emotion])
    size = networks.encoder.input_size

    def loss(rows: Tensor) -> Tensor:
        pick = torch.randint(siblings.shape[1], (len(rows),), generator=generator)
        moved = torch.rand(len(rows), generator=generator) > SELF_SHARE
        other = torch.where(moved, siblings[rows, pick], rows)
        latents = networks.encoder(pooled(images[rows], size) * 2 - 1)
        offset = networks.emotion(latents, emotions[other]) * moved[:, None, None]
        made = (networks.generator(latents + offset) + 1) / 2
        error = (made - images[other]).abs() + 4 * (made - images[other]).square()
        mask = lip_rectangle(lips[other], INPUT_SIZE, INPUT_SIZE, 0.3)
        return ((1 + LIP_WEIGHT * mask) * error).mean() + OFFSET_WEIGHT * offset.square().mean()

    return _descend("pairs", modules, loss, len(images), budget.steps, budget.rate, PAIR_BATCH)


def _descend(
    name: str,
    module: nn.Module,
    loss: Callable[[Tensor], Tensor],
    count: int,
    steps: int,
    rate: float,
    batch: int = BATCH,
) -> float:
    """Adam with a cosine fall to a tenth; rows are drawn by a generator of their own."""
    rows = torch.Generator().manual_seed(steps)
    adam = torch.optim.Adam(module.parameters(), lr=rate, betas=(0.9, 0.99))
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(adam, steps, rate / 10)
    progress, running = Progress(f"tiny {name}", steps, logger), 0.0
    module.train().requires_grad_(True)
    for step in range(steps):
        value = loss(torch.randint(count, (batch,), generator=rows))
        adam.zero_grad(set_to_none=True)
        value.backward()
        adam.step()
        schedule.step()
        running += (float(value.detach()) - running) / min(step + 1, 50)
        progress.step(loss=running)
    module.eval().requires_grad_(False)
    return running


def _shifts(count: int, generator: torch.Generator) -> Float[Tensor, "B 2"]:
    return torch.randint(-SHIFT, SHIFT + 1, (count, 2), generator=generator).float()


def _augment(
    images: Float[Tensor, "B 3 S S"], shift: Float[Tensor, "B 2"], generator: torch.Generator
) -> Float[Tensor, "B 3 S S"]:
    """Shifted (whole px), blurred in half of the cases, brighter or darker, with noise."""
    padded = functional.pad(images, (SHIFT,) * 4, mode="replicate")
    size = images.shape[-1]
    moved = []
    for picture, (dx, dy) in zip(padded, shift.int().tolist()):
        moved.append(picture[:, SHIFT - dy : SHIFT - dy + size, SHIFT - dx : SHIFT - dx + size])
    out = torch.stack(moved)
    soft = functional.avg_pool2d(functional.pad(out, (1,) * 4, mode="replicate"), 3, 1)
    count = len(images)
    share = torch.rand(count, 1, 1, 1, generator=generator).round()
    out = share * soft + (1 - share) * out
    gain = 1 + 0.2 * (torch.rand(count, 3, 1, 1, generator=generator) - 0.5)
    noise = 0.02 * torch.randn(out.shape, generator=generator)
    return (out * gain + noise).clamp(0, 1)


def _siblings(state: Int[np.ndarray, " N"]) -> Int[Tensor, "N K"]:
    """Rows of the same state, itself among them."""
    return torch.from_numpy(np.stack([np.flatnonzero(state == own) for own in state]))
