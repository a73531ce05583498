"""Stage `ingest`: any video of a talking person in; manifest.json, video.mkv and audio.wav out."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from jaxtyping import Float32, UInt8

import emotalk_core
from emotalk_core.errors import InputError
from emotalk_core.media.atomic import sha256_file, together
from emotalk_core.media.audio import write_wav
from emotalk_core.media.progress import Progress
from emotalk_core.media.source import SourceVideo
from emotalk_core.media.tables import describe, write_manifest
from emotalk_core.media.video import VideoWriter, expect_frames
from emotalk_core.perception.ingest.framing import (
    Crop,
    crop_and_resize,
    head_crop,
    outside_share,
)
from emotalk_core.perception.ingest.lips import sync_points
from emotalk_core.perception.ingest.settings import IngestSettings
from emotalk_core.perception.ingest.sound import check_sound, shift_and_fit
from emotalk_core.perception.ingest.survey import Survey, survey_take
from emotalk_core.perception.ingest.sync import applied_seconds, check_lips_move, measured_offset
from emotalk_core.perception.ingest.timing import nearest_frames, sample_count
from emotalk_core.perception.landmarks.packaged import FaceMeshLandmarks
from emotalk_core.types.manifest import FPS, SAMPLE_RATE, Manifest, train_frames
from emotalk_core.types.names import check_subject_name

LOG = logging.getLogger(__name__)

# What is warned of: a crop of fewer source pixels than this share of the frames' side makes a soft
# avatar; where more than that share of it lies outside the picture, its border is smeared.
FEWEST_PIXELS, MUCH_OUTSIDE = 0.75, 0.05


def ingest_video(
    *,
    source: Path,
    subject: str,
    manifest: Path,
    video: Path,
    audio: Path,
    settings: IngestSettings,
    seed: int,
    threads: int,
) -> None:
    """Crop the head, resample to 25 fps and 16 kHz, bring sound and lips together.

    Args:
        source: any container, size, rotation, frame rate, sound.
        subject: name of the results folder.
        manifest: where manifest.json goes.
        video: where the lossless crop goes, [T,S,S,3] RGB.
        audio: where the 16 kHz mono sound goes, exactly T/25 s.
        settings: config block `ingest`.
        seed: unused, ingest draws nothing; every stage has it.
        threads: decoder threads; changes no pixel.

    Raises:
        InputError: the video cannot be used; one cause and one next step.
    """
    check_subject_name(subject)
    whole = SourceVideo(source, threads)
    whole.require_sound()
    origin, found = survey_take(whole, settings)
    sound = origin.sound()
    check_sound(source, sound, settings.min_loudness)
    n_frames = _frame_count(source, found, sound, settings)
    crop = head_crop(found.faces, found.picture, settings.face_share)
    _warn_of_framing(source, found, crop, settings.size)
    with together(manifest, video, audio):
        with VideoWriter(video) as writer:
            points = _write_crops(origin, found, crop, n_frames, settings.size, writer)
            check_lips_move(source, points, settings.min_lip_motion)
            offset = measured_offset(points, sound)
            applied = applied_seconds(source, offset, n_frames, settings)
            write_wav(audio, shift_and_fit(sound, applied, sample_count(n_frames)))
        facts = Manifest(
            subject=subject,
            source_name=source.name,
            source_sha256=sha256_file(source),
            width=settings.size,
            height=settings.size,
            n_frames=n_frames,
            n_samples=sample_count(n_frames),
            crop=crop,
            av_offset_frames=round(offset.seconds * FPS, 4),
            av_offset_confidence=round(offset.confidence, 4),
            n_train=train_frames(n_frames),
            provenance=_provenance(origin, found, applied),
        )
        write_manifest(manifest, facts)
        expect_frames(video, n_frames, "ingest")
    LOG.info("%s", describe({"frames": n_frames, "crop": crop, "offset": offset.seconds}))


def _frame_count(source: Path, found: Survey, sound: np.ndarray, settings: IngestSettings) -> int:
    """Frames at 25 fps for which there are both picture and sound."""
    in_sound = len(sound) * FPS // SAMPLE_RATE
    n_frames = min(round(found.duration * FPS), in_sound)
    if n_frames < settings.min_seconds * FPS:
        raise InputError(
            f"{source}: the sound ends after {len(sound) / SAMPLE_RATE:.2f} s: wanted at least "
            f"{settings.min_seconds:g} s of picture and sound; give a longer clip"
        )
    return n_frames


def _warn_of_framing(source: Path, found: Survey, crop: Crop, size: int) -> None:
    """Say what of the picture makes a poor avatar, although it works."""
    picture, side = found.picture, crop[1] - crop[0]
    if picture != (0, found.height, 0, found.width):
        LOG.info("%s: black bars are left out; the picture is rows and columns %s", source, picture)
    if side < FEWEST_PIXELS * size:
        LOG.warning(
            "%s: the head's square has %d px in the source and is enlarged to %d: the avatar will "
            "be soft; film nearer, or set ingest.size to %d",
            *(source, side, size, max(side // 2 * 2, 64)),
        )
    if (outside := outside_share(crop, picture)) > MUCH_OUTSIDE:
        LOG.warning(
            "%s: %.0f %% of the head's square lie outside the picture and repeat its border: the "
            "head or shoulders are cut off; film with more room around the head",
            *(source, 100 * outside),
        )


def _write_crops(
    origin: SourceVideo,
    found: Survey,
    crop: Crop,
    n_frames: int,
    size: int,
    writer: VideoWriter,
) -> Float32[np.ndarray, "T 54 2"]:
    """Second walk: write the 25 fps crops and measure the lips; one frame in memory."""
    progress = Progress("ingest", n_frames, LOG)
    points: list[Float32[np.ndarray, "54 2"]] = []
    with FaceMeshLandmarks() as detector:
        for image in _resampled(origin, found, crop, n_frames, size):
            writer.write(image)
            points.append(sync_points(detector.detect(image)))
            progress.step()
    return np.stack(points)


def _resampled(
    origin: SourceVideo, found: Survey, crop: Crop, n_frames: int, size: int
) -> Iterator[UInt8[np.ndarray, "S S 3"]]:
    """Crops at exactly 25 fps: each source frame as often as it is the nearest one."""
    y0, y1, x0, x1 = found.picture
    inner = crop[0] - y0, crop[1] - y0, crop[2] - x0, crop[3] - x0
    chosen = nearest_frames(found.seconds, n_frames)
    repeats = np.bincount(chosen, minlength=len(found.seconds))
    for frame in origin.frames():
        if frame.index < len(repeats) and repeats[frame.index]:
            image = crop_and_resize(frame.rgb()[y0:y1, x0:x1], inner, size)
            for _ in range(repeats[frame.index]):
                yield image


def _provenance(origin: SourceVideo, found: Survey, applied: float) -> dict[str, object]:
    """What was done to the source, for people who read the manifest."""
    return {
        "tool": f"emotalk {emotalk_core.__version__}",
        "source_comment": origin.comment,
        "source_frames": len(found.seconds),
        "source_seconds": round(found.duration, 4),
        "source_part_seconds": origin.part and [round(t, 4) for t in origin.part],
        "source_longest_gap_seconds": round(found.longest_gap, 4),
        "source_size": [found.height, found.width],
        "source_picture": list(found.picture),
        "face_sampled": found.sampled,
        "face_found": len(found.faces),
        "av_shift_applied_seconds": round(applied, 4),
    }
