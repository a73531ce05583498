"""The running mean of parameters over the steps of a phase, which takes their place at its end."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn


class RunningMean:
    """Parameters by name, each step's values with the weight 1 - keep.

    A step sees one frame under noise, so the last step's networks are one draw of many that are
    equally good; their mean is nearer to what all of them say. Gaussians have no mean: their
    number changes.
    """

    def __init__(self) -> None:
        self._means: dict[str, Tensor] = {}

    def observe(self, parameters: Mapping[str, nn.Parameter], keep: float) -> None:
        """Take in the parameters after one step; the first one is the mean so far."""
        with torch.no_grad():
            for name, parameter in parameters.items():
                mean = self._means.setdefault(name, parameter.detach().clone())
                mean.lerp_(parameter, 1.0 - keep)

    def settle(self, parameters: Mapping[str, nn.Parameter]) -> None:
        """Put the means in the parameters' place and forget them."""
        with torch.no_grad():
            for name, mean in self._means.items():
                parameters[name].copy_(mean)
        self._means.clear()

    def tensors(self) -> dict[str, Tensor]:
        """The means by name, for the run's state."""
        return dict(self._means)

    def load(self, tensors: Mapping[str, Tensor], device: torch.device) -> None:
        """Inverse of `tensors`."""
        self._means = {name: value.clone().to(device) for name, value in tensors.items()}
