"""What one training step gives to the losses."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from jaxtyping import Float
from torch import Tensor

from emotalk_core.errors import NumericalError
from emotalk_core.types.gaussians import GaussianOffsets


@dataclass(frozen=True)
class LandmarkMotion:
    """Motion of mesh points by a branch beside their tracked motion.

    Attributes:
        predicted, target: in-plane motion in the head's world, units of the outer eye distance.
        weight: importance of each point.
    """

    predicted: Float[Tensor, "B L 2"]
    target: Float[Tensor, "B L 2"]
    weight: Float[Tensor, " L"]


class SyncRun(Protocol):
    """Consecutive frames beside their sound, and an expert that compares them."""

    def distance(self) -> Float[Tensor, ""]:
        """How far lips and sound are apart, 0 or more, with a gradient towards the lips."""
        ...


@dataclass(frozen=True)
class LossContext:
    """Predictions and targets of one step; parts that a stage does not have are None.

    Attributes:
        image, target: composited picture and truth, 0..1.
        weight: importance of each pixel in the photometric losses.
        alpha, target_alpha: opacity of the trained layer and its soft mask.
        alpha_weight: importance of each pixel in the alpha loss (low where half transparent).
        normals: alpha-weighted camera-space normals.
        target_normals: predicted normals of the frame.
        normal_mask: 1 where target normals exist.
        normal_residuals: Delta n of the face's Gaussians.
        offsets: deformations of this frame.
        landmarks: motion of mesh points.
        taught: the same for sound that nobody tracked; the target is the teachers' mean.
        sync: a run of frames; None in the steps that look at none.
        backend, threads: how kernels run.
    """

    image: Float[Tensor, "3 H W"] | None = None
    target: Float[Tensor, "3 H W"] | None = None
    weight: Float[Tensor, "H W"] | None = None
    alpha: Float[Tensor, "H W"] | None = None
    target_alpha: Float[Tensor, "H W"] | None = None
    alpha_weight: Float[Tensor, "H W"] | None = None
    normals: Float[Tensor, "3 H W"] | None = None
    target_normals: Float[Tensor, "3 H W"] | None = None
    normal_mask: Float[Tensor, "H W"] | None = None
    normal_residuals: Float[Tensor, "N 3"] | None = None
    offsets: tuple[GaussianOffsets, ...] = ()
    landmarks: LandmarkMotion | None = None
    taught: LandmarkMotion | None = None
    sync: SyncRun | None = None
    backend: str = "auto"
    threads: int = 1


def need(value: Tensor | None, loss: str, name: str) -> Tensor:
    """A part of the context that a loss cannot do without.

    Raises:
        NumericalError: the stage's data asks for a loss whose input its step does not make.
    """
    if value is None:
        raise NumericalError(
            f"loss {loss}: the step gave no {name}; take {loss} out of this phase in "
            "training/stages.toml"
        )
    return value
