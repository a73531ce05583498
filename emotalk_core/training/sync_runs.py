"""Sounds and a judge of sync in; which runs of consecutive frames the sync loss sees out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Bool, Float, Float32
from torch import Tensor

from emotalk_core.avatar.conditions import make_condition
from emotalk_core.errors import ArtifactError, explain
from emotalk_core.media.audio import read_audio
from emotalk_core.speech.features.registry import features_by_id, frames_in
from emotalk_core.speech.sync.lip_shapes import LIP_POINTS
from emotalk_core.speech.sync.network import WINDOW
from emotalk_core.training.inputs import Clip
from emotalk_core.training.sync_judges import Heard, Judge

OWN_SHARE = (
    0.5  # of the runs are driven by the subject's own sound, the others by synthesized speech
)


@dataclass(frozen=True)
class SyncSound:
    """One sound that can drive a run.

    Attributes:
        features: of the avatar's extractor, one window a frame.
        heard: what the judge keeps of it.
    """

    features: Float32[np.ndarray, "S W D"]
    heard: Heard


@dataclass(frozen=True)
class SyncPick:
    """A run: frames of a sound and as many consecutive training frames of the subject.

    Attributes:
        sound: what is heard.
        audio: first frame of the sound.
        source: first frame of the subject, whose action units (and emotion) are taken.
    """

    sound: SyncSound
    audio: int
    source: int


class SyncSource:
    """Draws runs and compares lips with sound; a pure function of (seed, step)."""

    def __init__(
        self,
        judge: Judge,
        own: SyncSound,
        others: Sequence[SyncSound],
        usable: Bool[np.ndarray, " T"],
        length: int,
    ) -> None:
        """Set up.

        Args:
            judge: who compares.
            own: the subject's own sound, training part.
            others: synthesized speech, may be none.
            usable: training frames whose tracking can be trusted.
            length: frames of a run.
        """
        self.judge, self._own, self._others = judge, own, tuple(others)
        self.length = length
        whole = np.convolve(usable, np.ones(length), "valid") == length
        self._starts = np.flatnonzero(whole)
        if len(self._starts) == 0 or length < WINDOW:
            raise ArtifactError(
                explain(
                    "training.sync_frames",
                    length,
                    f"wanted at least {WINDOW}, and as many tracked frames in a row",
                    "lower it, or set lambda_sync to 0",
                )
            )

    def pick(self, seed: int, step: int) -> SyncPick:
        """The run of one step."""
        rng = np.random.default_rng([seed, 51, step])
        source = int(rng.choice(self._starts))
        long = [s for s in self._others if len(s.features) >= self.length]
        if not long or rng.random() < OWN_SHARE:
            return SyncPick(self._own, source, source)
        sound = long[int(rng.integers(len(long)))]
        return SyncPick(sound, int(rng.integers(len(sound.features) - self.length + 1)), source)


def read_sync_source(
    judge: Judge, own_audio: Path, sounds: Sequence[Path], clip: Clip, length: int
) -> SyncSource:
    """Everything that the sync loss needs of a subject.

    Args:
        judge: who compares.
        own_audio: its audio.wav.
        sounds: wavs of synthesized speech.
        clip: the subject's small artifacts.
        length: frames of a run.
    """
    n_train = clip.manifest.n_train
    samples = read_audio(own_audio)
    heard = judge.hear(samples, clip.manifest.n_frames)
    own = SyncSound(clip.conditions.features[:n_train], heard)
    others = [_other(judge, Path(wav), clip.extractor) for wav in sounds]
    return SyncSource(judge, own, others, clip.valid[:n_train], length)


def _other(judge: Judge, wav: Path, extractor: str) -> SyncSound:
    samples = read_audio(wav)
    n_frames = frames_in(samples)
    return SyncSound(features_by_id(samples, n_frames, extractor), judge.hear(samples, n_frames))


def run_conditions(
    pick: SyncPick, clip: Clip, length: int, device: torch.device
) -> tuple[Float[Tensor, "R 8 W D"], Float[Tensor, "R U"]]:
    """Sound windows and action units of the frames of a run."""
    conditions = [
        make_condition(
            pick.sound.features,
            pick.audio + k,
            clip.conditions.action_units[pick.source + k],
            None,
            device,
        )
        for k in range(length)
    ]
    audio = torch.stack([c.audio for c in conditions])
    return audio, torch.stack([c.action_units for c in conditions])


def lip_points(clip: Clip) -> Float32[np.ndarray, "40 3"]:
    """Neutral positions of the points whose motion the expert reads, metres."""
    return clip.neutral[list(LIP_POINTS)]
