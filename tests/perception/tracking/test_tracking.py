from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from emotalk_core.actor.face_model import landmark_basis
from emotalk_core.errors import InputError, WeightsError
from emotalk_core.geometry.bands import (
    apply_bands,
    second_difference_bands,
    smooth,
    stiffness,
)
from emotalk_core.media.tables import read_arrays, read_cameras, write_manifest
from emotalk_core.media.video import write_video
from emotalk_core.perception.landmarks import topology as tp
from emotalk_core.perception.tracking import shape as shapes
from emotalk_core.perception.tracking.bundle import align, solve_shifts
from emotalk_core.perception.tracking.clip import fill_gaps, refuse_bad_clip
from emotalk_core.perception.tracking.detector_model import DetectorModel, detector_model
from emotalk_core.perception.tracking.expression import from_rest
from emotalk_core.perception.tracking.measure_detector import PersonFrames, fit_people
from emotalk_core.perception.tracking.path import HeadPath, project, to_camera, unproject
from emotalk_core.perception.tracking.settings import TrackingSettings
from emotalk_core.perception.tracking.solve import HeadTrack, solve_head
from emotalk_core.perception.tracking.stage import principal_point, track_head, usable
from emotalk_core.types.manifest import Manifest
from emotalk_core.weights import FOLDER_VARIABLE, POLICY_VARIABLE

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
    rotations = Rotation.from_rotvec(turns).as_matrix()
    path = HeadPath(rotations, shifts, FOCAL, (SIZE / 2, SIZE / 2))
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
    settings = TrackingSettings(camera_distance=0.8)
    exact = DetectorModel.of_geometry()  # the points are the face model's own
    return solve_head(fill_gaps(points), SIZE, SIZE, settings, model=exact)


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


def test_smoothing_halves_at_its_frequency_and_bridges_gaps() -> None:
    t = np.arange(500) / 25
    wave = np.sin(2 * np.pi * 3 * t)[:, None]
    smoothed = smooth(wave, np.ones(500), stiffness(3.0))
    middle = slice(100, 400)
    assert np.abs(smoothed[middle]).max() == pytest.approx(0.5, abs=0.01)
    weights = np.ones(500)
    weights[200:203] = 0
    line = np.arange(500.0)[:, None]
    torn = line.copy()
    torn[200:203] = 1e3
    assert np.allclose(smooth(torn, weights, 5.0), line, atol=0.05)


def test_similarity_is_recovered() -> None:
    rng = np.random.default_rng(2)
    points = rng.normal(size=(20, 3)) * 0.05
    change = shapes.Similarity(1.3, Rotation.from_rotvec([0.1, 0.2, -0.3]).as_matrix(), np.ones(3))
    found = shapes.fit_similarity(points, change.apply(points))
    assert found.scale == pytest.approx(1.3)
    assert np.allclose(found.rotation, change.rotation)


def test_exact_points_give_exact_poses(truth: Truth) -> None:
    model = DetectorModel.of_geometry()
    shape, rotations = model.neutral, Rotation.from_rotvec(truth.turns).as_matrix()
    path = HeadPath(rotations, truth.shifts, FOCAL, (128.0, 128.0))
    camera = to_camera(path, shape)
    rough = (
        Rotation.from_rotvec(truth.turns) * Rotation.from_rotvec([0.05, -0.04, 0.03])
    ).as_matrix()
    fitted = align(0.7 * camera, shape, rough, model, model.rigid_precision)
    assert np.abs(fitted.rotations - rotations).max() < 1e-5
    assert np.abs(fitted.points - shape).max() < 1e-6
    seen = project(camera, FOCAL, path.centre)
    valid = np.ones(len(seen), dtype=bool)
    shapes_seen = np.repeat(shape[None], len(seen), axis=0)
    found = solve_shifts(rotations, shapes_seen, seen, valid, FOCAL, path.centre, smoothing=0.0)
    assert np.allclose(found.shifts, truth.shifts, atol=1e-9)


def test_people_are_measured_as_tracked_in_their_true_axes() -> None:
    model = DetectorModel.of_geometry()
    rng = np.random.default_rng(4)
    rotations = Rotation.from_rotvec(rng.normal(0, 0.1, (8, 3))).as_matrix()
    depth = 1.1 + model.neutral[list(tp.rigid_points()), 2].mean()
    people = []
    for sign in (1, -1):
        truth = model.neutral + sign * model.person_modes[0]
        path = HeadPath(rotations, np.tile([0.0, 0.0, 1.1], (8, 1)), 700.0, (128.0, 128.0))
        camera = to_camera(path, truth)
        relative = (camera[..., 2:] - depth) * 700.0 / depth
        seen = np.concatenate([project(camera, 700.0, path.centre), relative], axis=-1)
        nothing = np.zeros((8, 478, 3))
        people.append(PersonFrames(truth, nothing, np.zeros((8, 52)), rotations, seen))
    found = fit_people(people, model)
    assert np.abs(found["person"] - model.neutral).max() < 0.002  # metres
    mode = found["person_modes"][0].astype(float).ravel()
    wanted = model.person_modes[0].ravel()
    alike = mode @ wanted / np.linalg.norm(mode) / np.linalg.norm(wanted)
    assert abs(alike) > 0.9


def test_unprojection_undoes_projection() -> None:
    path = HeadPath(np.eye(3)[None], np.array([[0.02, -0.01, 0.9]]), 500.0, (90.0, 110.0))
    camera = to_camera(path, np.random.default_rng(3).normal(size=(6, 3)) * 0.05)
    relative = (camera[..., 2:] - 0.9) * 500.0 / 0.9
    seen = np.concatenate([project(camera, 500.0, path.centre), relative], axis=-1)
    assert np.allclose(unproject(seen, np.array([0.9]), 500.0, path.centre), camera)


def test_slow_shapes_count_from_the_persons_rest() -> None:
    names = ("browInnerUp", "jawOpen")
    seen = np.stack([np.linspace(-0.1, 0.4, 101), np.linspace(0.2, 0.7, 101)], axis=1)
    found, rest = from_rest(seen, names)
    assert rest == pytest.approx([-0.075, 0.0])
    assert found[0].tolist() == [0.0, 0.2] and found[-1] == pytest.approx([0.475, 0.7])


def test_measured_model_is_plausible_and_its_covariances_are_regular() -> None:
    model, names = detector_model("facemesh"), landmark_basis()[2]
    assert model.names == names
    geometry = landmark_basis()[1]
    jaw = names.index("jawOpen")
    drop = model.expression[jaw, tp.CHIN, 1] / geometry[jaw, tp.CHIN, 1]
    assert 0.6 < drop < 1.4  # the detector follows the chin
    assert np.linalg.eigvalsh(model.precision).min() > 0
    assert np.linalg.eigvalsh(model.rigid_precision).min() > 0
    assert detector_model("another").pose.max() == 0


def test_without_its_weight_file_a_detector_is_replaced_or_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(FOLDER_VARIABLE, str(tmp_path))
    assert usable("facemesh") == "facemesh"
    assert usable("face_landmarker") == "facemesh"
    monkeypatch.setenv(POLICY_VARIABLE, "error")
    with pytest.raises(WeightsError, match="face_landmarker: missing"):
        usable("face_landmarker")


def test_principal_point_is_the_middle_of_the_source() -> None:
    whole = {"source_picture": [0, 400, 0, 600]}
    crop = (50, 250, 300, 500)
    facts = Manifest("a", "a.mp4", "0", 100, 100, 80, 51200, crop, 0.0, 0.0, 72, provenance=whole)
    assert principal_point(facts) == (0.0, 75.0)
    barred = dataclasses.replace(facts, provenance={"source_picture": [0, 400, 100, 600]})
    assert principal_point(barred) == (25.0, 75.0)
    bare = dataclasses.replace(facts, provenance={})
    assert principal_point(bare) == (50.0, 50.0)


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
            settings=TrackingSettings(),
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
