"""Stage `train_sync_experts`: synthetic speakers in, the two general sync experts out."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import torch

from emotalk_core.actor.speech_corpus import SpokenClip, spoken_clip
from emotalk_core.media.progress import track
from emotalk_core.speech.sync.experts import LOSS_ID, METRIC_ID, save_expert
from emotalk_core.speech.sync.lip_shapes import LipFrame
from emotalk_core.speech.sync.network import ExpertSpec
from emotalk_core.speech.sync.sounds import EMBEDDING, LOGMEL, hear
from emotalk_core.speech.sync.training import SyncClip, SyncTraining, train_expert

LOG = logging.getLogger(__name__)

IDS = {LOGMEL: LOSS_ID, EMBEDDING: METRIC_ID}


@dataclass(frozen=True)
class GeneralTraining:
    """How the packaged experts were made; the defaults are theirs.

    Attributes:
        n_clips: synthetic persons, one clip each.
        seconds: length of a clip.
        steps: of the optimiser.
        batch: seconds of speech per step.
    """

    n_clips: int = 180
    seconds: float = 10.0
    steps: int = 1500
    batch: int = 16


def train_sync_experts(
    *, experts: Mapping[str, Path], settings: GeneralTraining, seed: int, threads: int
) -> None:
    """Train general experts on synthetic persons.

    Args:
        experts: "logmel" and/or "embedding" -> where the expert goes.
        settings: numbers.
        seed: of start values and drawing; person k has the seed k.
        threads: of the matrix kernels.
    """
    torch.set_num_threads(threads)
    numbers = range(settings.n_clips)
    speakers = (spoken_clip(k, settings.seconds) for k in numbers)
    clips = list(track(speakers, "synthetic speakers", settings.n_clips, LOG))
    training = SyncTraining(settings.steps, settings.batch)
    for sound, path in experts.items():
        heard = [sync_clip(clip, sound) for clip in clips]
        expert = train_expert(heard, ExpertSpec(sound), training, seed)
        save_expert(path, expert, {"id": IDS[sound], "seed": seed, "training": asdict(settings)})


def sync_clip(clip: SpokenClip, sound: str) -> SyncClip:
    """Lip shapes and sound columns of a spoken clip."""
    lips = LipFrame.fit(clip.landmarks).shapes(clip.landmarks)
    return SyncClip(lips, hear(clip.samples, len(lips), sound))
