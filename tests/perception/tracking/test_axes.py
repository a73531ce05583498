"""The reader of a head's axes: its weights, what it learns, what the solver makes of it."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from emotalk_core.actor.identity import random_identity
from emotalk_core.actor.performance import ActorSettings, perform
from emotalk_core.actor.truth import render_performance
from emotalk_core.media.checkpoints import load_checkpoint
from emotalk_core.perception.landmarks import create_detector
from emotalk_core.perception.tracking import axes
from emotalk_core.perception.tracking.axes import AxesReader, Looks, axes_reader, part_maps
from emotalk_core.perception.tracking.clip import fill_gaps
from emotalk_core.perception.tracking.measure_axes import AxesLesson, fit_axes, measure_axes
from emotalk_core.perception.tracking.settings import TrackingSettings
from emotalk_core.perception.tracking.solve import solve_head

SIZE = 256


def test_packaged_weights_are_the_named_ones() -> None:
    found = (axes.DATA / axes.WEIGHTS).read_bytes()
    assert hashlib.sha256(found).hexdigest() == axes.SHA256
    templates = axes_reader().templates
    assert templates.shape == (2, axes.GRID, axes.GRID, 6)
    for template, sign in zip(templates, (1, -1)):
        mirrored = sign * template[:, ::-1]
        assert np.abs(template - mirrored).max() <= 1e-3 * np.abs(template).max()


def test_reader_learns_what_moves_with_the_error() -> None:
    rng = np.random.default_rng(0)
    lessons = []
    for _ in range(40):
        lift, aside = rng.normal(0, 0.03, 2)
        parts = rng.uniform(0, 0.05, (4, axes.GRID, axes.GRID, 6)).astype(np.float32)
        parts[:, 10, 8:24, 1] += 0.5 + 10 * lift
        parts[:, 20, 4:8, 0] += 0.5 + 10 * aside
        parts[:, 20, 24:28, 0] += 0.5 - 10 * aside
        rotations = Rotation.from_rotvec(rng.normal(0, 0.1, (4, 3))).as_matrix()
        turn = Rotation.from_rotvec([lift, aside, 0]).as_matrix()
        lessons.append(AxesLesson(parts, rotations, rotations @ turn))
    reader = fit_axes(lessons[:30])
    for lesson in lessons[30:]:
        turns = Rotation.from_matrix(lesson.rotations.transpose(0, 2, 1) @ lesson.true_rotations)
        wanted = turns.as_rotvec()[:, :2].mean(axis=0)
        turn = reader.turn(lesson.parts, lesson.rotations)
        assert turn[:2] == pytest.approx(wanted, abs=0.015)
        assert turn[2] == 0


def test_rendered_people_make_a_reader(tmp_path: Path) -> None:
    measure_axes(output=tmp_path / "axes.safetensors", seeds=range(200_000, 200_002))
    tensors, header = load_checkpoint(tmp_path / "axes.safetensors", axes.KIND)
    assert tensors["templates"].shape == (2, axes.GRID, axes.GRID, 6)
    assert bool(tensors["templates"].isfinite().all())
    assert abs(header["offset"]) < np.radians(60)


@pytest.mark.parametrize(("asked", "given"), [(3, 3), (-5, -5), (5.75, 2.5), (7, 0), (-50, 0)])
def test_reader_never_turns_far_and_leaves_foreign_heads_alone(asked: float, given: float) -> None:
    flat = np.zeros((2, axes.GRID, axes.GRID, 6), np.float32)
    reader = AxesReader(flat, np.zeros((2, 3), np.float32), float(np.radians(asked)))
    turn = np.degrees(reader.turn(flat, np.eye(3)[None]))
    assert turn == pytest.approx([given, 0, 0], abs=1e-6)


def test_pictures_straighten_a_tracked_head() -> None:
    """Glasses make this head look lowered by 5 degrees; its points must stay where they are."""
    settings = ActorSettings(seed=3014, seconds=1.2, size=SIZE)
    identity = random_identity(settings.seed)
    frames = list(render_performance(identity, perform(settings, identity), settings))
    with create_detector("facemesh") as detector:
        found = [detector.detect(frame.rgb) for frame in frames]
    clip = fill_gaps(np.array([p for p in found if p is not None], np.float64))
    assert len(clip.points) == len(frames)
    looked = np.arange(0, len(frames), 4)
    pictures = np.array([frames[i].rgb for i in looked])
    looks = Looks(looked, part_maps(pictures, clip.points[looked, :, :2]))
    true = np.array([frame.viewmat[:3, :3] for frame in frames])
    plain = solve_head(clip, SIZE, SIZE, TrackingSettings())
    head = solve_head(clip, SIZE, SIZE, TrackingSettings(), looks=looks)

    def error(rotations: np.ndarray) -> float:
        between = Rotation.from_matrix(rotations @ true.transpose(0, 2, 1))
        return float(np.degrees(between.magnitude()).mean())

    assert error(head.cameras.viewmats[:, :3, :3]) < error(plain.cameras.viewmats[:, :3, :3]) - 0.7
    assert head.reprojection_error.mean() < plain.reprojection_error.mean() * 1.05
    view = head.cameras.viewmats
    camera = head.landmarks_world @ view[:, :3, :3].transpose(0, 2, 1) + view[:, None, :3, 3]
    seen = camera @ head.cameras.Ks[0].T
    again = seen[..., :2] / seen[..., 2:]
    assert np.linalg.norm(again - head.landmarks, axis=-1).mean() < 1.0
    far = np.abs(head.expression.mean(axis=0) - plain.expression.mean(axis=0))
    assert far.max() < 0.25
