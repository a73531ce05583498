"""Warped labels and normals, Poisson cloning, sampling of points and frames, quality verdicts."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from emotalk_core.emotion.circle import evaluation_points
from emotalk_core.emotion.generator import GeneratedFace
from emotalk_core.emotion.geometric import GeometricGenerator
from emotalk_core.emotion.poisson import CloneSettings, clone_face, clone_rectangles
from emotalk_core.emotion.quality import QualityLimits, check_face
from emotalk_core.emotion.readings import SeenFace
from emotalk_core.emotion.sampling import choose_frames, sample_points, spread
from emotalk_core.emotion.warping import warp_image, warp_labels, warp_normals
from emotalk_core.errors import ConfigError, InputError
from emotalk_core.perception.emotion.classes import CLASSES
from tests.emotion.conftest import draw_face

HOLDOUT = evaluation_points()


def shift_flow(height, width, dx, dy):
    return np.broadcast_to(np.float32([dx, dy]), (height, width, 2)).copy()


def code(normals):
    return np.rint((normals * 0.5 + 0.5) * 255).astype(np.uint8)


def test_labels_and_colours_follow_a_shift():
    labels = np.arange(64, dtype=np.uint8).reshape(8, 8)
    flow = shift_flow(8, 8, 1, 2)
    assert np.array_equal(warp_labels(labels, flow)[:6, :7], labels[2:, 1:])
    image = np.repeat(labels[..., None], 3, axis=2)
    assert np.array_equal(warp_image(image, flow)[:6, :7], image[2:, 1:])


def test_normals_tilt_as_the_surface_is_stretched():
    # plane z = 0.5 x: slope halves where the surface is stretched to twice its width
    size = 65
    plane = np.array([0.5, 0.0, -1.0]) / np.linalg.norm([0.5, 0.0, -1.0])
    normals = np.broadcast_to(code(plane), (size, size, 3)).copy()
    xs = np.arange(size, dtype=np.float32) - size // 2
    flow = np.zeros((size, size, 2), np.float32)
    flow[..., 0] = -0.5 * xs
    flat = np.zeros((size, size), np.float32)
    got = warp_normals(normals, flow, flat, 1.0)[20:45, 20:45].astype(float) / 127.5 - 1
    want = np.array([0.25, 0.0, -1.0]) / np.linalg.norm([0.25, 0.0, -1.0])
    np.testing.assert_allclose(got, np.broadcast_to(want, got.shape), atol=0.012)
    # a ramp away from the camera adds its slope
    ramp = np.broadcast_to(0.3 * np.arange(size, dtype=np.float32)[:, None], (size, size)).copy()
    still = np.zeros_like(flow)
    got = warp_normals(normals, still, ramp, 1.0)[20:45, 20:45].astype(float) / 127.5 - 1
    want = np.array([0.5, 0.3, -1.0]) / np.linalg.norm([0.5, 0.3, -1.0])
    np.testing.assert_allclose(got, np.broadcast_to(want, got.shape), atol=0.012)


def test_no_normal_stays_no_normal_and_no_motion_changes_nothing():
    rng = np.random.default_rng(0)
    n = rng.normal(size=(20, 20, 3))
    n[..., 2] = -np.abs(n[..., 2]) - 0.2
    normals = code(n / np.linalg.norm(n, axis=2, keepdims=True))
    normals[5:9, 5:9] = 0
    flat = np.zeros((20, 20), np.float32)
    assert np.array_equal(warp_normals(normals, shift_flow(20, 20, 0, 0), flat, 1.0), normals)
    moved = warp_normals(normals, shift_flow(20, 20, 2, 0), flat, 1.0)
    assert not moved[5:9, 3:7].any()
    assert np.linalg.norm(moved[10:, :10].astype(float) / 127.5 - 1, axis=2) == pytest.approx(
        1.0, abs=0.02
    )


def test_cloning_keeps_the_frame_outside_and_the_gradients_inside(face):
    settings = CloneSettings()
    made = GeometricGenerator().generate(face.image, face.landmarks, 0.31, 0.74, face.person)
    # another exposure of the generated image: cloning must undo it
    brighter = np.clip(made.image.astype(int) + 25, 0, 255).astype(np.uint8)
    bright = GeneratedFace(brighter, made.flow, made.depth, made.landmarks, 1.0, 1.0)
    cloned = clone_face(face.image, face.landmarks, bright, settings)
    boxes = clone_rectangles(face.landmarks, made.landmarks, face.image.shape[:2], settings)
    assert len(boxes) == 2
    outside = np.ones(face.image.shape[:2], bool)
    for y0, y1, x0, x1 in boxes:
        outside[y0:y1, x0:x1] = False
    assert np.array_equal(cloned.image[outside], face.image[outside])
    assert not cloned.flow[outside].any()
    kept = np.linalg.norm(cloned.landmarks - face.landmarks, axis=1) < 1e-6
    columns, rows = np.floor(made.landmarks).astype(int).T
    far = cv2.erode(outside.astype(np.uint8), np.ones((5, 5), np.uint8))[rows, columns] > 0
    assert kept[far].all() and not kept.all()  # cheeks stay, brows go
    y0, y1, x0, x1 = boxes[1]
    inside = (slice(y0 + 6, y1 - 6), slice(x0 + 6, x1 - 6))
    error = cloned.image[inside].astype(int) - made.image[inside]
    assert np.abs(error).mean() < 6  # not the 25 of the exposure


def test_points_fill_the_disc_off_the_evaluation_points():
    points = sample_points(2000, 0.85, HOLDOUT, 0.08, seed=3)
    assert points.shape == (2000, 2)
    radius = np.hypot(*points.T)
    assert radius.max() <= 0.85
    centres = np.array([(p.valence, p.arousal) for p in HOLDOUT])
    nearest = np.linalg.norm(points[:, None] - centres[None], axis=2).min()
    assert nearest >= 0.08
    # uniform on the disc: the mean of r^2 is R^2 / 2; the balls cut out little
    assert (radius**2).mean() == pytest.approx(0.85**2 / 2, rel=0.05)
    assert np.abs(points.mean(axis=0)).max() < 0.02
    assert np.array_equal(points[:24], sample_points(24, 0.85, HOLDOUT, 0.08, seed=3))
    assert not np.array_equal(points[:24], sample_points(24, 0.85, HOLDOUT, 0.08, seed=4))


def test_few_points_leave_no_quadrant_empty():
    for seed in range(5):
        points = sample_points(24, 0.85, HOLDOUT, 0.08, seed=seed)
        counts = [
            np.sum((points[:, 0] * s > 0) & (points[:, 1] * t > 0))
            for s in (-1, 1)
            for t in (-1, 1)
        ]
        assert min(counts) >= 3


def test_no_room_is_an_error():
    with pytest.raises(ConfigError, match="holdout_radius"):
        sample_points(5, 0.5, HOLDOUT, 0.9, seed=0)


def make_track(n=60):
    rng = np.random.default_rng(1)
    yaws = np.linspace(-0.4, 0.4, n)
    names = np.array(["browDownLeft", "jawOpen", "mouthSmileLeft"])
    return {
        "landmarks": np.stack([draw_face(yaw=y).landmarks for y in yaws]).astype(np.float32),
        "expression": rng.uniform(0, 0.05, (n, 3)).astype(np.float32),
        "expression_names": names,
        "lip_opening": rng.uniform(0, 0.2, n).astype(np.float32),
        "eye_opening": np.full(n, 0.1, np.float32),
        "reprojection_error": np.ones(n, np.float32),
        "valid": np.ones(n, bool),
    }


def test_frames_come_from_training_calm_open_eyed_and_varied(face):
    track = make_track()
    track["expression"][10:20, 2] = 0.9  # smiles
    track["eye_opening"][20:24] = 0.02  # blinks
    track["valid"][24:28] = False
    track["reprojection_error"][28:30] = 9.0
    frames = choose_frames(track, 50, 8, face.person)
    assert len(frames) == 8 and np.all(np.diff(frames) > 0)
    assert frames.max() < 50
    assert not set(frames) & set(range(10, 30))
    assert np.ptp(frames) > 35  # yaw grows with time: both ends are there
    assert len(choose_frames(track, 50, 500, face.person)) == 40  # all that are usable
    track["valid"][:] = False
    with pytest.raises(InputError, match="no training frame"):
        choose_frames(track, 50, 8, face.person)


def test_spread_takes_the_extremes():
    line = np.array([[0.0], [1.0], [2.0], [3.0], [4.1]])
    assert spread(line, 3).tolist() == [2, 4, 0]


def test_verdicts(face):
    limits = QualityLimits()
    blank = np.zeros(face.image.shape[:2], np.float32)
    flow = np.zeros((*blank.shape, 2), np.float32)
    made = GeneratedFace(face.image, flow, blank, face.landmarks, 1.0, 0.9)
    points = np.c_[face.landmarks, np.zeros(478)]
    calm, smiling = np.full(7, 0.02), np.full(7, 0.02)
    calm[CLASSES.index("neutral")] = smiling[CLASSES.index("happy")] = 0.88
    before = SeenFace(points, calm, np.zeros(128))
    same = check_face(made, before, before, limits)
    assert same.accepted and same.valence_read == same.arousal_read == same.identity_distance == 0
    happy = check_face(made, before, SeenFace(points, smiling), limits)
    assert happy.valence_read > 0.5 and np.isnan(happy.identity_distance)
    parted = points.copy()
    parted[[87, 14, 317], 1] += 0.1 * np.linalg.norm(points[263] - points[33])
    got = check_face(made, before, SeenFace(parted, calm), limits)
    assert got.reason == "lip opening changed"
    assert got.lip_opening_change == pytest.approx(0.1, abs=0.02)
    assert check_face(made, before, None, limits).reason == "no face found in the image"
    assert np.isnan(check_face(made, None, before, limits).lip_opening_change)
    folded = GeneratedFace(face.image, flow, blank, face.landmarks, 1.0, 0.05)
    assert check_face(folded, before, before, limits).reason == "skin folds"
    stranger = SeenFace(points, calm, np.full(128, 0.8 / np.sqrt(128)))
    assert check_face(made, before, stranger, limits).reason == "another person"
