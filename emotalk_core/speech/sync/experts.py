"""Names and files of sync experts in, experts that are ready to read out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch

from emotalk_core.errors import ArtifactError, explain
from emotalk_core.media.checkpoints import load_checkpoint, save_checkpoint
from emotalk_core.speech.sync.network import ExpertSpec, SyncExpert
from emotalk_core.speech.sync.sounds import EMBEDDING, LOGMEL

KIND = "sync_expert"
# Trained on synthetic persons only, by rule train_sync_experts; model_card.md says how.
GENERAL = {LOGMEL: "general_logmel.safetensors", EMBEDDING: "general_embedding.safetensors"}
LOSS_ID = "sync-logmel-1"  # adapted to the subject, used in training
METRIC_ID = "sync-embedding-1"  # general, never adapted, never in training
STANDING_FOR = "SyncNet (Sync-C, Sync-E)"


@dataclass(frozen=True)
class SubjectExpert:
    """The loss expert of one subject.

    Attributes:
        expert: log-mel expert adapted to the subject's training part.
        mean_motion: [40,2] mean displacement of the lip points there, outer eye distances.
        true_distance: mean squared distance that the subject's own training frames have.
    """

    expert: SyncExpert
    mean_motion: torch.Tensor
    true_distance: float


def general_file(sound: str) -> Path:
    """Where a packaged expert lies ("logmel" or "embedding")."""
    return Path(__file__).with_name(GENERAL[sound])


@lru_cache(maxsize=2)
def general_expert(sound: str) -> SyncExpert:
    """The packaged expert that knows synthetic persons only."""
    return load_expert(general_file(sound))[0]


def save_expert(path: Path, expert: SyncExpert, facts: Mapping[str, Any]) -> None:
    """Write an expert in half precision (its weights need no more) with facts about it."""
    tensors = {k: v.half() if v.is_floating_point() else v for k, v in expert.state_dict().items()}
    save_checkpoint(path, tensors, KIND, {"spec": expert.spec.to_dict(), **facts})


def load_expert(path: Path) -> tuple[SyncExpert, dict[str, Any]]:
    """An expert, ready to read, and the facts beside it.

    Raises:
        ArtifactError: the file is no sync expert or has other tensors.
    """
    tensors, facts = load_checkpoint(path, KIND)
    expert = SyncExpert(ExpertSpec(**facts["spec"]))
    try:
        expert.load_state_dict(
            {k: v.float() if v.is_floating_point() else v for k, v in tensors.items()}
        )
    except RuntimeError as error:
        raise ArtifactError(
            explain(str(path), sorted(tensors)[:3], f"wanted the tensors of {KIND}", "train again")
        ) from error
    return expert.eval().requires_grad_(False), facts


def save_subject_expert(path: Path, subject: SubjectExpert, facts: Mapping[str, Any]) -> None:
    """Write the loss expert of one subject."""
    own = {"mean_motion": subject.mean_motion.tolist(), "true_distance": subject.true_distance}
    save_expert(path, subject.expert, {**facts, **own})


def load_subject_expert(path: Path) -> SubjectExpert:
    """Inverse of `save_subject_expert`."""
    expert, facts = load_expert(path)
    if "true_distance" not in facts:
        raise ArtifactError(
            explain(str(path), "a general expert", "wanted a subject's", "run adapt_sync_expert")
        )
    return SubjectExpert(expert, torch.tensor(facts["mean_motion"]), facts["true_distance"])
