"""The settings of pose refinement: what the config block `poses` holds."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class PoseSettings:
    """Settings of `refine_cameras`.

    Attributes:
        rounds: how often the rigid head and the poses are refined in turn; 0 keeps the tracked
            poses.
        steps: training steps of the head a round.
        decay: factor on the head's learning rates from round to round.
        sweeps: Gauss-Newton steps of all poses a round.
        n_gaussians: of the head.
        side: height of the frames that are compared, px.
        smoothing: weight of the second differences of the pose.
    """

    rounds: int = 2
    steps: int = 250
    decay: float = 0.6
    sweeps: int = 2
    n_gaussians: int = 5000
    side: int = 128
    smoothing: float = 0.3
