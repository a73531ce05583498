"""The face model: committed data, axes and units, closed lips, what the expression weights move."""

from __future__ import annotations

import numpy as np
import pytest

from emotalk_core.actor.face_model import (
    DATA,
    EYE_DISTANCE,
    INNER_LOWER_LIP,
    INNER_UPPER_LIP,
    LEFT_EYE,
    RIGHT_EYE,
    landmark_basis,
    landmark_identity_basis,
    load_face_model,
    macro_weights,
    shape_head,
)


def test_data_is_small_and_says_its_licence():
    assert (DATA / "face_model.npz").stat().st_size < 1_000_000
    assert "CC0" in (DATA / "LICENSE.md").read_text()


def test_world_axes_and_size_are_a_heads():
    model = load_face_model()
    left = model.vertices[model.part_vertices(LEFT_EYE)].mean(axis=0)
    right = model.vertices[model.part_vertices(RIGHT_EYE)].mean(axis=0)
    assert left[0] - right[0] == pytest.approx(EYE_DISTANCE, abs=1e-5)  # person's left: image right
    neutral, _, _ = landmark_basis()
    chin, forehead, nose = neutral[152], neutral[10], neutral[1]
    assert 0.10 < chin[1] - forehead[1] < 0.20  # y down
    assert nose[2] < neutral[:, 2].min() + 0.001  # z away from the camera
    assert abs(neutral[:, 0].mean()) < 0.003
    head = model.vertices[model.vertices[:, 1] < chin[1] - 0.01]
    assert np.abs(head).max() < 0.15


def test_neutral_lips_touch_for_many_people():
    model = load_face_model()
    rng = np.random.default_rng(0)
    for _ in range(5):
        races = tuple(rng.dirichlet([0.6] * 3))
        macros = macro_weights(model.macro_names, races, rng.uniform(), rng.uniform(0, 0.8), 0.0)
        assert macros.sum() == pytest.approx(2.0, abs=1e-5)  # races sum to 1, builds sum to 1
        shape = shape_head(model, macros, rng.normal(0, 0.25, 52).astype(np.float32))
        points = model.on_surface(shape.vertices)
        gap = points[list(INNER_LOWER_LIP), 1] - points[list(INNER_UPPER_LIP), 1]
        assert np.abs(gap).max() < 0.0008


def test_expression_weights_move_what_their_names_say():
    _, deltas, names = landmark_basis()
    move = dict(zip(names, deltas))
    assert len(names) == 52 and list(names) == sorted(names)
    assert move["jawOpen"][14, 1] > 0.02 and abs(move["jawOpen"][13, 1]) < 0.004
    assert move["browInnerUp"][107, 1] < -0.003  # y down: up is negative
    assert move["eyeBlinkLeft"][386, 1] > 0.006  # upper lid at the image right
    assert np.abs(move["eyeBlinkLeft"][159]).max() < 1e-4
    assert move["mouthSmileLeft"][291, 1] < -0.004
    assert move["mouthPucker"][291, 0] < -0.004 and move["mouthPucker"][61, 0] > 0.004


def test_identity_axes_are_centred():
    deltas, names = landmark_identity_basis()
    assert deltas.shape == (len(names), 478, 3)
    assert np.abs(deltas).max() < 0.03  # size of the body is taken out
    male = deltas[names.index("male")]
    assert np.abs(male).max() > 0.004
