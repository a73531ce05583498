"""Rendered people in; the reader that tells where the axes of a tracked head really lie out."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, Float32
from scipy.spatial.transform import Rotation

from emotalk_core.actor.identity import random_identity
from emotalk_core.actor.pose import view_matrix
from emotalk_core.actor.renderer import Actor
from emotalk_core.media.checkpoints import save_checkpoint
from emotalk_core.media.progress import track
from emotalk_core.perception.landmarks import LandmarkDetector, create_detector
from emotalk_core.perception.landmarks import topology as tp
from emotalk_core.perception.parsing.teacher import random_expression
from emotalk_core.perception.tracking.axes import KIND, AxesReader, part_maps, view_of
from emotalk_core.perception.tracking.bundle import solve_person
from emotalk_core.perception.tracking.clip import fill_gaps
from emotalk_core.perception.tracking.detector_model import DetectorModel, detector_model
from emotalk_core.perception.tracking.measure_detector import (
    CAMERA_DISTANCE,
    SIZE,
    random_pose,
)
from emotalk_core.perception.tracking.solve import metric_clip

logger = logging.getLogger(__name__)

DETECTOR = "facemesh"
FIRST_SEED, N_PEOPLE = 200_000, 353  # seeds that nothing else uses
FRAMES_EACH, LOOKED_AT, AT_REST, FEWEST = 14, 7, 2, 8
LARGEST_ERROR = 12.0  # px: a frame whose points lie farther off on average is no find
# Share of the causes' mean square. At 0.003 people left out are read 0.1 degrees better, but heads
# unlike theirs (high foreheads, much hair) turn farther
RIDGE = 0.3
HAIR = 4  # of `axes.CLASSES`: a parting says nothing about yaw
VIEW_SHARE = 0.2  # mean square of the view against the parts'


@dataclass(frozen=True)
class AxesLesson:
    """One person's frames.

    Attributes:
        parts: of `axes.part_maps`. rotations: as tracked; true_rotations: world to camera.
    """

    parts: Float32[np.ndarray, "L 32 32 6"]
    rotations: Float[np.ndarray, "L 3 3"]
    true_rotations: Float[np.ndarray, "L 3 3"]


def axes_lesson(seed: int, detector: LandmarkDetector, model: DetectorModel) -> AxesLesson | None:
    """Render one person and track them; None where too few faces are found."""
    rng = np.random.default_rng([seed, 78])
    actor = Actor(random_identity(seed), SIZE)
    names = actor.expression_names
    frames, points, truth = [], [], []
    for number in range(FRAMES_EACH):
        rest = np.zeros(len(names), np.float32)
        shown = rest if number < AT_REST else random_expression(names, rng)
        pose = random_pose(rng)
        drawn = actor.render(shown, pose)
        detector.detect(drawn.rgb)  # the second look is what a running detector sees
        found = detector.detect(drawn.rgb)
        if found is None:
            continue
        off = found[: tp.N_SURFACE, :2] - drawn.landmarks[: tp.N_SURFACE]
        if np.linalg.norm(off, axis=1).mean() > LARGEST_ERROR:
            continue
        frames.append(drawn.rgb)
        points.append(found.astype(np.float64))
        truth.append(view_matrix(pose)[:3, :3])
    if len(frames) < FEWEST:
        return None
    clip = fill_gaps(np.array(points))
    seen, start, _ = metric_clip(clip, model, CAMERA_DISTANCE, (SIZE / 2, SIZE / 2))
    _, rotations = solve_person(seen, clip.valid, start, model)
    used = slice(0, None, FRAMES_EACH // LOOKED_AT)
    parts = part_maps(np.array(frames[used]), np.array(points[used])[..., :2])
    return AxesLesson(parts, rotations[used], np.array(truth[used]))


def fit_axes(lessons: list[AxesLesson]) -> AxesReader:
    """Ridge regressions of the tracker's pitch and yaw errors; mirrored pictures count alike."""
    parts = np.concatenate([lesson.parts for lesson in lessons]).astype(np.float64)
    rotations = np.concatenate([lesson.rotations for lesson in lessons])
    true = np.concatenate([lesson.true_rotations for lesson in lessons])
    errors = Rotation.from_matrix(rotations.transpose(0, 2, 1) @ true).as_rotvec()
    views, mirrored = view_of(rotations), parts[:, :, ::-1]
    pitch = _ridge((parts + mirrored) / 2, views[:, 0], errors[:, 0])
    # as if every head were there mirrored too: all means are zero
    both = np.concatenate([parts - mirrored, mirrored - parts]) / 2
    both[..., HAIR] = 0
    yaw_views, yaw_errors = (np.concatenate([v, -v]) for v in (views[:, 1], errors[:, 1]))
    yaw = _ridge(both, yaw_views, yaw_errors)
    templates, view = (np.stack(pair).astype(np.float32) for pair in zip(pitch[:2], yaw[:2]))
    return AxesReader(templates, view, pitch[2])


def _ridge(
    parts: Float[np.ndarray, "N 32 32 6"],
    views: Float[np.ndarray, "N 3"],
    error: Float[np.ndarray, " N"],
) -> tuple[Float[np.ndarray, "32 32 6"], Float[np.ndarray, " 3"], float]:
    """Templates, weights of the view, offset."""
    middle, view_middle = parts.mean(axis=0), views.mean(axis=0)
    size = np.sqrt(((parts - middle) ** 2).sum(axis=(1, 2, 3)).mean())
    view_size = views.std(axis=0) / np.sqrt(VIEW_SHARE / views.shape[1])
    causes = np.concatenate(
        [
            ((parts - middle) / size).reshape(len(parts), -1),
            (views - view_middle) / view_size,
        ],
        axis=1,
    )
    kernel = causes @ causes.T + RIDGE * np.eye(len(causes))
    found = causes.T @ np.linalg.solve(kernel, error - error.mean())
    templates = (found[: middle.size] / size).reshape(middle.shape)
    view = found[middle.size :] / view_size
    return templates, view, float(error.mean() - (templates * middle).sum() - view @ view_middle)


def write_reader(path: Path, reader: AxesReader) -> None:
    """Write a reader with half precision."""
    tensors = {
        "templates": torch.from_numpy(reader.templates).half(),
        "view": torch.from_numpy(reader.view),
    }
    save_checkpoint(path, tensors, KIND, {"offset": reader.offset})


def measure_axes(
    *, output: Path, seeds: Iterable[int] = range(FIRST_SEED, FIRST_SEED + N_PEOPLE)
) -> None:
    """Write the reader (about twelve minutes on one quiet core).

    Args:
        output: .safetensors, written.
        seeds: of the people.
    """
    wanted, model = list(seeds), detector_model(DETECTOR)
    with create_detector(DETECTOR) as detector:
        people = [
            axes_lesson(s, detector, model) for s in track(wanted, "people", len(wanted), logger)
        ]
    write_reader(output, fit_axes([p for p in people if p is not None]))
