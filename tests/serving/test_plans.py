"""Plans of the three scenarios: which pose, sound and emotion each frame has."""

from __future__ import annotations

import numpy as np
import pytest

from emotalk_core.emotion.circle import evaluation_points
from emotalk_core.serving.plans import (
    OWN_SOUND,
    ping_pong,
    plan_cross,
    plan_emotion,
    plan_self,
    point_clip,
)
from emotalk_core.types.manifest import Manifest

MANIFEST = Manifest("egg", "egg.mp4", "0", 8, 8, 11, 7040, (0, 8, 0, 8), 0.0, 1.0, 10)
EMOTION = np.linspace(-1, 1, 22, dtype=np.float32).reshape(11, 2)


def test_ping_pong_does_not_repeat_its_ends() -> None:
    assert [ping_pong(4, k) for k in range(9)] == [0, 1, 2, 3, 2, 1, 0, 1, 2]
    assert [ping_pong(1, k) for k in range(3)] == [0, 0, 0]


def test_self_reconstruction_is_the_test_split_with_its_own_drivers() -> None:
    (plan,) = plan_self(MANIFEST, EMOTION)
    assert (plan.clip, plan.source_frame, plan.sound, plan.audio_frame) == (
        "test",
        10,
        OWN_SOUND,
        10,
    )
    assert plan.emotion == pytest.approx((EMOTION[10, 0], EMOTION[10, 1]))


def test_cross_audio_walks_the_training_part_to_and_fro() -> None:
    plans = plan_cross(MANIFEST, EMOTION, [("a", 12), ("b", 100)], max_seconds=1.0)
    first = [plan for plan in plans if plan.clip == "a"]
    assert [plan.source_frame for plan in first] == [*range(10), 8, 7]
    assert [plan.audio_frame for plan in first] == list(range(12))
    assert sum(plan.clip == "b" for plan in plans) == 25
    assert {plan.sound for plan in plans if plan.clip == "b"} == {1}
    assert max(plan.source_frame for plan in plans) < MANIFEST.n_train


def test_emotion_holds_each_of_the_twelve_points() -> None:
    plans = plan_emotion(MANIFEST, evaluation_points(), n_frames=100, seconds=0.2)
    assert len(plans) == 12 * 5
    assert len({plan.clip for plan in plans}) == 12
    assert plans[0].clip == point_clip(0.74, 0.31) == "v+0.74_a+0.31"
    assert [plan.audio_frame for plan in plans[:6]] == [0, 1, 2, 3, 4, 0]
    assert len({plan.emotion for plan in plans}) == 12
