"""Which parameters of a model a phase of stages.toml trains."""

from __future__ import annotations

from collections.abc import Sequence

from torch import nn


def parameter_groups(module: nn.Module) -> dict[str, list[str]]:
    """Names of a model's parameters by the groups of stages.toml."""
    groups: dict[str, list[str]] = {}
    for name, _ in module.named_parameters():
        for group in _groups_of(name):
            groups.setdefault(group, []).append(name)
    return groups


def _groups_of(name: str) -> Sequence[str]:
    if name.startswith("mouth."):  # of the whole avatar
        return ("mouth",)
    if name.startswith("teachers."):
        return ("teachers",)
    name = name.removeprefix("face.")
    if name.startswith("gaussians."):
        appearance = name.endswith((".opacities", ".sh_dc", ".sh_rest"))
        return ("gaussians", "appearance") if appearance else ("gaussians",)
    prefix = "emotion_" if name.startswith("emotion.") else ""
    return (prefix + ("grid" if name.endswith("grid.tables") else "networks"),)
