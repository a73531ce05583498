"""Avatar checkpoints: from module states to .safetensors parts and back to a model that draws."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from emotalk_core.avatar.methods import Method, get_method
from emotalk_core.avatar.model import Avatar, Compute, FaceModel, MouthModel, as_gaussians
from emotalk_core.errors import ArtifactError
from emotalk_core.media.checkpoints import load_checkpoint, save_checkpoint

KIND = "avatar"
GAUSSIANS = "gaussians."


def save_parts(path: Path, parts: Mapping[str, torch.nn.Module], header: Mapping[str, Any]) -> None:
    """Write modules under their names ("mouth", "face").

    Args:
        path: where to.
        parts: name -> module.
        header: must hold `method`, `stage`, `feature_dim`, `extractor`.
    """
    tensors = {
        f"{name}.{key}": value
        for name, module in parts.items()
        for key, value in module.state_dict().items()
    }
    save_checkpoint(path, tensors, KIND, header)


def load_parts(paths: Sequence[Path]) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Union of several checkpoints; later files override earlier ones, the last header counts.

    Raises:
        ArtifactError: parts of different methods or speech features.
    """
    tensors: dict[str, Tensor] = {}
    header: dict[str, Any] = {}
    for path in paths:
        part, facts = load_checkpoint(path, KIND)
        for key in ("method", "feature_dim", "extractor"):
            if header and header[key] != facts[key]:
                raise ArtifactError(
                    f"{path}: {key}={facts[key]}: the other parts have {header[key]}; "
                    "delete the avatar's folder and train again"
                )
        tensors.update(part)
        header = facts
    return tensors, header


def _under(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}


def build_mouth(tensors: Mapping[str, Tensor], feature_dim: int, compute: Compute) -> MouthModel:
    """The mouth part of a checkpoint."""
    state = _required(tensors, "mouth.")
    model = MouthModel(
        as_gaussians(_under(state, GAUSSIANS)), feature_dim, (state["low"], state["high"]), compute
    )
    model.load_state_dict(state)
    return model


def build_face(
    tensors: Mapping[str, Tensor], feature_dim: int, method: Method, compute: Compute
) -> FaceModel:
    """The face part of a checkpoint; an emotion branch not yet trained keeps its start values."""
    state = _required(tensors, "face.")
    model = FaceModel(
        as_gaussians(_under(state, GAUSSIANS)),
        feature_dim,
        method.emotion,
        compute,
    )
    missing, unexpected = model.load_state_dict(state, strict=False)
    lost = [name for name in missing if not name.startswith("emotion.")]
    if lost or unexpected:
        raise ArtifactError(
            f"face part: tensors missing {lost}, unknown {list(unexpected)}; delete the "
            "avatar's folder and train again"
        )
    return model


def _required(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    state = _under(tensors, prefix)
    if not state:
        raise ArtifactError(
            f"checkpoint: no part {prefix.rstrip('.')!r}; give the checkpoint of a later stage or "
            "train that part"
        )
    return state


def load_avatar(
    path: Path, compute: Compute, device: torch.device | str
) -> tuple[Avatar, dict[str, Any]]:
    """A trained avatar, ready to draw, and its header."""
    tensors, header = load_parts([path])
    method = get_method(header["method"])
    mouth = build_mouth(tensors, header["feature_dim"], compute)
    face = build_face(tensors, header["feature_dim"], method, compute)
    avatar = Avatar(mouth, face).to(device).eval().requires_grad_(False)
    return avatar.settle(), header
