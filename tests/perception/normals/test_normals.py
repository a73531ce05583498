from __future__ import annotations

import numpy as np
from threadpoolctl import threadpool_limits

from emotalk_core.actor.face_model import load_face_model
from emotalk_core.perception.landmarks import topology as tp
from emotalk_core.perception.normals.mesh import interpolate_normals, vertex_normals
from emotalk_core.perception.normals.stage import decode_normals, encode_normals, face_normals
from emotalk_core.perception.normals.surface import head_surface
from emotalk_core.types.regions import LABEL

STIFFNESS = 6.0
INTRINSICS = np.array([[600.0, 0, 64], [0, 600, 64], [0, 0, 1]])


def on_sphere() -> np.ndarray:
    """The mesh's points pushed onto a ball of 12 cm: its normals are known everywhere."""
    face = tp.canonical_face()
    centre = np.array([0.0, 0.0, 0.06])
    rays = face - centre
    return centre + 0.12 * rays / np.linalg.norm(rays, axis=1, keepdims=True)


def test_vertex_normals_of_a_ball_point_along_its_radius() -> None:
    points, triangles = on_sphere(), tp.surface_triangles()
    found = vertex_normals(points, triangles)
    truth = (points - [0, 0, 0.06]) / 0.12
    inner = np.setdiff1d(np.arange(tp.N_SURFACE), (*tp.OVAL, *tp.LIPS, *tp.EYES))
    angles = np.degrees(np.arccos(np.clip((found * truth)[inner].sum(axis=1), -1, 1)))
    assert np.median(angles) < 3
    assert np.allclose(np.linalg.norm(found, axis=1), 1)


def test_interpolation_of_one_normal_everywhere_is_that_normal() -> None:
    points = tp.canonical_face() + np.array([0, 0, 1.0])
    pixels = points[:, :2] / points[:, 2:] * 600 + 64
    normals = np.tile([0.6, 0.0, -0.8], (tp.N_SURFACE, 1))
    triangles = tp.surface_triangles()
    wanted = np.ones((128, 128), dtype=bool)
    found = interpolate_normals(pixels, points[:, 2], normals, triangles, wanted)
    wanted[:, 64:] = False
    half = interpolate_normals(pixels, points[:, 2], normals, triangles, wanted)
    assert np.array_equal(half[:, :64], found[:, :64]) and not half[:, 64:].any()
    there = found.any(axis=-1)
    assert np.allclose(found[there], [0.6, 0, -0.8])
    assert 0.3 < there.mean() < 0.7 and not there[0, 0]


def test_surface_follows_its_landmarks_and_any_rigid_motion() -> None:
    surface, model = head_surface(STIFFNESS), load_face_model()
    rest = model.on_surface(model.vertices)[: tp.N_SURFACE].astype(np.float64)
    bent = surface.bend(rest)
    turn = np.array([[0.8, 0, 0.6], [0, 1, 0], [-0.6, 0, 0.8]])
    assert np.allclose(surface.bend(rest @ turn.T + [0.1, 0.2, 1.0]), bent @ turn.T + [0.1, 0.2, 1])
    wider = surface.bend(rest * [1.1, 1.0, 1.0])
    assert np.allclose(wider, bent * [1.1, 1.0, 1.0], atol=1e-6)
    opened = model.vertices + model.expression_deltas[model.expression_names.index("jawOpen")]
    moved = surface.bend(model.on_surface(opened)[: tp.N_SURFACE].astype(np.float64)) - bent
    chin = np.argmin(np.linalg.norm(bent - rest[tp.CHIN], axis=1))
    top = np.argmin(bent[:, 1])
    assert moved[chin, 1] > 0.004 and np.linalg.norm(moved[top]) < 0.006


def test_surface_is_the_same_for_any_number_of_threads() -> None:
    weights = []
    for threads in (1, 2):
        head_surface.cache_clear()
        with threadpool_limits(threads):
            weights.append(head_surface(STIFFNESS).weights)
    assert np.array_equal(*weights)


def test_normals_turn_with_the_camera_and_stay_inside_the_labels() -> None:
    world = np.zeros((478, 3))
    world[:468] = tp.canonical_face()
    view = np.eye(4)
    view[2, 3] = 1.0
    labels = np.full((128, 128), LABEL["skin"], np.uint8)
    labels[:, :64] = LABEL["hair"]
    found = face_normals(world, view, INTRINSICS, labels, head_surface(STIFFNESS))
    there = found.any(axis=-1)
    assert not there[:, :64].any() and there[:, 64:].any()
    assert (found[there][:, 2] < 0.05).mean() > 0.95  # towards the camera
    assert found[70, 95, 0] > 0.2  # the person's left cheek points to the image right


def test_encoding_is_the_contracts() -> None:
    normals = np.array([[[0.0, 0.0, -1.0], [0.0, 0.0, 0.0], [0.8, -0.6, 0.0]]])
    picture = encode_normals(normals)
    assert picture.tolist() == [[[128, 128, 0], [0, 0, 0], [230, 51, 128]]]
    assert np.abs(decode_normals(picture) - normals).max() < 0.01
