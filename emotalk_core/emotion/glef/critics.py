"""The seam of the frozen networks that judge a generated face during training of g_LEF."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from jaxtyping import Float
from torch import Tensor
from torch.nn import functional


class LandmarkHeatmaps(Protocol):
    """68 landmarks as heatmaps, differentiable (paper: FAN).

    Attributes:
        id: name and version.
        standing_for: the paper's network that it stands in for, "" for that network itself.
        input_size: px of the picture that it sees.
    """

    id: str
    standing_for: str
    input_size: int

    def __call__(self, images: Float[Tensor, "B 3 S S"]) -> Float[Tensor, "B 68 H H"]:
        """Heatmaps of RGB pictures in 0..1, a peak a landmark (order of the 68-point scheme)."""
        ...


class EmotionReading(Protocol):
    """Valence and arousal, differentiable (paper: EmoNet); attributes as `LandmarkHeatmaps`."""

    id: str
    standing_for: str
    input_size: int

    def __call__(self, images: Float[Tensor, "B 3 S S"]) -> Float[Tensor, "B 2"]:
        """(valence, arousal) of RGB pictures in 0..1."""
        ...


class IdentityFeatures(Protocol):
    """Identity vector, differentiable (paper: VGGFace2); attributes as `LandmarkHeatmaps`."""

    id: str
    standing_for: str
    input_size: int

    def __call__(self, images: Float[Tensor, "B 3 S S"]) -> Float[Tensor, "B D"]:
        """Features of RGB pictures in 0..1."""
        ...


@dataclass(frozen=True)
class Critics:
    """Everything that judges; all frozen."""

    landmarks: LandmarkHeatmaps
    emotion: EmotionReading
    identity: IdentityFeatures


def pooled(images: Float[Tensor, "B 3 S S"], size: int) -> Float[Tensor, "B 3 T T"]:
    """The picture at a critic's size (area mean, as EmoStyle's `face_pool`)."""
    if images.shape[-1] == size:
        return images
    return functional.adaptive_avg_pool2d(images, size)
