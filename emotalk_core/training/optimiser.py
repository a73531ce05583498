"""Adam over named parameters whose number of rows may change, with a state that can be saved."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from jaxtyping import Int
from torch import Tensor, nn

from emotalk_core.gaussians.densify import Rows, carry

GAUSSIAN_EPS = 1e-15  # METHOD 2.4: Gaussians' gradients are tiny
GAUSSIAN_BETAS = (0.9, 0.999)
NETWORK_EPS = 1e-8
NETWORK_BETAS = (0.9, 0.99)  # METHOD 2.4


class NamedAdam:
    """torch's fused Adam with one group a parameter, so that each has its own rate and schedule."""

    def __init__(
        self, parameters: Mapping[str, nn.Parameter], rates: Mapping[str, float], networks: set[str]
    ) -> None:
        """Set up groups.

        Args:
            parameters: name -> parameter.
            rates: name -> learning rate before the schedule.
            networks: names that use the networks' betas and epsilon, not the Gaussians'.
        """
        self._rates = dict(rates)
        groups = [
            {
                "params": [parameter],
                "lr": rates[name],
                "name": name,
                "betas": NETWORK_BETAS if name in networks else GAUSSIAN_BETAS,
                "eps": NETWORK_EPS if name in networks else GAUSSIAN_EPS,
            }
            for name, parameter in parameters.items()
        ]
        self._adam = torch.optim.Adam(groups, fused=True)

    def step(self, factors: Mapping[str, float]) -> None:
        """One update with rates multiplied by `factors`; parameters without gradient stay."""
        for group in self._adam.param_groups:
            group["lr"] = self._rates[group["name"]] * factors[group["name"]]
        self._adam.step()
        self._adam.zero_grad(set_to_none=True)

    def replace_rows(
        self, name: str, new: nn.Parameter, source: Int[Tensor, " M"], fresh: Tensor
    ) -> None:
        """Put `new` in the place of a parameter; its moments come from old rows.

        Args:
            name: the parameter's name.
            new: [M, ...] new values.
            source: row of the old parameter that each new row comes from.
            fresh: [M] bool, rows whose moments start at zero.
        """
        group = next(g for g in self._adam.param_groups if g["name"] == name)
        state = self._adam.state.pop(group["params"][0], None)
        group["params"] = [new]
        if state is not None:
            self._adam.state[new] = carry(state, Rows(source=source, fresh=fresh))

    def tensors(self) -> dict[str, Tensor]:
        """Moments and step counts, by "name/moment"."""
        result = {}
        for group in self._adam.param_groups:
            state = self._adam.state.get(group["params"][0], {})
            for key, value in state.items():
                result[f"{group['name']}/{key}"] = torch.as_tensor(value)
        return result

    def load(self, tensors: Mapping[str, Tensor]) -> None:
        """Inverse of `tensors`."""
        for group in self._adam.param_groups:
            prefix = f"{group['name']}/"
            state = {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}
            if state:
                parameter = group["params"][0]
                self._adam.state[parameter] = {
                    key: value.clone().to(parameter.device) for key, value in state.items()
                }
