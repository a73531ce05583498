"""Names of losses to functions, loaded when first asked for."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor

from emotalk_core.errors import ConfigError
from emotalk_core.losses.context import LossContext
from emotalk_core.registry import Registry

Loss = Callable[[LossContext], Tensor]

# One line a loss. In the place of LPIPS (METHOD 1.2) stands `detail`, ours and without a network.
LOSSES = Registry(
    "loss",
    {
        "l1": "emotalk_core.losses.l1:weighted_l1",
        "dssim": "emotalk_core.losses.dssim:structural_dissimilarity",
        "detail": "emotalk_core.losses.detail:detail_distance",
        "normal": "emotalk_core.losses.normal:normal_l1",
        "normal_tv": "emotalk_core.losses.normal_tv:normal_total_variation",
        "normal_residual": "emotalk_core.losses.normal_residual:squared_residual",
        "alpha": "emotalk_core.losses.alpha:alpha_l1",
        "landmark": "emotalk_core.losses.landmark:landmark_motion",
        "taught": "emotalk_core.losses.taught:taught_motion",
        "offset": "emotalk_core.losses.offset:mean_offset",
        "sync": "emotalk_core.losses.sync:sync_distance",
    },
)


def get_loss(name: str) -> Loss:
    """The loss of that name.

    Raises:
        ConfigError: no such loss; says the nearest one.
    """
    try:
        return LOSSES.load(name)
    except KeyError as error:
        raise ConfigError(f"{error.args[0]}; correct training/stages.toml") from error
