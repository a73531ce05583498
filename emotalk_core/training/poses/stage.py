"""Stage: tracked cameras and a clip's frames in; photometrically refined cameras.json out."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from threadpoolctl import threadpool_limits

from emotalk_core.media.tables import (
    check_length,
    read_arrays,
    read_cameras,
    read_manifest,
    write_cameras,
)
from emotalk_core.media.video import expect_frames
from emotalk_core.perception.landmarks.topology import OUTER_EYE_CORNERS
from emotalk_core.training.poses.frames import read_small_clip
from emotalk_core.training.poses.refine import refine_poses
from emotalk_core.training.poses.settings import PoseSettings


def refine_cameras(
    *,
    manifest: Path,
    video: Path,
    track: Path,
    tracked_cameras: Path,
    alpha: Path,
    torso: Path,
    cameras: Path,
    settings: PoseSettings,
    seed: int,
    threads: int,
) -> None:
    """Move every pose so that its frame shows the same head (files: docs/artifacts.md).

    Training and test frames are treated alike, and all methods and baselines use the result: it is
    a better tracker, not a part of a method.

    Args:
        manifest: of the clip.
        video: true frames.
        track: landmarks, neutral face, valid frames.
        tracked_cameras: of the tracking stage.
        alpha: soft head mask.
        torso: what lies behind the head.
        cameras: written.
        settings: config block `poses`.
        seed: of the rigid head.
        threads: numeric threads.

    Raises:
        ArtifactError: frame counts disagree.
    """
    facts = read_manifest(manifest)
    path = read_cameras(tracked_cameras)
    check_length("tracked_cameras.json", len(path), facts.n_frames, "track_head")
    if settings.rounds == 0:
        write_cameras(cameras, path)
        return
    for source, rule in (
        (video, "ingest"),
        (alpha, "segment_regions"),
        (torso, "separate_torso"),
    ):
        expect_frames(source, facts.n_frames, rule)
    arrays = read_arrays(track, ("landmarks", "neutral", "valid"))
    neutral = arrays["neutral"].astype(np.float64)
    right, left = OUTER_EYE_CORNERS
    torch.set_num_threads(threads)
    with threadpool_limits(threads):
        clip = read_small_clip(
            video, torso, alpha, arrays["landmarks"], facts.height, settings.side
        )
        refined = refine_poses(
            path,
            clip,
            neutral,
            float(np.linalg.norm(neutral[right] - neutral[left])),
            arrays["valid"].astype(bool),
            facts.n_train,
            settings,
            seed,
            threads,
        )
    write_cameras(cameras, refined)
