"""Glasses and full beards: where they sit, that they stay, that seeds keep their person."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from emotalk_core.actor.beard import beard_cover, beard_shells
from emotalk_core.actor.face_model import load_face_model
from emotalk_core.actor.glasses import BEFORE_EYE, RIMS, wear_glasses
from emotalk_core.actor.identity import NO_GLASSES, identity_head, random_identity
from emotalk_core.actor.layers import FRAME
from emotalk_core.actor.pose import Pose
from emotalk_core.actor.renderer import Actor
from emotalk_core.actor.surface_map import load_surface_map
from emotalk_core.types.regions import LABEL

MAN = next(i for i in map(random_identity, range(50)) if i.is_man and i.style == "crop")
LEFT_IRIS, RIGHT_IRIS = 473, 468  # FaceMesh


@pytest.mark.parametrize("style", sorted(RIMS))
def test_rims_go_around_the_eyes_before_them(style: str) -> None:
    model, surface = load_face_model(), load_surface_map()
    identity = replace(MAN, glasses=style)
    head = identity_head(model, identity)
    layer = wear_glasses(model, surface, identity, head.vertices)
    points = head.vertices[layer.source] + layer.offset
    iris = model.on_surface(head.vertices)[[LEFT_IRIS, RIGHT_IRIS]]
    for eye in iris:
        near = points[np.abs(points[:, 0] - eye[0]) < 0.015]
        near = near[near[:, 2] < eye[2]]
        assert near[:, 1].min() < eye[1] - 0.012 and near[:, 1].max() > eye[1] + 0.012
        assert BEFORE_EYE / 2 < eye[2] - near[:, 2].mean() < 2 * BEFORE_EYE
    assert layer.part == FRAME and len(set(layer.source.tolist())) == 1
    assert (
        np.abs(model.expression_deltas[:, layer.source[0]]).max()
        < 0.02 * np.abs(model.expression_deltas).max()
    ), "no expression moves the frame"


def test_beards_grow_on_chin_and_upper_lip_and_leave_the_lips_bare() -> None:
    model, surface = load_face_model(), load_surface_map()
    identity = replace(MAN, full_beard=0.5)
    normals = np.tile(np.array([0, 0, -1], np.float32), (len(model.base_vertices), 1))
    shells = beard_shells(model, surface, identity, normals)
    lengths = [float(np.abs(s.offset).max()) for s in shells]
    assert lengths == sorted(lengths, reverse=True), "outermost first"
    bare = np.abs(model.base_vertices[shells[0].source][:, 1] - 6.615) < 0.03
    bare &= np.abs(model.base_vertices[shells[0].source][:, 0]) < 0.1
    assert (shells[0].threshold[bare] == 0).all()
    cheek, chin = np.array([0.4, 7.2, 1.2]), np.array([0.0, 6.3, 1.5])
    assert beard_cover(cheek) == 0 and beard_cover(chin) > 0.9


def test_beard_and_frame_count_as_skin() -> None:
    neutral = np.zeros(52, np.float32)
    pose = Pose()
    plain = Actor(replace(MAN, full_beard=0.0, glasses=NO_GLASSES), 96).render(neutral, pose)
    worn = Actor(replace(MAN, full_beard=0.6, glasses="square"), 96).render(neutral, pose)
    changed = np.abs(plain.rgb.astype(int) - worn.rgb).max(axis=2) > 40
    assert changed.mean() > 0.02
    assert np.isin(worn.labels[changed], [LABEL[n] for n in ("hair", "neck")]).mean() < 0.35
    assert (worn.labels == LABEL["skin"]).sum() > 0.9 * (plain.labels == LABEL["skin"]).sum()
    np.testing.assert_array_equal(plain.landmarks, worn.landmarks)


def test_shares_of_people_who_wear_something() -> None:
    people = [random_identity(seed) for seed in range(400)]
    men = [p for p in people if p.is_man]
    assert 0.18 < np.mean([p.glasses != NO_GLASSES for p in people]) < 0.32
    assert 0.2 < np.mean([p.full_beard > 0 for p in men]) < 0.4
    assert all(p.full_beard == 0 for p in people if not p.is_man)
    shown = random_identity(7)  # the actor of the demo
    assert (shown.glasses, shown.full_beard) == (NO_GLASSES, 0.0)
