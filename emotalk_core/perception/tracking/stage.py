"""Stage: manifest and video in; track.npz and cameras.json out."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
from threadpoolctl import threadpool_limits

from emotalk_core.media.tables import describe, read_manifest, write_arrays, write_cameras
from emotalk_core.media.video import VideoReader, expect_frames, read_video
from emotalk_core.perception.glasses.reader import clip_glasses, without_glasses_clip
from emotalk_core.perception.landmarks import create_detector
from emotalk_core.perception.tracking.axes import DETECTORS, LOOKS, Looks, part_maps
from emotalk_core.perception.tracking.clip import ClipLandmarks, detect_clip, refuse_bad_clip
from emotalk_core.perception.tracking.settings import TrackingSettings
from emotalk_core.perception.tracking.shape import spread_frames
from emotalk_core.perception.tracking.skin import Frames, watch_skin
from emotalk_core.perception.tracking.solve import HeadTrack, solve_head
from emotalk_core.types.manifest import Manifest
from emotalk_core.weights import find_weights, weight_files

logger = logging.getLogger(__name__)

PACKAGED = "facemesh"  # the detector that every install has


def track_head(
    *,
    manifest: Path,
    video: Path,
    track: Path,
    cameras: Path,
    settings: TrackingSettings,
    seed: int = 0,
    threads: int = 1,
) -> None:
    """Track the head of an ingested clip (contents of the files: docs/artifacts.md).

    Args:
        manifest: of the ingest stage.
        video: of the ingest stage.
        track: written.
        cameras: written.
        settings: config block `tracking`.
        seed: taken for the stages' common form; nothing here is random.
        threads: numeric threads.

    Raises:
        WeightsError: the detector's weight file is missing and the policy is "error".
        InputError: no face, or too many frames without a usable face (names them).
        ArtifactError: video and manifest disagree.
    """
    del seed
    facts = read_manifest(manifest)
    expect_frames(video, facts.n_frames, "ingest")
    settings = dataclasses.replace(settings, detector=usable(settings.detector))
    with threadpool_limits(threads), create_detector(settings.detector) as detector:
        clip = detect_clip(VideoReader(video), facts.n_frames, detector)
        refuse_bad_clip(clip, settings.max_invalid_share)
        faces: Callable[[], Frames] = partial(VideoReader, video)
        glasses = clip_glasses(video, clip.points, clip.valid)
        if glasses.worn:
            # Rims draw the points of brows, lids and nose to them, and keep the skin's motion still
            faces = partial(without_glasses_clip, video, clip.points, glasses)
            clip = behind_glasses(faces, clip, settings.detector)
            refuse_bad_clip(clip, settings.max_invalid_share)
        looks = look_at(video, clip) if settings.detector in DETECTORS else None
        head = solve_head(
            clip,
            facts.width,
            facts.height,
            settings,
            principal_point(facts),
            looks=looks,
            watch=partial(watch_skin, faces),
        )
    logger.info("tracking: %s", describe(_summary(head)))
    write_cameras(cameras, head.cameras)
    write_arrays(
        track,
        landmarks=head.landmarks.astype(np.float32),
        landmarks_world=head.landmarks_world.astype(np.float32),
        neutral=head.neutral.astype(np.float32),
        expression=head.expression.astype(np.float32),
        expression_names=np.array(head.expression_names),
        lip_opening=head.lip_opening.astype(np.float32),
        eye_opening=head.eye_opening.astype(np.float32),
        reprojection_error=head.reprojection_error.astype(np.float32),
        valid=head.valid,
        reason=np.array(head.reasons),
    )


def behind_glasses(
    faces: Callable[[], Frames], clip: ClipLandmarks, detector: str
) -> ClipLandmarks:
    """Landmarks of the faces as they are without glasses.

    Args:
        faces: opens the clip's frames without them.
        clip: landmarks with them.
        detector: name of the landmark detector.
    """
    with create_detector(detector) as opened:  # a new one: the other still follows the last frame
        return detect_clip(faces(), len(clip.valid), opened)


def look_at(video: Path, clip: ClipLandmarks) -> Looks:
    """What the packaged network makes of some frames of the clip."""
    frames = spread_frames(clip.valid, LOOKS)
    pictures = read_video(video, frames.tolist())
    return Looks(frames, part_maps(pictures, clip.points[frames, :, :2]))


def usable(detector: str) -> str:
    """The detector, or the packaged one where its weight file is missing.

    Raises:
        WeightsError: it is missing and the policy (config `weights.on_missing`) is "error".
    """
    needs_file = detector in weight_files()
    return PACKAGED if needs_file and find_weights(detector) is None else detector


def principal_point(facts: Manifest) -> tuple[float, float]:
    """Where the source's optical axis meets the cropped frame, px: the middle of its picture.

    A head that was cut out of the side of a picture was seen from the side; taking the crop's own
    middle would turn it by the angle.
    """
    picture = facts.provenance.get("source_picture")
    if picture is None:
        return facts.width / 2, facts.height / 2
    y0, y1, x0, x1 = facts.crop
    y, x = (picture[0] + picture[1]) / 2 - y0, (picture[2] + picture[3]) / 2 - x0
    return x * facts.width / (x1 - x0), y * facts.height / (y1 - y0)


def _summary(head: HeadTrack) -> dict[str, float | int]:
    """Numbers for the log: what a person checks first."""
    turns = np.degrees(np.arccos(np.clip(head.cameras.viewmats[:, 2, 2], -1, 1)))
    return {
        "frames": len(head.valid),
        "invalid": int((~head.valid).sum()),
        "focal_px": float(head.cameras.Ks[0, 0, 0]),
        "distance_m": float(head.cameras.viewmats[:, 2, 3].mean()),
        "largest_turn_deg": float(turns.max()),
        "reprojection_px": float(head.reprojection_error.mean()),
    }
