"""Lip alignment of g_LEF: lip heatmaps in, lip code z_l and offset d_l of the styles out."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import cast

import torch
from jaxtyping import Float
from torch import Tensor, nn

from emotalk_core.emotion.glef.emostyle import HIDDEN, style_networks, style_offsets
from emotalk_core.emotion.glef.layers import SLOPE
from emotalk_core.emotion.glef.stylegan2 import STYLE_DIM, n_styles

LIPS = slice(48, 68)  # of the 68-point scheme: 12 outer, 8 inner points
N_LIPS = 20
LIP_DIM = 64  # z_l; the paper does not say, ours is the width of f_emo
ENCODER_WIDTHS = (32, 64, 128, 128)  # ours; one halving of the resolution each
LAST_SIDE = 4  # px of the encoder's last map (64 px heatmaps: four halvings)
FIRST_OFFSET = 0.1  # size of d_l at the start, of what usual start values give
WINDOW = 3  # cells around the peak that count: FAN's peaks are about 1 cell wide


def heatmap_points(heatmaps: Float[Tensor, "B N H W"]) -> Float[Tensor, "B N 2"]:
    """Differentiable position (x, y) of each peak in cells, pixel centres at +0.5.

    EmoStyle takes the argmax, which has no gradient; ours is the centroid of the positive part in a
    window around it.
    """
    height, width = heatmaps.shape[2:]
    peak = heatmaps.flatten(2).argmax(dim=2)
    rows = torch.arange(height, device=heatmaps.device)
    columns = torch.arange(width, device=heatmaps.device)
    near_row = (rows - (peak // width)[..., None]).abs() <= WINDOW
    near_column = (columns - (peak % width)[..., None]).abs() <= WINDOW
    mass = heatmaps.clamp(min=0) * (near_row[..., :, None] & near_column[..., None, :])
    total = mass.sum(dim=(2, 3)).clamp(min=1e-6)
    x = (mass.sum(dim=2) * (columns + 0.5)).sum(dim=2) / total
    y = (mass.sum(dim=3) * (rows + 0.5)).sum(dim=2) / total
    return torch.stack([x, y], dim=2)


def draw_heatmaps(
    points: Float[Tensor, "B N 2"], side: int, sigma: float = 1.0
) -> Float[Tensor, "B N S S"]:
    """Gaussian peaks of height 1 at points in cells: what a landmark network is taught."""
    cells = torch.arange(side, device=points.device) + 0.5
    across = torch.exp(-((cells - points[..., :1]) ** 2) / (2 * sigma**2))
    down = torch.exp(-((cells - points[..., 1:]) ** 2) / (2 * sigma**2))
    return down[..., :, None] * across[..., None, :]


def lip_rectangle(
    points: Float[Tensor, "B 20 2"], size: int, cells: int, margin: float
) -> Float[Tensor, "B 1 S S"]:
    """M_l: 1 inside the upright rectangle around the lip points, 0 outside.

    Args:
        points: lip landmarks, cells.
        size: side of the picture, px.
        cells: side of the heatmaps.
        margin: growth on every side, widths of the mouth.
    """
    scaled = points * (size / cells)
    low, high = scaled.amin(dim=1), scaled.amax(dim=1)
    grow = margin * (high[:, :1] - low[:, :1])
    low, high = low - grow, high + grow
    centres = torch.arange(size, device=points.device) + 0.5
    inside = (centres >= low[..., None]) & (centres <= high[..., None])  # [B, 2, S]
    return (inside[:, 1, :, None] & inside[:, 0, None, :]).float()[:, None]


class LipEncoder(nn.Module):
    """E: lip heatmaps -> z_l.

    Args:
        cells: side of the heatmaps, a power of two from 8 on.
        lip_dim: width of z_l.
        widths: channels after each halving; the last one is repeated.
    """

    def __init__(
        self, cells: int, lip_dim: int = LIP_DIM, widths: Sequence[int] = ENCODER_WIDTHS
    ) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        below = N_LIPS
        for level in range(int(math.log2(cells // LAST_SIDE))):
            width = widths[min(level, len(widths) - 1)]
            layers += [nn.Conv2d(below, width, 3, 2, 1), nn.LeakyReLU(SLOPE)]
            below = width
        self.convs = nn.Sequential(*layers)
        self.linear = nn.Linear(below * LAST_SIDE**2, lip_dim)

    def forward(self, heatmaps: Float[Tensor, "B 20 H H"]) -> Float[Tensor, "B Z"]:
        """z_l."""
        return self.linear(self.convs(heatmaps).flatten(1))


class LipMapping(nn.Module):
    """M_lip: d_l = M_lip([z_l (+) W']), built like EmoExtract.

    Args:
        size: of the generator's picture, px.
        lip_dim: width of z_l.
        latent_dim: width of a style.
        hidden: widths inside each style's network.
    """

    def __init__(
        self,
        size: int,
        lip_dim: int = LIP_DIM,
        latent_dim: int = STYLE_DIM,
        hidden: Sequence[int] = HIDDEN,
    ) -> None:
        super().__init__()
        fan_in = lip_dim + latent_dim
        self.latent_net = style_networks(n_styles(size), fan_in, latent_dim, hidden)
        with torch.no_grad():  # a large random d_l disturbs the whole face
            for network in self.latent_net:
                for parameter in cast(nn.Sequential, network)[-1].parameters():
                    parameter.mul_(FIRST_OFFSET)

    def forward(
        self, latents: Float[Tensor, "B L D"], lips: Float[Tensor, "B Z"]
    ) -> Float[Tensor, "B L D"]:
        """Offset d_l."""
        return style_offsets(self.latent_net, latents, lips)
