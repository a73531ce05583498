from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from emotalk_core.errors import ConfigError, InputError
from emotalk_core.perception.landmarks import LANDMARK_DETECTORS, create_detector
from emotalk_core.perception.landmarks import topology as tp
from emotalk_core.weights import FOLDER_VARIABLE, PRESENT, state_of, weight_files

REAL = Path(__file__).parents[3] / "../shared/real"
IDS = {"facemesh": "facemesh-mediapipe-0.10.21", "face_landmarker": "face-landmarker-float16-1"}


@pytest.fixture(scope="module")
def frames() -> list[np.ndarray]:
    clip = REAL / "obama.mp4"
    if not clip.exists():
        pytest.skip("../shared/real is absent")
    capture = cv2.VideoCapture(str(clip))
    return [np.ascontiguousarray(capture.read()[1][:, :, ::-1]) for _ in range(4)]


def test_rings_are_disjoint_and_in_range() -> None:
    rings = (tp.INNER_LIPS, tp.OUTER_LIPS, tp.LIP_MIDDLE, tp.RIGHT_EYE, tp.LEFT_EYE, tp.OVAL)
    flat = [i for ring in rings for i in ring]
    assert len(flat) == len(set(flat))
    assert max(flat) < tp.N_SURFACE
    assert [len(r) for r in rings] == [20, 20, 40, 16, 16, 36]


def test_canonical_face_has_our_axes_and_scale() -> None:
    face = tp.canonical_face()
    right, left = face[list(tp.OUTER_EYE_CORNERS)]
    assert left[0] - right[0] == pytest.approx(tp.OUTER_EYE_DISTANCE, abs=2e-3)
    assert right[0] < 0 < left[0]  # the person's right eye lies at smaller image x
    assert face[tp.CHIN, 1] > face[tp.FOREHEAD, 1]  # y points down
    assert face[tp.NOSE_TIP, 2] < face[tp.EAR_POINTS[0], 2]  # z points away from the camera


def test_triangles_wind_outward_and_close_the_surface() -> None:
    face, triangles = tp.canonical_face(), tp.surface_triangles()
    assert triangles.shape == (898, 3) and triangles.max() == tp.N_SURFACE - 1
    a, b, c = face[triangles].transpose(1, 0, 2)
    normals = np.cross(b - a, c - a)
    assert (normals[:, 2] < 0).mean() > 0.96  # towards the camera (sides of the nose turn away)
    edges = np.sort(triangles[:, [0, 1, 1, 2, 2, 0]].reshape(-1, 2), axis=1)
    _, counts = np.unique(edges, axis=0, return_counts=True)
    assert set(counts.tolist()) == {1, 2}
    assert (counts == 1).sum() == len(tp.OVAL)  # the only border is the oval
    assert len(tp.hole_triangles()) == len(tp.INNER_LIPS) - 2


def test_rigid_points_leave_out_what_moves() -> None:
    rigid = set(tp.rigid_points())
    assert len(rigid) > 150
    assert not rigid & {*tp.LIPS, *tp.EYES, *tp.BROWS, tp.CHIN}


def test_unknown_detector_names_the_known_ones() -> None:
    with pytest.raises(ConfigError, match="facemesh"):
        create_detector("nope")


@pytest.mark.parametrize("name", LANDMARK_DETECTORS.names())
def test_detector_contract(
    name: str, frames: list[np.ndarray], monkeypatch: pytest.MonkeyPatch
) -> None:
    if name in weight_files():
        monkeypatch.setenv(FOLDER_VARIABLE, str(REAL.parent / "models"))
        if state_of(weight_files()[name]) != PRESENT:
            pytest.skip(f"weight file of {name} is absent")
    with create_detector(name) as detector:
        points = [detector.detect(frame) for frame in frames]
        assert detector.detect(np.zeros((256, 256, 3), np.uint8)) is None
    with create_detector(name) as detector:
        again = [detector.detect(frame) for frame in frames]
    assert detector.id == IDS[name] and detector.standing_for
    for first, second in zip(points, again, strict=True):
        assert first is not None and second is not None
        assert first.shape == (478, 3) and first.dtype == np.float32
        assert np.array_equal(first, second)
        assert first[33, 0] < first[263, 0] and first[10, 1] < first[152, 1]


def test_small_frames_are_enlarged(frames: list[np.ndarray]) -> None:
    small = cv2.resize(frames[0], (128, 128), interpolation=cv2.INTER_AREA)
    with create_detector(static=True) as detector:
        full, half = detector.detect(frames[0]), detector.detect(small)
    assert full is not None and half is not None
    eye = np.linalg.norm(full[33, :2] - full[263, :2])
    assert np.abs(full[:, :2] - 2 * half[:, :2]).mean() < 0.03 * eye


def test_wrong_frames_are_refused(frames: list[np.ndarray]) -> None:
    with create_detector() as detector, pytest.raises(InputError, match="uint8"):
        detector.detect(frames[0].astype(np.float32))
    with pytest.raises(InputError, match="not open"):
        detector.detect(frames[0])


def test_mirror_images_pair_up_and_known_pairs_are_right() -> None:
    mirror = np.array(tp.mirrored_surface())
    assert (mirror[mirror] == np.arange(tp.N_SURFACE)).all()
    assert mirror[33] == 263 and mirror[61] == 291 and mirror[1] == 1
    face = tp.canonical_face()
    assert np.allclose(face[mirror], face * [-1, 1, 1])
