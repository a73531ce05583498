"""True action units by definition, and emotional expressions on top of speech."""

from __future__ import annotations

import numpy as np
import pytest

from emotalk_core.actor.face_model import load_face_model
from emotalk_core.actor.facs import WEIGHTS, true_action_units
from emotalk_core.actor.identity import random_identity
from emotalk_core.actor.performance import ActorSettings, perform, with_emotion
from emotalk_core.actor.truth import render_performance
from emotalk_core.errors import ConfigError

NAMES = load_face_model().expression_names


def weights(**chosen: float) -> np.ndarray:
    out = np.zeros(52, np.float32)
    for name, value in chosen.items():
        out[NAMES.index(name)] = value
    return out


def face(gap: float) -> np.ndarray:
    points = np.zeros((478, 3), np.float32)
    points[263, 0], points[14, 1] = 1.0, gap
    return points


def test_units_are_five_times_the_mean_of_their_weights() -> None:
    units = true_action_units(weights(mouthSmileLeft=1.0, jawOpen=0.4), NAMES, face(0.0))
    assert list(units) == list(WEIGHTS) and len(units) == 17
    assert units["AU12"] == pytest.approx(2.5) and units["AU26"] == pytest.approx(2.0)
    assert sum(units.values()) == pytest.approx(4.5)


def test_parted_lips_are_measured() -> None:
    for gap, wanted in ((0.05, 1.0), (0.25, 5.0), (0.9, 5.0)):
        assert true_action_units(weights(), NAMES, face(gap))["AU25"] == pytest.approx(wanted)


def test_missing_weights_are_named() -> None:
    with pytest.raises(ConfigError, match="jawOpen"):
        true_action_units(np.zeros(1), ("browInnerUp",), face(0.0))


def test_an_emotion_on_top_of_speech_is_in_the_truth() -> None:
    settings = ActorSettings(seed=3, seconds=0.4, size=64)
    identity = random_identity(3)
    plain = perform(settings, identity)
    n = len(plain.poses)
    smile = np.tile(weights(mouthSmileLeft=0.8, mouthSmileRight=0.8), (n, 1))
    happy = with_emotion(plain, smile, np.full((n, 2), (0.7, 0.3)))
    (before,) = render_performance(identity, plain, settings, [5])
    (after,) = render_performance(identity, happy, settings, [5])
    assert (before.valence, before.arousal) == (0.0, 0.0)
    assert (after.valence, after.arousal) == (pytest.approx(0.7), pytest.approx(0.3))
    assert after.action_units["AU12"] > before.action_units["AU12"] + 3
    assert after.action_units["AU26"] == pytest.approx(before.action_units["AU26"])
    with pytest.raises(ConfigError, match="wanted 10 rows"):
        with_emotion(plain, smile[:3], happy.emotion)
