"""Seeded random weights and the public files' names and shapes, for networks without weights."""

from __future__ import annotations

import torch
from torch import nn


def seed(network: nn.Module, number: int = 0) -> nn.Module:
    """Fill parameters and buffers so that activations neither die nor explode; evaluation mode."""
    draw = torch.Generator().manual_seed(number)
    for name, tensor in network.state_dict().items():
        if not tensor.is_floating_point():
            continue
        if name.endswith("running_var"):
            tensor.copy_(torch.rand(tensor.shape, generator=draw) + 0.5)
        elif tensor.ndim > 1 and tensor.shape[-1] > 0 and tensor[0].numel() > 1:
            fan_in = tensor[0].numel()
            tensor.copy_(torch.randn(tensor.shape, generator=draw) * fan_in**-0.5)
        elif name.endswith("weight"):
            tensor.copy_(torch.rand(tensor.shape, generator=draw) * 0.4 + 0.8)
        else:
            tensor.copy_(torch.randn(tensor.shape, generator=draw) * 0.1)
    return network.eval()


def noise(*shape: int, number: int = 1) -> torch.Tensor:
    """Uniform noise in 0..1."""
    return torch.rand(*shape, generator=torch.Generator().manual_seed(number))
