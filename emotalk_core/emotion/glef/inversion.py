"""Aligned pictures in, latents whose synthesis looks like them out, by optimisation.

For generators that no encoder was trained for; e4e (`GlefNetworks.invert`) is the other way.
"""

from __future__ import annotations

import math

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from emotalk_core.emotion.glef.networks import GlefNetworks
from emotalk_core.emotion.glef.settings import GlefSettings
from emotalk_core.emotion.glef.stylegan2 import StyleGAN2

RATE = 0.05  # Adam's; EmoStyle projects with 0.01 and 450 steps onto one w, here all styles move
RAMP_UP, RAMP_DOWN = 0.05, 0.25  # shares of the steps in which the rate rises and falls
SIDE = 256  # px; larger pictures are compared at this size, as EmoStyle does
PULL = 1e-3  # weight of the squared distance to the start: latents stay where edits work


def invert_faces(
    networks: GlefNetworks, images: Float[Tensor, "B 3 S S"], settings: GlefSettings
) -> Float[Tensor, "B L D"]:
    """Latents as the settings want them: the same way in training and wherever it is used.

    Args:
        networks: as they are before training; a tuned generator needs other latents.
        images: aligned, RGB, 0..1.
        settings: config block `glef`.
    """
    latents = networks.invert(images)
    if settings.inversion == "optimise":
        steps = settings.inversion_steps
        latents = invert_by_optimisation(networks.generator, images, latents, steps)
    return latents


def invert_by_optimisation(
    generator: StyleGAN2,
    images: Float[Tensor, "B 3 S S"],
    start: Float[Tensor, "B L D"],
    steps: int,
) -> Float[Tensor, "B L D"]:
    """Latents in W+ near `start` (mean absolute difference of three levels of a pyramid).

    Args:
        generator: frozen while this runs.
        images: RGB, 0..1.
        start: mean latent or an encoder's answer.
        steps: of Adam.
    """
    wanted = generator.training, [p.requires_grad for p in generator.parameters()]
    generator.eval().requires_grad_(False)
    latents = start.detach().clone().requires_grad_(True)
    adam = torch.optim.Adam([latents], lr=RATE)
    for step in range(steps):
        adam.param_groups[0]["lr"] = RATE * _ramp(step / steps)
        made = (generator(latents) + 1) / 2
        loss = _pyramid_distance(made, images) + PULL * (latents - start).square().mean()
        adam.zero_grad(set_to_none=True)
        loss.backward()
        adam.step()
    generator.train(wanted[0])
    for parameter, trained in zip(generator.parameters(), wanted[1]):
        parameter.requires_grad_(trained)
    return latents.detach()


def _ramp(t: float) -> float:
    down = 0.5 - 0.5 * math.cos(min(1.0, (1.0 - t) / RAMP_DOWN) * math.pi)
    return down * min(1.0, (t + 1e-3) / RAMP_UP)


def _pyramid_distance(made: Tensor, wanted: Tensor) -> Tensor:
    if made.shape[-1] > SIDE:
        made, wanted = (functional.adaptive_avg_pool2d(x, SIDE) for x in (made, wanted))
    total = (made - wanted).abs().mean()
    for _ in range(2):
        made, wanted = functional.avg_pool2d(made, 2), functional.avg_pool2d(wanted, 2)
        total = total + (made - wanted).abs().mean()
    return total
