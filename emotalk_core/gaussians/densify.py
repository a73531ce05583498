"""Densification as pure functions: statistics and a Gaussian set in, a new set and its rows out.

A training step calls `new_probe` before the rasterizer and `observe` after backward; at its fixed
steps it calls `choose`, `grow` and, for every optimizer moment, `carry`. Nothing here owns state.
Source of the rules: 3DGS section 5.2 (Kerbl et al. 2023) with the defaults of gsplat.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from emotalk_core.errors import explain
from emotalk_core.gaussians.conventions import RasterInfo
from emotalk_core.geometry.rotations import quats_to_rotmats
from emotalk_core.types.gaussians import GaussianSet

SPLIT_SHRINK = 1.6  # the two halves of a split Gaussian are smaller by this (3DGS)


@dataclass(frozen=True)
class Statistics:
    """What the steps since the last densification saw.

    Attributes:
        gradient: [N] summed norms of the gradient to the projected centre, per px.
        seen: [N] number of steps in which the Gaussian was drawn.
        radius: [N] largest half extent so far, px.
    """

    gradient: Float[Tensor, " N"]
    seen: Float[Tensor, " N"]
    radius: Float[Tensor, " N"]

    @property
    def mean_gradient(self) -> Float[Tensor, " N"]:
        """[N] mean norm over the steps in which a Gaussian was drawn."""
        return self.gradient / self.seen.clamp_min(1.0)


@dataclass(frozen=True)
class Rules:
    """When a Gaussian is cloned, split or pruned.

    Attributes:
        grow_gradient: mean screen gradient above which a Gaussian grows, per px.
        split_scale: metres; a growing Gaussian larger than this is split, a smaller one cloned.
        prune_opacity: a Gaussian more transparent than this is removed.
        prune_scale: metres; a larger one is removed.
        prune_radius: px; one that was ever drawn larger is removed.
        max_count: no growth beyond this many; the strongest gradients go first.
    """

    grow_gradient: float = 2e-4
    split_scale: float = 3e-3
    prune_opacity: float = 0.005
    prune_scale: float = math.inf
    prune_radius: float = math.inf
    max_count: int = 1_000_000


@dataclass(frozen=True)
class Choice:
    """[N] masks; a Gaussian is in at most one of them."""

    clone: Bool[Tensor, " N"]
    split: Bool[Tensor, " N"]
    prune: Bool[Tensor, " N"]


@dataclass(frozen=True)
class Rows:
    """Where the rows of a new set come from.

    Attributes:
        source: [M] row of the old set.
        fresh: [M] rows that are new: their optimizer moments start at zero.
    """

    source: Int[Tensor, " M"]
    fresh: Bool[Tensor, " M"]


def new_statistics(count: int, device: torch.device | str = "cpu") -> Statistics:
    """Statistics of no steps yet."""
    zeros = torch.zeros(3, count, device=device)
    return Statistics(gradient=zeros[0], seen=zeros[1], radius=zeros[2])


def new_probe(gaussians: GaussianSet) -> Float[Tensor, "N 2"]:
    """Before the forward pass: the tensor to give to `rasterize` as `means2d_probe`."""
    return gaussians.means.new_zeros(len(gaussians), 2).requires_grad_()


def observe(statistics: Statistics, probe: Float[Tensor, "N 2"], info: RasterInfo) -> Statistics:
    """After backward: the statistics with one more step.

    Raises:
        ValueError: the probe has no gradient (backward was not called, or another probe drew).
    """
    if probe.grad is None:
        raise ValueError(
            explain("probe.grad", None, "wanted the gradient of backward()", "call it before this")
        )
    drawn = info.visible
    return Statistics(
        gradient=statistics.gradient + torch.where(drawn, probe.grad.norm(dim=-1), 0.0),
        seen=statistics.seen + drawn,
        radius=torch.maximum(statistics.radius, info.radii.amax(-1)),
    )


@torch.no_grad()
def choose(gaussians: GaussianSet, statistics: Statistics, rules: Rules) -> Choice:
    """Which Gaussians grow and which go, by the rules."""
    size = gaussians.scales.exp().amax(dim=-1)
    prune = gaussians.opacities.sigmoid() < rules.prune_opacity
    prune = prune | (size > rules.prune_scale) | (statistics.radius > rules.prune_radius)
    gradient = statistics.mean_gradient
    grows = (gradient > rules.grow_gradient) & ~prune
    room = max(0, rules.max_count - int((~prune).sum()))
    if int(grows.sum()) > room:  # each growing Gaussian adds one row
        strongest = torch.where(grows, gradient, -torch.inf).argsort(descending=True, stable=True)
        grows = torch.zeros_like(grows)
        grows[strongest[:room]] = True
    large = size > rules.split_scale
    return Choice(clone=grows & ~large, split=grows & large, prune=prune)


def _check_choice(gaussians: GaussianSet, choice: Choice) -> None:
    sizes = {len(choice.clone), len(choice.split), len(choice.prune)}
    both = choice.clone.int() + choice.split.int() + choice.prune.int() > 1
    if sizes != {len(gaussians)} or bool(both.any()):
        raise ValueError(
            explain("choice", sizes, f"wanted disjoint masks of {len(gaussians)}", "use choose()")
        )


@torch.no_grad()
def grow(
    gaussians: GaussianSet, choice: Choice, generator: torch.Generator
) -> tuple[GaussianSet, Rows]:
    """The set without pruned rows, with copies of cloned and two halves of split ones.

    Order: rows that stay, copies, first halves, second halves. Halves are drawn from the Gaussian
    that they replace and shrunk by SPLIT_SHRINK.

    Args:
        gaussians: raw parameters, [N] rows.
        choice: masks of the rows.
        generator: CPU generator of the halves' positions.

    Raises:
        ValueError: the masks overlap or do not fit the set.
    """
    _check_choice(gaussians, choice)
    stay = (~choice.prune & ~choice.split).nonzero()[:, 0]
    clone, split = choice.clone.nonzero()[:, 0], choice.split.nonzero()[:, 0]
    source = torch.cat([stay, clone, split, split])
    fresh = torch.arange(len(source), device=source.device) >= len(stay)
    rows = {name: tensor.detach()[source] for name, tensor in gaussians.tensors().items()}
    halves = slice(len(stay) + len(clone), None)
    noise = torch.randn(2 * len(split), 3, generator=generator).to(rows["means"])
    local = noise * rows["scales"][halves].exp()
    turned = quats_to_rotmats(rows["quats"][halves]) @ local[:, :, None]
    rows["means"][halves] += turned[:, :, 0]
    rows["scales"][halves] -= math.log(SPLIT_SHRINK)
    return GaussianSet(**rows), Rows(source=source, fresh=fresh)


def carry(moments: Mapping[str, Tensor], rows: Rows) -> dict[str, Tensor]:
    """Optimizer state of one parameter for its new rows: old moments, zero for fresh rows.

    Scalars (Adam's step count) stay as they are.
    """
    carried = {}
    for name, moment in moments.items():
        if moment.ndim == 0:
            carried[name] = moment
            continue
        carried[name] = moment[rows.source].clone()
        carried[name][rows.fresh] = 0
    return carried
