"""Gaussian sets as .safetensors files with a header, and back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

from emotalk_core.errors import ArtifactError
from emotalk_core.media.checkpoints import load_checkpoint, save_checkpoint
from emotalk_core.types.gaussians import GaussianSet

KIND = "gaussians"
OPTIONAL = {"normal_residuals"}


def save_gaussians(path: Path, gaussians: GaussianSet, header: Mapping[str, Any]) -> None:
    """Write raw parameters; whole or not at all."""
    save_checkpoint(path, gaussians.tensors(), KIND, header)


def load_gaussians(path: Path) -> tuple[GaussianSet, dict[str, Any]]:
    """Read (set, header).

    Raises:
        ArtifactError: another kind of file, or a tensor is missing or unknown.
    """
    tensors, header = load_checkpoint(path, KIND)
    known = {field.name for field in fields(GaussianSet)}
    missing, unknown = known - OPTIONAL - set(tensors), set(tensors) - known
    if missing or unknown:
        raise ArtifactError(
            f"{path}: missing {sorted(missing)}, unknown {sorted(unknown)}; write it again with "
            "save_gaussians"
        )
    return GaussianSet(**tensors), header
