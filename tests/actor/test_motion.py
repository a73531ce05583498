"""Head, lids, gaze: bounded, smooth, the same for the same seed."""

from __future__ import annotations

import numpy as np
import pytest

from emotalk_core.actor.face_model import load_face_model
from emotalk_core.actor.identity import random_identity
from emotalk_core.actor.motion import blink_track, gaze_weights, head_poses
from emotalk_core.actor.performance import ActorSettings, perform, speak_to_fill
from emotalk_core.actor.pose import Pose, rotation, view_matrix
from emotalk_core.errors import ConfigError

NAMES = load_face_model().expression_names


def test_head_stays_within_its_limits_and_moves_smoothly():
    poses = head_poses(600, [1.0, 3.0, 5.5], np.random.default_rng(3))
    angles = np.degrees([(p.pitch, p.yaw, p.roll) for p in poses])
    assert np.all(np.abs(angles).max(axis=0) <= (6.0, 10.0, 4.0))
    assert np.all(np.ptp(angles, axis=0) > (3.0, 6.0, 2.5))
    assert np.abs(np.diff(angles, axis=0)).max() < 1.6  # degrees a frame


def test_blinks_are_short_and_regular():
    closed = blink_track(2500, np.random.default_rng(0))
    starts = np.flatnonzero((closed[1:] > 0.5) & (closed[:-1] <= 0.5))
    assert 100 / 5.5 < len(starts) < 100 / 2.2
    assert closed.max() == 1 and (closed > 0.5).mean() < 0.08


def test_pose_signs():
    nose = np.array([0.0, 0.0, -1.0])  # towards the camera
    assert (rotation(Pose(yaw=0.2)) @ nose)[0] < 0  # positive yaw: to the image left
    assert (rotation(Pose(pitch=0.2)) @ nose)[1] > 0  # positive pitch: down
    assert (rotation(Pose(roll=0.2)) @ np.array([1.0, 0, 0]))[1] > 0  # clockwise in the image
    matrix = view_matrix(Pose(0.1, 0.2, 0.3))
    assert np.allclose(matrix[:3, :3] @ matrix[:3, :3].T, np.eye(3))
    assert np.linalg.det(matrix[:3, :3]) == pytest.approx(1)


def test_eyes_turn_against_the_head():
    still = np.random.default_rng(1)
    weights = gaze_weights([Pose(yaw=0.17)] * 200, NAMES, still).mean(axis=0)
    value = dict(zip(NAMES, weights))
    assert value["eyeLookOutLeft"] > 0.2 > value["eyeLookInLeft"]
    assert value["eyeLookInRight"] > 0.2 > value["eyeLookOutRight"]


def test_speech_fills_the_clip_and_ends_in_it():
    samples, phonemes, text = speak_to_fill(8.0, "en-us", 160, np.random.default_rng(0))
    assert len(samples) == 8 * 16_000 and len(text) > 60
    assert phonemes[-1].end <= 8.0 + 1e-6
    assert phonemes[0].start >= 0.2 - 1e-9
    loud = np.abs(samples) > 0.01
    assert np.flatnonzero(loud)[-1] / 16_000 > 5.0


def test_performance_repeats_and_differs_between_seeds():
    first = perform(ActorSettings(seed=3, seconds=2.0), random_identity(3))
    again = perform(ActorSettings(seed=3, seconds=2.0), random_identity(3))
    other = perform(ActorSettings(seed=4, seconds=2.0), random_identity(4))
    assert np.array_equal(first.expression, again.expression)
    assert np.array_equal(first.samples, again.samples) and first.poses == again.poses
    assert not np.array_equal(first.expression, other.expression)
    assert first.expression.shape == (50, 52) and len(first.samples) == 32_000


def test_settings_name_all_mistakes():
    with pytest.raises(ConfigError, match=r"(?s)seconds=0.*size=385.*noise=-1"):
        ActorSettings(seconds=0, size=385, noise=-1)
