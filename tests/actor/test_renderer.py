"""The renderer's truth agrees with itself: camera, landmarks, depth, normals, regions, bytes."""

from __future__ import annotations

import hashlib
import subprocess
import sys

import numpy as np
import pytest

from emotalk_core.actor.identity import random_identity
from emotalk_core.actor.pose import Pose, intrinsics, view_matrix
from emotalk_core.actor.renderer import Actor, Rendered
from emotalk_core.types.regions import FACE, LABEL, MOUTH, TORSO, region_mask

SIZE = 192
POSE = Pose(0.08, -0.15, 0.06, shift=(0.004, 0.002, 0.006), lean=(0.002, 0.0, 0.003))


@pytest.fixture(scope="module")
def actor() -> Actor:
    return Actor(random_identity(7), SIZE)


def weights(actor: Actor, **values: float) -> np.ndarray:
    result = np.zeros(52, np.float32)
    for index, name in enumerate(actor.expression_names):
        result[index] = values.get(name, values.get(name.removesuffix("Left"), 0.0))
        if name.endswith("Right"):
            result[index] = values.get(name, values.get(name.removesuffix("Right"), 0.0))
    return result


def digest(frame: Rendered) -> str:
    parts = (frame.rgb, frame.labels, frame.normals, frame.depth, frame.landmarks)
    return hashlib.sha256(b"".join(part.tobytes() for part in parts)).hexdigest()


def test_camera_maps_head_landmarks_to_the_picture(actor):
    frame = actor.render(weights(actor, jawOpen=0.4, browInnerUp=0.6), POSE)
    matrix = view_matrix(POSE)
    camera = frame.landmarks_head @ matrix[:3, :3].T + matrix[:3, 3]
    assert np.abs(camera - frame.landmarks_camera).max() < 2e-6  # metres
    pixels = camera @ intrinsics(SIZE).T
    assert np.abs(pixels[:, :2] / pixels[:, 2:] - frame.landmarks).max() < 2e-3  # px


def test_depth_and_landmarks_agree_on_visible_points(actor):
    frame = actor.render(weights(actor), POSE)
    for index in (5, 9, 151, 50, 280, 199):  # nose, forehead, cheeks, chin: never hidden
        x, y = frame.landmarks[index]
        expected = pytest.approx(frame.landmarks_camera[index, 2], abs=2e-3)
        assert frame.depth[int(y), int(x)] == expected


def test_normals_are_unit_face_the_camera_and_fit_the_depth(actor):
    frame = actor.render(weights(actor), POSE)
    skin = frame.labels == LABEL["skin"]
    length = np.linalg.norm(frame.normals, axis=2)
    assert np.allclose(length[frame.labels > 0], 1, atol=1e-5)
    assert np.all(length[frame.labels == 0] == 0) and np.all(frame.depth[frame.labels == 0] == 0)
    rows, columns = np.mgrid[0:SIZE, 0:SIZE] + 0.5
    k = intrinsics(SIZE)
    points = np.stack(
        [
            (columns - k[0, 2]) / k[0, 0] * frame.depth,
            (rows - k[1, 2]) / k[1, 1] * frame.depth,
            frame.depth,
        ],
        axis=2,
    )
    geometric = np.cross(np.gradient(points, axis=0), np.gradient(points, axis=1))
    geometric /= np.linalg.norm(geometric, axis=2, keepdims=True) + 1e-12
    inside = skin & (np.abs(frame.depth - np.median(frame.depth[skin])) < 0.06)
    angle = np.degrees(np.arccos(np.clip((geometric * frame.normals).sum(2)[inside], -1, 1)))
    assert np.median(angle) < 7
    assert (frame.normals[skin][:, 2] < 0).mean() > 0.97


def test_regions_lie_where_a_person_has_them(actor):
    labels = actor.render(weights(actor), Pose()).labels

    def height(name):
        return np.flatnonzero(labels == LABEL[name]).mean() // SIZE

    assert height("hair") < height("brows") < height("eyes") < height("lips") < height("neck")
    assert height("neck") < height("clothes")
    assert labels[0].max() == 0 and 0.4 < (labels == 0).mean() < 0.7
    assert region_mask(labels, FACE).mean() > 0.08 and region_mask(labels, TORSO).mean() > 0.1


@pytest.mark.parametrize("seed", [2, 7, 12, 13])
def test_neutral_lips_are_closed_and_an_open_mouth_shows_its_inside(seed):
    actor = Actor(random_identity(seed), 256)
    neutral = actor.render(weights(actor), Pose())
    assert region_mask(neutral.labels, MOUTH).sum() == 0
    opened = actor.render(weights(actor, jawOpen=0.6, mouthUpperUp=0.4), Pose()).labels
    assert region_mask(opened, MOUTH).sum() > 60
    assert (opened == LABEL["teeth"]).sum() > 8
    assert (opened == LABEL["inner_mouth"]).sum() + (opened == LABEL["tongue"]).sum() > 20


def test_blink_hides_the_eyes(actor):
    seen = (actor.render(weights(actor), Pose()).labels == LABEL["eyes"]).sum()
    shut = (actor.render(weights(actor, eyeBlink=1.0), Pose()).labels == LABEL["eyes"]).sum()
    assert seen > 25 and shut < 0.6 * seen  # lashes stay and carry the same label


def test_same_bytes_from_two_builds_and_two_processes(actor):
    first = digest(actor.render(weights(actor, jawOpen=0.3), POSE))
    actor.render(weights(actor, browDown=1.0), Pose())
    assert (
        digest(actor.render(weights(actor, jawOpen=0.3), POSE)) == first
    )  # no state is left behind
    program = (
        "import tests.actor.test_renderer as t;"
        "a = t.Actor(t.random_identity(7), t.SIZE);"
        "print(t.digest(a.render(t.weights(a, jawOpen=0.3), t.POSE)))"
    )
    run = [sys.executable, "-c", program]
    other = subprocess.run(run, capture_output=True, text=True, check=True)
    assert other.stdout.strip() == first
