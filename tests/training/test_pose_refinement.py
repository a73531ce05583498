"""Photometric pose refinement: known poses are found again, the prior holds, files repeat."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from emotalk_core.errors import ArtifactError
from emotalk_core.gaussians.rasterize import rasterize
from emotalk_core.geometry.spherical_harmonics import colours_to_sh
from emotalk_core.media.tables import read_cameras, write_cameras
from emotalk_core.training.poses.alignment import pose_equations, surface_flow
from emotalk_core.training.poses.frames import SmallClip
from emotalk_core.training.poses.refine import Poses, hold_mean, name_outliers, refine_poses, sweep
from emotalk_core.training.poses.settings import PoseSettings
from emotalk_core.training.poses.stage import refine_cameras
from emotalk_core.types.camera import CameraPath
from emotalk_core.types.gaussians import GaussianSet
from tests.training.synthetic import make_subject, neutral_mesh

SIDE, FRAMES, FOCAL, DISTANCE = 72, 16, 170.0, 0.6
EYE = 0.08


@pytest.fixture(scope="module")
def head() -> GaussianSet:
    """A head of coloured patches on an egg."""
    rng = np.random.default_rng(1)
    points = rng.standard_normal((900, 3))
    points *= np.array([0.07, 0.09, 0.07]) / np.linalg.norm(points, axis=1, keepdims=True)
    colours = torch.from_numpy(rng.uniform(0.1, 0.9, (900, 3)).astype(np.float32))
    return GaussianSet(
        means=torch.from_numpy(points.astype(np.float32)),
        quats=torch.tensor([[1.0, 0, 0, 0]]).repeat(900, 1),
        scales=torch.full((900, 3), float(np.log(0.005))),
        opacities=torch.full((900,), 3.0),
        sh_coeffs=colours_to_sh(colours)[:, None],
        normal_residuals=None,
    )


def true_poses() -> Poses:
    t = np.arange(FRAMES) / 25
    turns = np.radians(np.stack([4 * np.sin(3 * t), 8 * np.sin(2 * t), 3 * np.cos(2 * t)], axis=1))
    shifts = np.stack([0.005 * np.sin(2 * t), 0.003 * np.cos(t), DISTANCE + 0.01 * t], axis=1)
    intrinsics = np.array([[FOCAL, 0, SIDE / 2], [0, FOCAL, SIDE / 2], [0, 0, 1.0]])
    return Poses(np.concatenate([turns, shifts], axis=1), np.tile(intrinsics, (FRAMES, 1, 1)))


@pytest.fixture(scope="module")
def clip(head: GaussianSet) -> SmallClip:
    poses = true_poses()
    torso = np.full((FRAMES, SIDE, SIDE, 3), 30, np.uint8)
    video, alpha = np.empty_like(torso), np.empty(torso.shape[:3], np.uint8)
    for t in range(FRAMES):
        drawn = rasterize(head, poses.camera(t, (SIDE, SIDE)), torch.full((3,), 30 / 255))
        video[t] = (drawn.rgb.permute(1, 2, 0).clamp(0, 1) * 255).round().numpy()
        alpha[t] = (drawn.alpha * 255).round().numpy()
    return SmallClip(video, torso, alpha, np.full_like(alpha, 255), 1.0)


def shaken(poses: Poses) -> Poses:
    """Poses with a tracker's errors: half a degree and a millimetre."""
    rng = np.random.default_rng(2)
    noise = np.concatenate(
        [np.radians(rng.normal(0, 0.5, (FRAMES, 3))), rng.normal(0, 0.001, (FRAMES, 3))], axis=1
    )
    return replace(poses, values=poses.values + noise - noise.mean(axis=0))


def as_path(poses: Poses) -> CameraPath:
    viewmats = np.stack([poses.viewmat(t) for t in range(FRAMES)])
    return CameraPath(SIDE, SIDE, 25, poses.intrinsics, viewmats)


def errors(path: CameraPath) -> tuple[float, float]:
    """Rms of turn (degrees) and shift (mm) against the truth, without the common change."""
    truth = as_path(true_poses()).viewmats
    held = hold_mean(path.viewmats, truth)
    turned = held[:, :3, :3] @ truth[:, :3, :3].transpose(0, 2, 1)
    turn = np.degrees(np.linalg.norm(Rotation.from_matrix(turned).as_rotvec(), axis=1))
    shift = 1e3 * np.linalg.norm(held[:, :2, 3] - truth[:, :2, 3], axis=1)
    return float(np.sqrt((turn**2).mean())), float(np.sqrt((shift**2).mean()))


def test_flow_is_the_derivative_of_the_projection() -> None:
    rng = np.random.default_rng(3)
    turn, shift = np.array([0.1, -0.2, 0.05]), np.array([0.01, 0.02, 0.6])
    intrinsics = true_poses().intrinsics[0]
    points = rng.uniform(-0.07, 0.07, (20, 3))

    def seen(pose: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        camera = points @ Rotation.from_rotvec(pose[:3]).as_matrix().T + pose[3:]
        return camera[:, :2] / camera[:, 2:] * FOCAL + intrinsics[:2, 2], camera[:, 2]

    pose = np.concatenate([turn, shift])
    pixels, depth = seen(pose)
    flow = np.stack(surface_flow(depth, pixels, intrinsics, turn, shift), axis=1)
    for k in range(6):
        step = np.eye(6)[k] * 1e-6
        numeric = (seen(pose + step)[0] - seen(pose - step)[0]) / 2e-6
        np.testing.assert_allclose(flow[:, :, k], numeric, rtol=1e-4, atol=1e-4)


def test_the_gradient_vanishes_at_the_true_pose_only(head: GaussianSet, clip: SmallClip) -> None:
    poses = true_poses()
    drawn = rasterize(head, poses.camera(0, (SIDE, SIDE)), torch.full((3,), 30 / 255))
    arrays = (drawn.rgb.permute(1, 2, 0).numpy(), drawn.alpha.numpy(), drawn.depth.numpy())
    weight = np.ones((SIDE, SIDE), np.float32)
    turn, shift = poses.values[0, :3], poses.values[0, 3:]
    here, next_ = (
        pose_equations(
            *arrays, clip.video[t] / np.float32(255), weight, poses.intrinsics[0], turn, shift
        )
        for t in (0, 3)
    )
    assert np.abs(here.gradient).max() < 0.1 * np.abs(next_.gradient).max()
    assert np.linalg.eigvalsh(here.block).min() > 0


def test_a_known_head_gives_its_poses_back(head: GaussianSet, clip: SmallClip) -> None:
    start = shaken(true_poses())
    poses, valid = start, np.ones(FRAMES, dtype=bool)
    for _ in range(3):
        poses, residuals = sweep(head, clip, poses, start, valid, EYE, 0.0, 1)
    before, after = errors(as_path(start)), errors(as_path(poses))
    assert residuals.shape == (FRAMES,) and np.isfinite(residuals).all()
    assert before[0] > 0.5 and before[1] > 0.8
    assert after[0] < 0.1 and after[1] < 0.15


def test_head_and_poses_are_found_together(clip: SmallClip) -> None:
    start = as_path(shaken(true_poses()))
    settings = PoseSettings(rounds=2, steps=60, sweeps=2, n_gaussians=500, side=SIDE)
    neutral = neutral_mesh().astype(np.float64)
    valid = np.ones(FRAMES, dtype=bool)
    valid[5] = False
    refined = [
        refine_poses(start, clip, neutral, EYE, valid, FRAMES - 2, settings, 0, 1) for _ in range(2)
    ]
    assert np.array_equal(refined[0].viewmats, refined[1].viewmats)
    before, after = errors(start), errors(refined[0])
    assert after[0] < 0.7 * before[0]
    assert after[1] < 0.7 * before[1]


def test_frames_that_show_another_head_are_named(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("WARNING")
    residuals = np.full(30, 0.02)
    name_outliers(residuals)
    assert caplog.text == ""
    residuals[[3, 17]] = 0.08
    residuals[5] = np.nan
    name_outliers(residuals)
    assert "2 of 30 frames" in caplog.text and "frames 3, 17;" in caplog.text


def test_stage_writes_cameras(tmp_path: Path) -> None:
    subject = make_subject(tmp_path)
    inputs = {name: subject[name] for name in ("manifest", "video", "track", "alpha", "torso")}
    tracked = subject["cameras"]
    settings = PoseSettings(rounds=1, steps=5, n_gaussians=200, side=40)
    outputs = [tmp_path / "new.json", tmp_path / "kept.json"]
    for output, own in zip(outputs, (settings, replace(settings, rounds=0))):
        refine_cameras(
            **inputs, tracked_cameras=tracked, cameras=output, settings=own, seed=0, threads=1
        )
    before, after, kept = (read_cameras(path) for path in (tracked, *outputs))
    assert np.array_equal(kept.viewmats, before.viewmats)
    assert np.array_equal(after.Ks, before.Ks)
    assert 0 < np.abs(after.viewmats - before.viewmats).max() < 0.05


def test_another_clips_cameras_are_refused(tmp_path: Path) -> None:
    subject = make_subject(tmp_path)
    path = read_cameras(subject["cameras"])
    write_cameras(subject["cameras"], replace(path, Ks=path.Ks[1:], viewmats=path.viewmats[1:]))
    inputs = {name: subject[name] for name in ("manifest", "video", "track", "alpha", "torso")}
    with pytest.raises(ArtifactError, match="tracked_cameras"):
        refine_cameras(
            **inputs,
            tracked_cameras=subject["cameras"],
            cameras=tmp_path / "new.json",
            settings=PoseSettings(),
            seed=0,
            threads=1,
        )
