"""The packaged evaluators on a real face: known faults of a real clip are noticed."""

from __future__ import annotations

from pathlib import Path

import av
import cv2
import numpy as np
import pytest

from emotalk_core.actor.face_model import landmark_basis
from emotalk_core.evaluation.face_points import lid_opening, lip_opening
from emotalk_core.evaluation.metrics.action_unit_error import LOWER_UNITS, UPPER_UNITS
from emotalk_core.evaluation.metrics.base import FrameEvidence
from emotalk_core.evaluation.metrics.registry import load_metrics
from emotalk_core.evaluation.readers import PackagedActionUnits, open_readers
from emotalk_core.media.tables import write_arrays
from emotalk_core.perception.tracking.single_frame import SingleFrameFitter

REAL = Path(__file__).parents[2] / ".." / "shared" / "real"
N_FRAMES = 50


@pytest.fixture
def subject(tmp_path: Path) -> tuple[Path, Path, int]:
    """A track of one frame, which the sync judge reads; for landmarks alone nothing else is."""
    track = tmp_path / "track.npz"
    points = landmark_basis()[0][None, :, :2].astype(np.float32)
    write_arrays(track, landmarks=points, valid=np.ones(1, bool))
    return track, tmp_path / "valence_arousal.csv", 1


@pytest.fixture(scope="module")
def frames() -> np.ndarray:
    clip = REAL / "obama.mp4"
    if not clip.exists():
        pytest.skip("../shared/real is absent")
    with av.open(str(clip)) as container:
        pictures = container.decode(video=0)
        return np.stack([next(pictures).to_ndarray(format="rgb24") for _ in range(N_FRAMES)])


def test_blur_keeps_the_lips_and_late_lips_are_noticed(
    frames: np.ndarray, subject: tuple[Path, Path, int]
) -> None:
    with open_readers("cross_audio", *subject) as readers:
        truth = [readers.read(f) for f in frames]
        blurred = [readers.read(cv2.GaussianBlur(f, (0, 0), 1.2)) for f in frames]
    assert all(face is not None for face in (*truth, *blurred))
    late = np.roll(np.array(truth, dtype=object), 9).tolist()
    metrics = load_metrics()

    def value(name: str, faces: list) -> float:
        rows = zip(faces, truth, frames)
        evidence = [FrameEvidence("c", p, p, face=a, source_face=b) for a, b, p in rows]
        return metrics[name].reduce(np.array([metrics[name].terms(e) for e in evidence]))

    assert value("lip_r", blurred) > 0.9 > 0.6 > value("lip_r", late)
    assert value("lmd", blurred) < 1.0 < value("lmd", late)
    assert value("lip_amplitude", blurred) == pytest.approx(1, abs=0.2)


def test_a_reading_depends_on_its_own_picture_only(
    frames: np.ndarray, subject: tuple[Path, Path, int]
) -> None:
    with open_readers("cross_audio", *subject) as readers:
        forward = [readers.read(f) for f in frames[:6]]
        backward = [readers.read(f) for f in frames[5::-1]][::-1]
    for a, b in zip(forward, backward):
        np.testing.assert_array_equal(a.landmarks, b.landmarks)


def test_action_units_of_single_frames_follow_lips_and_lids(
    frames: np.ndarray, subject: tuple[Path, Path, int]
) -> None:
    person = SingleFrameFitter.of_person(landmark_basis()[0])
    with open_readers("cross_audio", *subject) as readers:
        faces = [readers.read(f) for f in frames[::2]]
    lids = np.array([lid_opening(f.landmarks) for f in faces])
    reader = PackagedActionUnits(person, lids)
    units = [reader.read(f, face.landmarks) for f, face in zip(frames[::2], faces)]
    assert set(units[0]) == {*UPPER_UNITS, *LOWER_UNITS}
    assert all(0 <= value <= 5 for row in units for value in row.values())
    lips = np.array([lip_opening(f.landmarks) for f in faces])
    assert np.corrcoef([row["AU25"] for row in units], lips)[0, 1] > 0.95
    assert np.corrcoef([row["AU26"] for row in units], lips)[0, 1] > 0.7
    assert np.corrcoef([row["AU45"] for row in units], lids)[0, 1] < -0.9
