"""Stage `adapt_pixel_sync_expert`: frames, track and sound in, the subject's pixel expert out."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float32, UInt8

from emotalk_core.media.audio import read_audio
from emotalk_core.media.progress import track as progress
from emotalk_core.media.tables import check_length, read_arrays, read_cameras, read_manifest
from emotalk_core.media.video import VideoReader, expect_frames
from emotalk_core.speech.sync.experts import SubjectExpert, load_subject_expert
from emotalk_core.speech.sync.lip_pictures import look_at_frame, mouth_square, pixel_positions
from emotalk_core.speech.sync.lip_shapes import as_shapes
from emotalk_core.speech.sync.network import REACH
from emotalk_core.speech.sync.picture_network import (
    PICTURE_ID,
    PictureExpert,
    SubjectPictures,
    save_picture_expert,
)
from emotalk_core.speech.sync.picture_training import PictureClip, train_picture_expert
from emotalk_core.speech.sync.reading import sound_codes
from emotalk_core.speech.sync.sounds import LOGMEL, hear
from emotalk_core.speech.sync.training import SyncTraining
from emotalk_core.training.sync_expert import (
    TAUGHT_SHARE,
    SyncSettings,
    lip_motion,
    true_distance,
)
from emotalk_core.training.targets import fill_mouth, mouth_colour

LOG = logging.getLogger(__name__)


def adapt_pixel_sync_expert(
    *,
    manifest: Path,
    video: Path,
    regions: Path,
    track: Path,
    cameras: Path,
    audio: Path,
    sync_expert: Path,
    expert: Path,
    settings: SyncSettings,
    seed: int,
    threads: int,
) -> None:
    """Teach a pixel expert the training part of a subject.

    Args:
        manifest: of the subject (docs/artifacts.md), as the next five.
        video: frames.
        regions: labels, for the inside of the mouth.
        track: landmarks.
        cameras: of all frames.
        audio: sound.
        sync_expert: the subject's landmark expert, which teaches.
        expert: where the pixel expert goes.
        settings: config block `pixel_sync_expert`.
        seed: of start values, choice and variation.
        threads: of the matrix kernels.

    Raises:
        ArtifactError: the artifacts disagree about the number of frames.
        NumericalError: the training part is too short, or the loss is not finite.
    """
    torch.set_num_threads(threads)
    facts = read_manifest(manifest)
    teacher = load_subject_expert(sync_expert)
    motion, _ = lip_motion(track, cameras)
    check_length("track.npz", len(motion), facts.n_frames, "track_head")
    for path, rule in ((video, "ingest"), (regions, "segment_regions")):
        expect_frames(path, facts.n_frames, rule)
    pictures, filled = mouth_pictures(video, regions, track, cameras)
    clip = PictureClip(
        pictures,
        filled,
        as_shapes(motion - teacher.mean_motion.numpy()),
        hear(read_audio(audio), facts.n_frames, LOGMEL),
    )
    subject = adapt_pictures(clip, teacher, facts.n_train, settings, seed)
    header = {"id": PICTURE_ID, "subject": facts.subject, "source_sha256": facts.source_sha256}
    save_picture_expert(expert, subject, {**header, "seed": seed, "n_train": facts.n_train})


def mouth_pictures(
    video: Path, regions: Path, track: Path, cameras: Path
) -> tuple[UInt8[np.ndarray, "T 3 S S"], UInt8[np.ndarray, "T 3 S S"]]:
    """Mouths of all frames as filmed, and with their inside in its mean colour."""
    path = read_cameras(cameras)
    square = mouth_square(read_arrays(track, ("neutral",))["neutral"].astype(np.float32))
    places = pixel_positions(square, path, range(len(path)))
    with VideoReader(video) as frames, VideoReader(regions) as labels:
        inside = mouth_colour(pairs(frames, labels, len(path)))
        plain, filled = [], []
        for place, (frame, label) in zip(
            places, progress(pairs(frames, labels, len(path)), "mouths", len(path), LOG)
        ):
            plain.append(look_at_frame(frame, place))
            filled.append(look_at_frame(fill_mouth(frame, label, inside), place))
    return np.stack(plain), np.stack(filled)


def pairs(
    frames: VideoReader, labels: VideoReader, count: int
) -> Iterable[tuple[np.ndarray, np.ndarray]]:
    """(frame, labels) of every frame."""
    return ((frames[index], labels[index]) for index in range(count))


def adapt_pictures(
    clip: PictureClip, teacher: SubjectExpert, n_train: int, settings: SyncSettings, seed: int
) -> SubjectPictures:
    """A pixel expert of a person's first frames; the rest of them tells the true distance."""
    n_taught = round(TAUGHT_SHARE * n_train)
    numbers = SyncTraining(settings.steps, settings.batch, settings.learning_rate)
    expert = train_picture_expert(clip.cut(0, n_taught), teacher.expert, numbers, seed)
    codes = picture_codes(expert, clip.filled), sound_codes(expert, clip.sound)
    return SubjectPictures(expert, true_distance("pixel sync expert", *codes, n_taught, n_train))


def picture_codes(
    expert: PictureExpert, pictures: UInt8[np.ndarray, "T 3 S S"]
) -> Float32[np.ndarray, "T C"]:
    """Unit vectors of every frame; ends repeat."""
    padded = np.pad(pictures, ((REACH, REACH), (0, 0), (0, 0), (0, 0)), "edge")
    with torch.no_grad():
        return expert.see(torch.from_numpy(padded)[None].float() / 255.0)[0].numpy()
