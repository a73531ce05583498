"""The settings of normal estimation: what the config block `normals` holds."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class NormalSettings:
    """Settings of `estimate_normals`.

    Attributes:
        smooth_rounds: how often a vertex normal is averaged with its neighbours: the landmark mesh
            is coarse and its depth a model's.
    """

    smooth_rounds: int = 1
