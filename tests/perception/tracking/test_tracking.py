from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from emotalk_core.actor.face_model import landmark_basis
from emotalk_core.errors import InputError
from emotalk_core.media.tables import read_arrays, read_cameras, write_manifest
from emotalk_core.media.video import write_video
from emotalk_core.perception.landmarks import topology as tp
from emotalk_core.perception.tracking import shape as shapes
from emotalk_core.perception.tracking.bundle import (
    HeadPath,
    apply_bands,
    project,
    second_difference_bands,
    solve_poses,
    to_camera,
)
from emotalk_core.perception.tracking.clip import fill_gaps, refuse_bad_clip
from emotalk_core.perception.tracking.settings import TrackingSettings
from emotalk_core.perception.tracking.solve import HeadTrack, solve_head
from emotalk_core.perception.tracking.stage import track_head
from emotalk_core.types.manifest import Manifest

SIZE, FOCAL, FRAMES = 256, 640.0, 120


@dataclasses.dataclass(frozen=True)
class Truth:
    turns: np.ndarray
    shifts: np.ndarray
    expression: np.ndarray
    points: np.ndarray


def make_truth(noise: float = 0.3) -> Truth:
    """A talking, nodding average person as FaceMesh sees one: px with noise, relative depth."""
    rng = np.random.default_rng(0)
    neutral, deltas, names = landmark_basis()
    t = np.arange(FRAMES) / 25
    turns = np.radians(
        np.stack([4 * np.sin(2 * t), 9 * np.sin(1.3 * t + 1), 4 * np.sin(0.9 * t)], axis=1)
    )
    shifts = np.stack([0.01 * np.sin(t), 0.01 + 0.004 * np.cos(t), 0.8 + 0.02 * np.sin(t)], axis=1)
    expression = np.zeros((FRAMES, 52))
    expression[:, names.index("jawOpen")] = np.clip(0.3 * np.sin(5 * t), 0, 1)
    for side in ("Left", "Right"):
        expression[40:44, names.index("eyeBlink" + side)] = 0.9
        expression[70:, names.index("mouthSmile" + side)] = 0.5
        expression[20:60, names.index("browDown" + side)] = 0.6
    world = neutral + np.einsum("tk,knc->tnc", expression, deltas)
    path = HeadPath(neutral, turns, shifts, FOCAL, (SIZE / 2, SIZE / 2))
    camera = to_camera(path, world)
    points = np.concatenate(
        [project(camera, FOCAL, path.centre), (camera[..., 2:] - 0.8) * FOCAL / 0.8], axis=-1
    )
    points[..., :2] += rng.normal(0, noise, points[..., :2].shape)
    points[..., 2] += rng.normal(0, 2.0, points[..., 2].shape)
    return Truth(turns, shifts, expression, points)


@pytest.fixture(scope="module")
def truth() -> Truth:
    return make_truth()


@pytest.fixture(scope="module")
def head(truth: Truth) -> HeadTrack:
    points = truth.points.copy()
    points[50:53] = np.nan
    return solve_head(fill_gaps(points), SIZE, SIZE, TrackingSettings(focal_prior=2.4))


def test_pose_of_a_known_head_is_recovered(truth: Truth, head: HeadTrack) -> None:
    found = Rotation.from_matrix(head.cameras.viewmats[:, :3, :3])
    error = np.degrees((found * Rotation.from_rotvec(truth.turns).inv()).magnitude())
    assert error[head.valid].mean() < 1.5
    assert error[50:53].max() < 3  # frames without a face follow their neighbours
    motion = head.cameras.viewmats[:, :2, 3] - truth.shifts[:, :2]
    assert np.abs(motion - motion.mean(axis=0)).mean() < 0.002
    jitter = np.diff(found.as_rotvec(), 2, axis=0).std() / np.diff(truth.turns, 2, axis=0).std()
    assert jitter < 1.5
    assert head.cameras.Ks[0, 0, 0] == pytest.approx(FOCAL, rel=0.15)


def test_world_has_the_face_models_axes_and_scale(head: HeadTrack) -> None:
    neutral, _, _ = landmark_basis()
    assert np.linalg.norm(head.neutral - neutral, axis=1).mean() < 0.003
    distance = np.linalg.norm(head.neutral[33] - head.neutral[263])
    assert distance == pytest.approx(tp.OUTER_EYE_DISTANCE, rel=0.05)


def test_expression_follows_the_truth(truth: Truth, head: HeadTrack) -> None:
    def correlation(name: str) -> float:
        column = head.expression_names.index(name)
        return float(np.corrcoef(head.expression[:, column], truth.expression[:, column])[0, 1])

    assert head.expression.min() >= 0 and head.expression.max() <= 1
    assert correlation("jawOpen") > 0.95
    assert correlation("mouthSmileLeft") > 0.95
    assert correlation("eyeBlinkRight") > 0.9
    assert correlation("browDownLeft") > 0.9


def test_world_landmarks_project_onto_the_seen_ones(truth: Truth, head: HeadTrack) -> None:
    view = head.cameras.viewmats
    camera = head.landmarks_world @ view[:, :3, :3].transpose(0, 2, 1) + view[:, None, :3, 3]
    again = project(camera, head.cameras.Ks[0, 0, 0], (SIZE / 2, SIZE / 2))
    error = np.linalg.norm(again - truth.points[..., :2], axis=-1)
    assert error[head.valid].mean() < 0.6  # noise of .3 px in x and y
    assert head.reprojection_error[head.valid].mean() < 1.0
    assert np.corrcoef(head.lip_opening, truth.expression[:, 24])[0, 1] > 0.96


def test_missing_and_jumping_frames_are_marked_and_interpolated(truth: Truth) -> None:
    points = truth.points.copy()
    points[10] = np.nan
    points[30] += [150, 0, 0]
    clip = fill_gaps(points)
    assert np.flatnonzero(~clip.valid).tolist() == [10, 30]
    assert clip.reasons[10] == "no face found" and "jumps" in clip.reasons[30]
    assert np.allclose(clip.points[10], (points[9] + points[11]) / 2)
    refuse_bad_clip(clip, 0.1)
    with pytest.raises(InputError, match=r"10 \(no face found\), 30"):
        refuse_bad_clip(clip, 0.01)


def test_no_face_at_all_is_refused() -> None:
    with pytest.raises(InputError, match="no frame shows a face"):
        fill_gaps(np.full((5, 478, 3), np.nan))


def test_second_difference_bands_are_those_of_the_dense_matrix() -> None:
    rng = np.random.default_rng(1)
    d = np.diff(np.eye(7), 2, axis=0)
    values = rng.normal(size=(7, 3))
    assert np.allclose(apply_bands(second_difference_bands(7), values), d.T @ d @ values)


def test_similarity_is_recovered_and_realign_keeps_pictures() -> None:
    rng = np.random.default_rng(2)
    points = rng.normal(size=(20, 3)) * 0.05
    change = shapes.Similarity(1.3, Rotation.from_rotvec([0.1, 0.2, -0.3]).as_matrix(), np.ones(3))
    found = shapes.fit_similarity(points, change.apply(points))
    assert found.scale == pytest.approx(1.3)
    assert np.allclose(found.rotation, change.rotation)
    path = HeadPath(points, np.array([[0.1, 0.0, 0.2]]), np.array([[0.0, 0.1, 1.0]]), 500.0, (9, 9))
    moved = shapes.realign(path, change)
    before = project(to_camera(path, path.shape), 500.0, (9, 9))
    assert np.allclose(project(to_camera(moved, moved.shape), 500.0, (9, 9)), before)


def test_exact_poses_stay_where_they_are(truth: Truth) -> None:
    neutral, _, _ = landmark_basis()
    shape = neutral[list(tp.rigid_points())].astype(np.float64)
    path = HeadPath(shape, truth.turns, truth.shifts, FOCAL, (128.0, 128.0))
    seen = project(to_camera(path, shape), FOCAL, path.centre)
    rough = dataclasses.replace(path, turns=path.turns + 0.05, shifts=path.shifts + 0.01)
    solved = solve_poses(rough, seen, np.ones(seen.shape[:2]), 70.0, 0.09, smoothing=0.0)
    assert np.abs(solved.turns - truth.turns).max() < 1e-4
    assert np.abs(solved.shifts - truth.shifts).max() < 1e-4


def test_stage_writes_what_the_contract_says(tmp_path: Path) -> None:
    clip = Path(__file__).parents[3] / "../shared/real/obama.mp4"
    if not clip.exists():
        pytest.skip("../shared/real is absent")
    import cv2

    capture = cv2.VideoCapture(str(clip))
    frames = [np.ascontiguousarray(capture.read()[1][:, :, ::-1]) for _ in range(80)]
    frames[20][:] = 0
    write_video(tmp_path / "video.mkv", frames)
    facts = Manifest("a", "a.mp4", "0", 256, 256, 80, 51200, (0, 256, 0, 256), 0.0, 0.0, 72)
    write_manifest(tmp_path / "manifest.json", facts)
    paths = {n: tmp_path / n for n in ("track.npz", "cameras.json", "again.npz", "again.json")}
    for track, cameras in (("track.npz", "cameras.json"), ("again.npz", "again.json")):
        track_head(
            manifest=tmp_path / "manifest.json",
            video=tmp_path / "video.mkv",
            track=paths[track],
            cameras=paths[cameras],
            settings=TrackingSettings(shape_frames=40),
        )
    assert paths["track.npz"].read_bytes() == paths["again.npz"].read_bytes()
    assert paths["cameras.json"].read_bytes() == paths["again.json"].read_bytes()
    arrays = read_arrays(paths["track.npz"])
    shapes_wanted = {"landmarks": (80, 478, 2), "landmarks_world": (80, 478, 3)}
    shapes_wanted |= {"neutral": (478, 3), "expression": (80, 52), "expression_names": (52,)}
    shapes_wanted |= {"lip_opening": (80,), "eye_opening": (80,), "reprojection_error": (80,)}
    assert {n: arrays[n].shape for n in shapes_wanted} == shapes_wanted
    assert np.flatnonzero(~arrays["valid"]).tolist() == [20]
    assert arrays["reason"][20] == "no face found" and arrays["reason"][0] == ""
    camera_path = read_cameras(paths["cameras.json"])
    assert len(camera_path) == 80
    assert np.abs(arrays["landmarks_world"]).max() < 0.15
    assert arrays["reprojection_error"].mean() < 0.02 * 78  # 2 % of the outer eye distance
