"""EmoStyle's emotion MLP and EmoExtract: latent and emotion in, offset of every style out.

Names and shapes of `EmoMappingWplus` of bihamta/emostyle (EmoStyle, WACV 2024).
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn

from emotalk_core.emotion.glef.layers import SLOPE
from emotalk_core.emotion.glef.stylegan2 import STYLE_DIM, n_styles

EMOTION_DIM = 64  # f_emo
EMOTION_HIDDEN = 32
HIDDEN = (2048, 1024, 512)  # of each style's network


def style_networks(
    count: int, fan_in: int, fan_out: int, hidden: Sequence[int] = HIDDEN
) -> nn.ModuleList:
    """One small network a style, leaky ReLU between its linear layers."""

    def network() -> nn.Sequential:
        layers: list[nn.Module] = []
        below = fan_in
        for width in hidden:
            layers += [nn.Linear(below, width), nn.LeakyReLU(SLOPE)]
            below = width
        return nn.Sequential(*layers, nn.Linear(below, fan_out))

    return nn.ModuleList(network() for _ in range(count))


def style_offsets(
    networks: nn.ModuleList, latents: Float[Tensor, "B L D"], condition: Float[Tensor, "B E"]
) -> Float[Tensor, "B L D"]:
    """Each style (+) condition through its own network."""
    offsets = [
        network(torch.cat([latents[:, i], condition], dim=1)) for i, network in enumerate(networks)
    ]
    return torch.stack(offsets, dim=1)


class EmoExtract(nn.Module):
    """d = M([f_emo (+) W]) with f_emo = MLP(valence, arousal) (METHOD 1.4).

    Args:
        size: of the generator's picture, px.
        emotion_dim: width of f_emo.
        latent_dim: width of a style.
        hidden: widths inside each style's network.
    """

    def __init__(
        self,
        size: int = 1024,
        emotion_dim: int = EMOTION_DIM,
        latent_dim: int = STYLE_DIM,
        hidden: Sequence[int] = HIDDEN,
    ) -> None:
        super().__init__()
        self.emotion_enc = nn.Sequential(
            nn.Linear(2, EMOTION_HIDDEN),
            nn.LeakyReLU(SLOPE),
            nn.Linear(EMOTION_HIDDEN, emotion_dim),
        )
        fan_in = emotion_dim + latent_dim
        self.latent_net = style_networks(n_styles(size), fan_in, latent_dim, hidden)

    def forward(
        self, latents: Float[Tensor, "B L D"], emotions: Float[Tensor, "B 2"]
    ) -> Float[Tensor, "B L D"]:
        """Offset d of the latents; emotions are (valence, arousal) in -1..1."""
        return style_offsets(self.latent_net, latents, self.emotion_enc(emotions))
