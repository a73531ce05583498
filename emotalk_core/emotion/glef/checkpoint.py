"""A trained g_LEF on disk: the trained parts and where the frozen ones come from."""

from __future__ import annotations

import copy
import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from emotalk_core.emotion.glef.model import LipAlignedGenerator
from emotalk_core.emotion.glef.networks import GlefNetworks, load_networks
from emotalk_core.emotion.glef.settings import GlefSettings
from emotalk_core.errors import ArtifactError
from emotalk_core.media.checkpoints import load_checkpoint, save_checkpoint

KIND = "glef"


@dataclass(frozen=True)
class GlefHeader:
    """Facts that a reader needs.

    Attributes:
        networks: source of the frozen parts. lip_branch: False for the ablation.
        subject: whose frames it was trained on.
        settings, seed, code_version: how.
    """

    networks: str
    lip_branch: bool
    subject: str
    settings: dict[str, Any]
    seed: int
    code_version: str


def save_glef(path: Path, model: LipAlignedGenerator, header: GlefHeader) -> None:
    """Write StyleGAN2, E and M_lip; EmoExtract and e4e are frozen and stay in their own files."""
    tensors = {
        name: value
        for name, value in model.state_dict().items()
        if name.split(".")[0] in model.TRAINED
    }
    save_checkpoint(path, tensors, KIND, dataclasses.asdict(header))


def load_glef(
    path: Path, device: str = "cpu"
) -> tuple[LipAlignedGenerator, GlefNetworks, GlefSettings]:
    """The trained model (frozen, evaluation mode), the networks before training, and the settings.

    Raises:
        ArtifactError: names or shapes do not fit.
        WeightsError: a published file that it was trained with is missing.
    """
    tensors, facts = load_checkpoint(path, KIND)
    header = GlefHeader(**facts)
    networks = load_networks(header.networks).to(device)
    model = LipAlignedGenerator(
        copy.deepcopy(networks.generator), networks.emotion, networks.shape, header.lip_branch
    )
    frozen = {f"emotion.{name}": value for name, value in networks.emotion.state_dict().items()}
    try:
        model.load_state_dict(tensors | frozen, strict=True)
    except RuntimeError as error:
        reason = str(error).splitlines()[-1].strip()
        raise ArtifactError(f"{path}: does not fit g_LEF ({reason}); train it again") from error
    settings = GlefSettings(**header.settings)
    return model.eval().requires_grad_(False).to(device), networks, settings
