"""Motion of the skin: what pictures show, its packaged errors, what the solver makes of it."""

from __future__ import annotations

import hashlib
from functools import partial
from pathlib import Path

import cv2
import numpy as np
import pytest
from jaxtyping import Float, UInt8

from emotalk_core.actor.face_model import landmark_basis, load_face_model
from emotalk_core.actor.identity import random_identity
from emotalk_core.actor.performance import ActorSettings, perform
from emotalk_core.actor.truth import render_performance
from emotalk_core.media.checkpoints import load_checkpoint
from emotalk_core.perception.landmarks import create_detector
from emotalk_core.perception.tracking import skin
from emotalk_core.perception.tracking.clip import fill_gaps
from emotalk_core.perception.tracking.measure_skin import measure_skin
from emotalk_core.perception.tracking.settings import TrackingSettings
from emotalk_core.perception.tracking.skin import SkinMotion, skin_evidence, watch_skin, with_skin
from emotalk_core.perception.tracking.solve import solve_head
from emotalk_core.types.camera import CameraPath

SIZE, FOCAL, DISTANCE = 256, 900.0, 1.1
BROW, FRAMES, HIDDEN = 105, 24, 9
PIXEL = DISTANCE / FOCAL  # metres


def _cameras() -> CameraPath:
    """A head that sways by two pixels."""
    matrix = np.array([[FOCAL, 0, SIZE / 2], [0, FOCAL, SIZE / 2], [0, 0, 1]])
    views = np.tile(np.eye(4), (FRAMES, 1, 1))
    views[:, 2, 3] = DISTANCE
    views[:, 0, 3] = 2 * PIXEL * np.sin(np.arange(FRAMES) / 3)
    return CameraPath(SIZE, SIZE, 25, np.tile(matrix, (FRAMES, 1, 1)), views)


def _face(
    lift: Float[np.ndarray, " T"], neutral: Float[np.ndarray, "478 3"]
) -> UInt8[np.ndarray, "T H W"]:
    """Skin of random texture that moves up by `lift` px round one brow, under changing light."""
    rng = np.random.default_rng(5)
    texture = cv2.GaussianBlur(rng.normal(size=(SIZE, SIZE)).astype(np.float32), (0, 0), 2)
    texture = 120 + 40 * texture / texture.std()
    y, x = np.indices(texture.shape, dtype=np.float32)
    depth = DISTANCE + neutral[BROW, 2]
    at = FOCAL * neutral[BROW, :2] / depth + SIZE / 2
    near = np.exp(-((x - at[0]) ** 2 + (y - at[1]) ** 2) / (2 * 12.0**2)).astype(np.float32)
    frames = []
    for index, amount in enumerate(lift):
        sway = np.float32(2 * np.sin(index / 3))
        moved = cv2.remap(
            texture, x - sway, y + np.float32(amount) * near, cv2.INTER_CUBIC, None,
            cv2.BORDER_REFLECT,
        )  # fmt: skip
        light = 0.8 + 0.2 * np.cos(index)
        frames.append(np.clip(light * moved, 0, 255).astype(np.uint8))
    return np.array(frames)


def test_small_motion_is_found_below_a_pixel() -> None:
    neutral = landmark_basis()[0].astype(np.float64)
    lift = 0.5 * np.sin(np.arange(FRAMES) / 2)
    frames = _face(lift, neutral)
    frames[HIDDEN] = np.random.default_rng(1).integers(0, 255, frames[0].shape)
    valid = np.ones(FRAMES, bool)
    found = watch_skin(partial(iter, frames), _cameras(), neutral, valid)
    assert found.seen.tolist() == [i != HIDDEN for i in range(FRAMES)]
    up = -found.moved[:, skin.POINTS.index(BROW), 1]
    wanted = PIXEL * (lift - lift[found.seen].mean())
    assert np.corrcoef(up[found.seen], wanted[found.seen])[0, 1] > 0.95
    assert np.abs(up - wanted)[found.seen].max() < 0.25 * PIXEL
    lip = found.moved[found.seen][:, skin.POINTS.index(17), 1]
    assert np.abs(lip).max() < 0.05 * PIXEL


def test_frames_without_a_pose_are_not_looked_at() -> None:
    neutral = landmark_basis()[0].astype(np.float64)
    frames = _face(np.zeros(FRAMES), neutral)
    valid = np.arange(FRAMES) != 3
    assert not watch_skin(partial(iter, frames), _cameras(), neutral, valid).seen[3]


def test_unseen_frames_keep_the_first_solution() -> None:
    expression = np.random.default_rng(0).uniform(0, 0.5, (6, 52))
    seen = np.arange(6) != 2
    moved = np.zeros((6, len(skin.POINTS), 2))
    made = skin_evidence(SkinMotion(moved, seen), expression)
    own = expression @ made.response
    assert np.allclose(made.values[2], own[2])
    assert np.allclose(made.values[[0, 5]], own[seen].mean(axis=0))


def test_an_open_jaw_is_no_pucker() -> None:
    names = tuple(load_face_model().expression_names)
    rng = np.random.default_rng(2)
    expression, watched = np.full((2, 200, 52), 0.3)
    jaw, pucker = names.index("jawOpen"), names.index("mouthPucker")
    expression[:, jaw] = rng.uniform(0, 0.8, 200)
    lips = rng.uniform(0.2, 0.5, 200)
    watched[:, pucker] = lips + 0.2 * (expression[:, jaw] - expression[:, jaw].mean())
    watched[:, names.index("browInnerUp")] = 0.7
    watched[:, names.index("cheekPuff")] = 0.9  # not the skin's to tell
    found = with_skin(expression, watched, names)
    assert np.corrcoef(found[:, pucker], expression[:, jaw])[0, 1] == pytest.approx(0, abs=0.1)
    assert np.corrcoef(found[:, pucker], lips)[0, 1] > 0.97
    rest = [i for i, name in enumerate(names) if not name.startswith(skin.TAKEN)]
    assert np.array_equal(found[:, rest], expression[:, rest])
    assert (found[:, names.index("browInnerUp")] == 0.7).all()


def test_packaged_covariance_is_the_named_one() -> None:
    found = (skin.DATA / skin.WEIGHTS).read_bytes()
    assert hashlib.sha256(found).hexdigest() == skin.SHA256
    _, header = load_checkpoint(skin.DATA / skin.WEIGHTS, skin.KIND)
    assert tuple(header["points"]) == skin.POINTS
    precision = skin.skin_precision()
    assert np.linalg.eigvalsh(precision)[0] > 0


def test_rendered_people_make_a_covariance(tmp_path: Path) -> None:
    measure_skin(output=tmp_path / "skin.safetensors", seeds=[7001], seconds=1.2)
    tensors, header = load_checkpoint(tmp_path / "skin.safetensors", skin.KIND)
    errors = tensors["covariance"].float().diagonal().sqrt()  # mm
    assert errors.shape == (2 * len(skin.POINTS),)
    assert float(errors.max()) < 6 and header["frames"] >= 20


def test_brows_are_read_that_landmarks_miss() -> None:
    settings = ActorSettings(seed=5, seconds=4.0, size=SIZE)
    identity = random_identity(settings.seed)
    performance = perform(settings, identity)
    frames = [frame.rgb for frame in render_performance(identity, performance, settings)]
    with create_detector("facemesh") as detector:
        found = [detector.detect(frame) for frame in frames]
    clip = fill_gaps(np.array(found, np.float64))
    solve = partial(solve_head, clip, SIZE, SIZE, TrackingSettings())
    plain, watched = solve(), solve(watch=partial(watch_skin, partial(iter, frames)))
    truth = dict(zip(performance.names, performance.expression.T))
    columns = {name: i for i, name in enumerate(plain.expression_names)}

    def r(head: np.ndarray, *names: str) -> float:
        read = np.mean([head[:, columns[name]] for name in names], axis=0)
        return float(np.corrcoef(read, np.mean([truth[name] for name in names], axis=0))[0, 1])

    down = ("browDownLeft", "browDownRight")
    assert r(watched.expression, *down) > r(plain.expression, *down) + 0.15
    assert r(watched.expression, "browInnerUp") > 0.8
    assert r(watched.expression, "jawOpen") > 0.9
    assert np.abs(watched.cameras.viewmats - plain.cameras.viewmats).max() < 0.01
    assert watched.landmarks == pytest.approx(plain.landmarks)
