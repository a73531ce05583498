"""A results folder in; the trained avatar with all that drives it, ready to be drawn, out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from emotalk_core.avatar.checkpoint import load_avatar
from emotalk_core.avatar.live import live_avatar
from emotalk_core.avatar.methods import get_method
from emotalk_core.avatar.model import Avatar, Compute, Drawer
from emotalk_core.errors import ConfigError, explain
from emotalk_core.gaussians.backends import compute_device
from emotalk_core.media.atomic import sha256_file
from emotalk_core.media.tables import read_manifest
from emotalk_core.media.video import expect_frames
from emotalk_core.serving.plans import FramePlan
from emotalk_core.serving.stage import Drivers, check_header, plan_view, read_drivers
from emotalk_core.types.manifest import Manifest


@dataclass(frozen=True)
class Head:
    """A trained avatar of a subject.

    Attributes:
        method: whose avatar; has_emotion: whether it takes (valence, arousal).
        extractor: id of the speech features that it was trained on.
        checkpoint: file of its last stage.
        behind: video of what lies behind the head; own_sound: the subject's own.
    """

    method: str
    has_emotion: bool
    extractor: str
    manifest: Manifest
    avatar: Avatar
    drivers: Drivers
    device: torch.device
    checkpoint: Path
    behind: Path
    own_sound: Path

    def live(self, plans: Sequence[FramePlan]) -> Drawer:
        """The quickest drawer; what is unseen in all of the planned frames is left out."""
        views = [plan_view(self.drivers, plan, self.has_emotion, self.device) for plan in plans]
        return live_avatar(self.avatar, views)

    def provenance(self) -> dict[str, Any]:
        """Where a drawn frame comes from."""
        return {
            "made_by": "emotalk",
            "what": "synthetic talking head rendered from a trained avatar",
            "subject": self.manifest.subject,
            "source_sha256": self.manifest.source_sha256,
            "method": self.method,
            "avatar_sha256": sha256_file(self.checkpoint),
        }


def open_head(
    folder: Path, method: str, sounds: Sequence[Path], backend: str = "auto", device: str = "cpu"
) -> Head:
    """Read an avatar and what drives it.

    Args:
        folder: results folder of the subject (docs/artifacts.md).
        method: whose avatar.
        sounds: foreign sounds, any audio files.
        backend: of the kernels.
        device: auto, cpu or cuda.

    Raises:
        ArtifactError: artifacts are missing or do not belong together.
        BackendUnavailableError: CUDA is asked for and not there.
        ConfigError: the folder is no subject's, or there is no such method.
    """
    if not (folder / "manifest.json").exists():
        raise ConfigError(
            explain(
                "folder",
                folder,
                "wanted a subject's results (there is no manifest.json)",
                "give results/NAME, after snakemake --cores all results/NAME/metrics.csv",
            )
        )
    where = torch.device(compute_device(device))
    has_emotion = get_method(method).has_emotion
    checkpoint = folder / "avatars" / method / "avatar.safetensors"
    facts = read_manifest(folder / "manifest.json")
    avatar, header = load_avatar(checkpoint, Compute(backend), str(where))
    check_header(header, facts, method, checkpoint)
    expect_frames(folder / "torso.mkv", facts.n_frames, "separate_torso")
    drivers = read_drivers(
        facts,
        folder / "cameras.json",
        folder / "action_units.csv",
        folder / "valence_arousal.csv",
        folder / "speech.npz",
        sounds,
        header["extractor"],
    )
    return Head(
        method=method,
        has_emotion=has_emotion,
        extractor=header["extractor"],
        manifest=facts,
        avatar=avatar,
        drivers=drivers,
        device=where,
        checkpoint=checkpoint,
        behind=folder / "torso.mkv",
        own_sound=folder / "audio.wav",
    )
