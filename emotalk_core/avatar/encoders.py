"""Audio encoder: from the speech features of eight neighbour frames to one code of 32 numbers."""

from __future__ import annotations

import itertools

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

AUDIO_CODE = 32  # size of the audio code a (METHOD 2.3)
WINDOW = 16  # feature samples per frame (docs/artifacts.md, speech.npz)
NEIGHBOURS = 8  # frames the attention sees (METHOD 2.1)
LEAK = 0.02  # negative slope (METHOD 2.3)
STD_FLOOR = 1e-3  # a silent feature column must not be blown up by its own rounding noise


class AudioNet(nn.Module):
    """Four strided convolutions over the 16 samples of one frame (METHOD 2.3, AudioNet)."""

    def __init__(self, feature_dim: int) -> None:
        super().__init__()
        widths = (feature_dim, 32, 32, 64, 64)
        layers: list[nn.Module] = []
        for wide, narrow in itertools.pairwise(widths):
            layers += [nn.Conv1d(wide, narrow, 3, stride=2, padding=1), nn.LeakyReLU(LEAK)]
        self.convolutions = nn.Sequential(*layers)
        self.head = nn.Sequential(nn.Linear(64, 64), nn.LeakyReLU(LEAK), nn.Linear(64, AUDIO_CODE))

    def forward(self, features: Float[Tensor, "B 16 D"]) -> Float[Tensor, "B 32"]:
        """One code a frame."""
        return self.head(self.convolutions(features.transpose(1, 2)).squeeze(-1))


class AudioAttention(nn.Module):
    """Softmax weights over the eight neighbour codes (METHOD 2.3, AudioAttNet)."""

    def __init__(self) -> None:
        super().__init__()
        widths = (AUDIO_CODE, 16, 8, 4, 2, 1)
        layers: list[nn.Module] = []
        for wide, narrow in itertools.pairwise(widths):
            layers += [nn.Conv1d(wide, narrow, 3, padding=1), nn.LeakyReLU(LEAK)]
        self.convolutions = nn.Sequential(*layers)
        self.head = nn.Linear(NEIGHBOURS, NEIGHBOURS)

    def forward(self, codes: Float[Tensor, "B 8 32"]) -> Float[Tensor, "B 32"]:
        """Weighted sum of the codes."""
        scores = self.head(self.convolutions(codes.transpose(1, 2)).squeeze(1))
        return (torch.softmax(scores, dim=1)[:, :, None] * codes).sum(dim=1)


class InputNoise(nn.Module):
    """Adds normal noise while a model trains (torch's own generator, which the loop seeds)."""

    def __init__(self) -> None:
        super().__init__()
        self.std = 0.0  # in units of the standardised input

    def forward(self, values: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
        """The values themselves outside of training, or with a deviation of zero."""
        if not self.training or self.std == 0.0:
            return values
        return values + self.std * torch.randn_like(values)


class AudioEncoder(nn.Module):
    """Standardised features -> AudioNet -> attention -> layer-normalised code.

    The code is normalised because an attention that multiplies a small code starts with a condition
    of about zero, and lips then stay shut behind a good PSNR (study: trap 3).
    """

    mean: Tensor
    std: Tensor

    def __init__(self, feature_dim: int) -> None:
        super().__init__()
        self.net = AudioNet(feature_dim)
        self.attention = AudioAttention()
        self.noise = InputNoise()
        self.dropout = nn.Dropout(0.0)
        self.register_buffer("mean", torch.zeros(feature_dim))
        self.register_buffer("std", torch.ones(feature_dim))

    def set_statistics(self, features: Float[Tensor, "T W D"]) -> None:
        """Fix the standardisation to the statistics of the training frames."""
        flat = features.reshape(-1, features.shape[-1])
        self.mean.copy_(flat.mean(dim=0))
        self.std.copy_(flat.std(dim=0).clamp_min(STD_FLOOR))

    def forward(self, windows: Float[Tensor, "B 8 W D"]) -> Float[Tensor, "B 32"]:
        """Codes of B frames; frames of zeros (outside the clip) stay zeros after standardising."""
        inside = (windows.abs().sum(dim=(2, 3), keepdim=True) > 0).to(windows.dtype)
        scaled = self.noise((windows - self.mean) / self.std) * inside
        batch = scaled.shape[0]
        codes = self.net(scaled.reshape(batch * NEIGHBOURS, *scaled.shape[2:]))
        code = self.attention(codes.reshape(batch, NEIGHBOURS, AUDIO_CODE))
        return self.dropout(F.layer_norm(code, (AUDIO_CODE,)))
