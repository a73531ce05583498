"""Stage `adapt_sync_expert`: a subject's tracked lips and sound in, its loss expert out."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float32

from emotalk_core.media.audio import read_audio
from emotalk_core.media.tables import check_length, read_arrays, read_cameras, read_manifest
from emotalk_core.speech.sync.experts import (
    LOSS_ID,
    SubjectExpert,
    general_expert,
    save_subject_expert,
)
from emotalk_core.speech.sync.lip_shapes import LIP_POINTS, as_shapes
from emotalk_core.speech.sync.reading import (
    MAX_SHIFT,
    beyond_chance,
    distances_by_shift,
    lip_codes,
    sound_codes,
    summarise,
)
from emotalk_core.speech.sync.sounds import LOGMEL, hear
from emotalk_core.speech.sync.training import SHORTEST, SyncClip, SyncTraining, train_expert
from emotalk_core.training.inputs import landmark_motion
from emotalk_core.types.lip_points import OUTER_EYE_CORNERS

LOG = logging.getLogger(__name__)

TAUGHT_SHARE = 0.9  # of the training part
FEWEST_UNSEEN = 25  # frames that tell the distance of true lips; fewer say too little
USUAL_DISTANCE = 0.97  # of true lips that an adapted expert has not seen (two real persons)


@dataclass(frozen=True)
class SyncSettings:
    """Config blocks `sync_expert` and `pixel_sync_expert`.

    Attributes:
        steps: of the adaptation.
        batch: seconds of speech per step.
        learning_rate: highest rate.
    """

    steps: int = 300
    batch: int = 16
    learning_rate: float = 1e-3


def adapt_sync_expert(
    *,
    manifest: Path,
    track: Path,
    cameras: Path,
    audio: Path,
    expert: Path,
    settings: SyncSettings,
    seed: int,
    threads: int,
) -> None:
    """Adapt the general log-mel expert to the training part of a subject.

    Args:
        manifest: of the subject (docs/artifacts.md).
        track: its track.npz.
        cameras: its cameras.json.
        audio: its audio.wav.
        expert: where the loss expert goes.
        settings: config block `sync_expert`.
        seed: of the adaptation.
        threads: of the matrix kernels.

    Raises:
        ArtifactError: the artifacts disagree about the number of frames.
    """
    torch.set_num_threads(threads)
    facts = read_manifest(manifest)
    motion, valid = lip_motion(track, cameras)
    check_length("track.npz", len(motion), facts.n_frames, "track_head")
    sound = hear(read_audio(audio), facts.n_frames, LOGMEL)
    subject = adapt_expert(motion, valid, sound, facts.n_train, settings, seed)
    header = {"id": LOSS_ID, "subject": facts.subject, "source_sha256": facts.source_sha256}
    save_subject_expert(expert, subject, {**header, "seed": seed, "n_train": facts.n_train})


def lip_motion(track: Path, cameras: Path) -> tuple[Float32[np.ndarray, "T 40 2"], np.ndarray]:
    """In-plane motion of the lip points in the head's world, outer eye distances; valid [T]."""
    arrays = read_arrays(track, ("landmarks", "landmarks_world", "neutral", "valid"))
    lips = list(LIP_POINTS)
    moved = landmark_motion(
        arrays["landmarks"][:, lips],
        arrays["landmarks_world"][:, lips],
        arrays["neutral"][lips],
        read_cameras(cameras),
    )
    right, left = (arrays["neutral"][corner] for corner in OUTER_EYE_CORNERS)
    return moved / np.float32(np.linalg.norm(right - left)), arrays["valid"].astype(bool)


def adapt_expert(
    motion: Float32[np.ndarray, "T 40 2"],
    valid: np.ndarray,
    sound: Float32[np.ndarray, "S D"],
    n_train: int,
    settings: SyncSettings,
    seed: int,
) -> SubjectExpert:
    """The general expert taught the first frames of a person.

    Nine tenths of the training part teach; the rest of it tells which distance true lips have when
    the expert has not learned them by heart. A clip that is too short keeps the general expert.
    """
    mean = motion[:n_train][valid[:n_train]].mean(axis=0)
    clip = SyncClip(as_shapes(motion - mean), sound)
    n_taught = round(TAUGHT_SHARE * n_train)
    expert = general_expert(LOGMEL)
    if n_taught >= SHORTEST:
        numbers = SyncTraining(settings.steps, settings.batch, settings.learning_rate)
        expert = train_expert([clip.cut(0, n_taught)], expert, numbers, seed)
    else:
        LOG.warning("sync expert: %d training frames are too few to adapt it", n_train)
    codes = lip_codes(expert, clip.lips), sound_codes(expert, clip.sound)
    true = true_distance("sync expert", *codes, n_taught, n_train)
    return SubjectExpert(expert, torch.from_numpy(mean), true)


def true_distance(
    kind: str,
    seen: Float32[np.ndarray, "T C"],
    heard: Float32[np.ndarray, "A C"],
    n_taught: int,
    n_train: int,
) -> float:
    """Mean squared distance of true lips that an expert has not learned by heart; logs readings.

    Args:
        kind: of the expert, for the log.
        seen: its vectors of all frames.
        heard: of the sound.
        n_taught: first frames that it was taught.
        n_train: frames of the training part; the rest of these are measured.
    """
    for name, part in (("training", slice(0, n_taught)), ("held-out", slice(n_train, None))):
        reading = summarise(beyond_chance(seen[part], heard, np.arange(len(seen))[part]))
        numbers_read = (reading.own, reading.confidence, reading.shift)
        LOG.info(
            "%s, %s part: distance %.3f, confidence %.3f, shift %+d", kind, name, *numbers_read
        )
    unseen = distances_by_shift(seen, heard)[n_taught:n_train, MAX_SHIFT]
    enough = len(unseen) >= FEWEST_UNSEEN
    return float(np.square(unseen).mean()) if enough else USUAL_DISTANCE**2
