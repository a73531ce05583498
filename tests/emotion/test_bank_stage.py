"""The stage: files, index, order, determinism over threads, rejection, refusal of bad inputs."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest

from emotalk_core.emotion import readings
from emotalk_core.emotion.circle import evaluation_points
from emotalk_core.emotion.stage import INDEX_COLUMNS, BankSettings, make_bank
from emotalk_core.errors import ArtifactError, ConfigError
from emotalk_core.media.tables import read_arrays, read_table, write_arrays, write_manifest
from emotalk_core.media.video import VideoReader, write_video
from emotalk_core.perception.landmarks.topology import INNER_LIPS, OVAL
from emotalk_core.types.manifest import Manifest
from emotalk_core.types.regions import LABEL
from tests.emotion.conftest import SIZE, draw_face

N_FRAMES, N_TRAIN = 12, 10
OUTPUTS = {
    "bank_frames": "frames.mkv",
    "bank_regions": "regions.mkv",
    "bank_normals": "normals.mkv",
    "bank_landmarks": "landmarks.npz",
    "bank_index": "index.csv",
}


class StillDetector:
    """Finds the drawn face where it was drawn; stands for FaceMesh, which sees no face in noise."""

    def __init__(self, static=False):
        assert static

    def __enter__(self):
        return self

    def __exit__(self, *_):
        return None

    def detect(self, frame):
        return np.c_[draw_face().landmarks, np.zeros(478)]


class BlindDetector(StillDetector):
    def detect(self, frame):
        return None


@pytest.fixture(scope="module")
def inputs(tmp_path_factory):
    import cv2

    folder = tmp_path_factory.mktemp("subject")
    faces = [draw_face(yaw=y) for y in np.linspace(-0.2, 0.2, N_FRAMES)]
    labels, normals = [], []
    for face in faces:
        label = np.zeros((SIZE, SIZE), np.uint8)
        for ids, name in ((OVAL, "skin"), (INNER_LIPS, "inner_mouth")):
            cv2.fillPoly(label, [face.landmarks[list(ids)].astype(np.int32)], LABEL[name])
        normal = np.zeros((SIZE, SIZE, 3), np.uint8)
        normal[label == LABEL["skin"]] = (128, 128, 0)
        labels.append(label)
        normals.append(normal)
    paths = {
        name: folder / file
        for name, file in (
            ("manifest", "manifest.json"),
            ("video", "video.mkv"),
            ("track", "track.npz"),
            ("regions", "regions.mkv"),
            ("normals", "normals.mkv"),
        )
    }
    write_video(paths["video"], [f.image for f in faces])
    write_video(paths["regions"], labels)
    write_video(paths["normals"], normals)
    write_manifest(
        paths["manifest"],
        Manifest(
            "drawn", "drawn.mp4", "0" * 64, SIZE, SIZE, N_FRAMES, 7680, (0, 1, 0, 1), 0, 0, N_TRAIN
        ),
    )
    write_arrays(
        paths["track"],
        landmarks=np.stack([f.landmarks for f in faces]).astype(np.float32),
        neutral=faces[0].person.positions.astype(np.float32),
        expression=np.zeros((N_FRAMES, 1), np.float32),
        expression_names=np.array(["jawOpen"]),
        lip_opening=np.linspace(0, 0.1, N_FRAMES).astype(np.float32),
        eye_opening=np.full(N_FRAMES, 0.1, np.float32),
        reprojection_error=np.ones(N_FRAMES, np.float32),
        valid=np.ones(N_FRAMES, bool),
    )
    return paths


def run(inputs, folder, monkeypatch, detector=StillDetector, threads=1, **changes):
    monkeypatch.setattr(readings, "FaceMeshLandmarks", detector)
    outputs = {name: folder / file for name, file in OUTPUTS.items()}
    settings = BankSettings(**{"n_points": 3, "n_frames": 2, **changes})
    make_bank(**inputs, **outputs, settings=settings, seed=5, threads=threads)
    return outputs


def test_bank_is_whole_and_in_order(inputs, tmp_path, monkeypatch):
    outputs = run(inputs, tmp_path, monkeypatch)
    index = read_table(outputs["bank_index"], INDEX_COLUMNS)
    assert tuple(index.columns) == INDEX_COLUMNS
    assert index["image"].tolist() == list(range(6))
    assert index["source_frame"].max() < N_TRAIN
    assert index["source_frame"].is_monotonic_increasing
    assert index["accepted"].all()
    assert index[["valence_read", "arousal_read"]].abs().to_numpy().max() < 1
    assert index["identity_distance"].isna().all()
    for point in evaluation_points():
        distance = np.hypot(index["valence"] - point.valence, index["arousal"] - point.arousal)
        assert distance.min() >= 0.08
    sizes = [len(VideoReader(outputs[n])) for n in ("bank_frames", "bank_regions", "bank_normals")]
    assert sizes == [6, 6, 6]
    arrived = read_arrays(outputs["bank_landmarks"], ("landmarks",))["landmarks"]
    filmed_at = read_arrays(inputs["track"], ("landmarks",))["landmarks"][index["source_frame"]]
    assert arrived.shape == (6, 478, 2)
    assert 0.5 < np.linalg.norm(arrived - filmed_at, axis=2).max() < 20
    with VideoReader(outputs["bank_frames"]) as made, VideoReader(inputs["video"]) as filmed:
        row = index.iloc[4]
        picture, source = made[4], filmed[int(row["source_frame"])]
        assert np.array_equal(picture[:, :8], source[:, :8])
        assert np.abs(picture.astype(int) - source).max() > 20
    with VideoReader(outputs["bank_regions"]) as labels:
        assert set(np.unique(labels[4])) == {
            LABEL["background"],
            LABEL["skin"],
            LABEL["inner_mouth"],
        }


def test_threads_and_repetition_do_not_change_a_byte(inputs, tmp_path, monkeypatch):
    digests = []
    for name, threads in (("a", 1), ("b", 3)):
        (tmp_path / name).mkdir()
        outputs = run(inputs, tmp_path / name, monkeypatch, threads=threads, clone=True)
        digests.append([hashlib.sha256(p.read_bytes()).hexdigest() for p in outputs.values()])
    assert digests[0] == digests[1]


def test_rejected_images_stay_with_their_reason(inputs, tmp_path, monkeypatch):
    outputs = run(inputs, tmp_path, monkeypatch, detector=BlindDetector, max_rejected=1.0)
    index = read_table(outputs["bank_index"])
    assert not index["accepted"].any()
    assert set(index["reason"]) == {"no face found in the frame"}
    assert index["lip_opening_change"].isna().all()
    assert len(VideoReader(outputs["bank_frames"])) == 6


def test_too_many_rejected_leaves_nothing(inputs, tmp_path, monkeypatch):
    with pytest.raises(ArtifactError, match="6 of 6 images rejected"):
        run(inputs, tmp_path, monkeypatch, detector=BlindDetector)
    assert list(tmp_path.iterdir()) == []


def test_frame_counts_must_agree(inputs, tmp_path, monkeypatch):
    short = tmp_path / "short.mkv"
    write_video(short, [np.zeros((SIZE, SIZE), np.uint8)] * 3)
    with pytest.raises(ArtifactError, match="segment_regions"):
        run({**inputs, "regions": short}, tmp_path / "out", monkeypatch)


def test_settings_report_all_mistakes_at_once():
    with pytest.raises(ConfigError) as error:
        BankSettings(n_points=0, radius=2.0, generator="none")
    message = str(error.value)
    assert all(name in message for name in ("n_points", "radius", "generator"))
