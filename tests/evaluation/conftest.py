"""A tiny subject on disk whose face readings are written into its pixels."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from emotalk_core.evaluation.audio_lips import frame_features
from emotalk_core.evaluation.evaluators import Evaluator
from emotalk_core.evaluation.face_points import lip_opening
from emotalk_core.evaluation.readers import DrivenClip, FaceReaders
from emotalk_core.media.audio import read_audio, write_wav
from emotalk_core.media.tables import write_arrays, write_manifest, write_table
from emotalk_core.media.video import write_video
from emotalk_core.types.manifest import FPS, SAMPLE_RATE, Manifest
from emotalk_core.types.regions import LABEL

N_FRAMES, N_TRAIN, SIDE = 132, 80, 48
NO_FACE = 255  # value of the first pixel that hides the face from the test's reader


def landmarks(gap_px: float) -> np.ndarray:
    """A face of 478 points in a 48 px picture: eye corners 20 px apart, lips `gap_px` apart."""
    points = np.full((478, 3), 24.0)
    points[33, :2], points[263, :2] = (14, 18), (34, 18)
    points[61, :2], points[291, :2] = (18, 34), (30, 34)
    points[13, :2], points[14, :2] = (24, 34), (24, 34 + gap_px)
    return points


class PixelLandmarks:
    """Reads the lip gap from the first pixel."""

    def detect(self, frame: np.ndarray) -> np.ndarray | None:
        value = int(frame[0, 0, 0])
        return None if value == NO_FACE else landmarks(value / 10)


class PixelUnits:
    """Every action unit is the second pixel / 10."""

    names = tuple(
        f"AU{n:02d}" for n in (1, 2, 4, 5, 6, 7, 9, 10, 12, 14, 15, 17, 20, 23, 25, 26, 45)
    )

    def read(self, frame: np.ndarray, landmarks: np.ndarray) -> dict[str, float]:
        return dict.fromkeys(self.names, float(frame[0, 1, 0]) / 10)


class PixelEmotion:
    """Valence, arousal and class from pixels 2, 3 and 4 of the first row."""

    def read(self, frame: np.ndarray, landmarks: np.ndarray) -> tuple[float, float, np.ndarray]:
        valence, arousal = ((frame[0, k, 0] - 100.0) / 100 for k in (2, 3))
        posterior = np.full(8, 0.1)
        posterior[int(frame[0, 4, 0])] = 0.3
        return float(valence), float(arousal), posterior


class PixelIdentity:
    """Two numbers whose angle is pixel 5 of the first row, degrees."""

    id, standing_for = "pixel-reader", "a network"

    def embed(self, frame: np.ndarray, landmarks: np.ndarray) -> np.ndarray:
        angle = np.deg2rad(float(frame[0, 5, 0]))
        return np.array([np.cos(angle), np.sin(angle)])

    @staticmethod
    def files() -> list[Path]:
        return []


class LoudLips:
    """A sync expert that expects lips to open with the loudness of the sound."""

    def distances(self, clip: DrivenClip) -> np.ndarray:
        sound = read_audio(clip.sound)
        loud = np.sqrt((sound[: len(sound) // 640 * 640].reshape(-1, 640) ** 2).mean(axis=1))
        lips = np.array([lip_opening(p) for p in clip.landmarks])
        shifted = clip.audio_frames[:, None] + np.arange(-5, 6)[None]
        heard = loud[np.clip(shifted, 0, len(loud) - 1)]
        return np.abs(heard / loud.max() - (lips / 0.25)[:, None])


def readers() -> FaceReaders:
    """The pixel readers with ids."""
    stand_in = Evaluator("pixel-reader", "a network")
    kinds = ("landmarks", "action_units", "emotion", "lip_audio", "identity", "sync", "perceptual")
    return FaceReaders(
        PixelLandmarks(),
        PixelUnits(),
        PixelEmotion(),
        {"image": Evaluator("pixels-lossless-1"), **dict.fromkeys(kinds, stand_in)},
        identity=PixelIdentity(),
        sync={"sync": LoudLips()},
    )


@dataclass(frozen=True)
class TinySubject:
    """Paths by artifact name, and the frames."""

    folder: Path
    frames: np.ndarray

    def __getitem__(self, name: str) -> Path:
        suffix = {"audio": "wav", "manifest": "json", "track": "npz", "speech": "npz"}
        suffix |= {"action_units": "csv", "valence_arousal": "csv"}
        return self.folder / f"{name}.{suffix.get(name, 'mkv')}"

    def paths(self, *names: str) -> dict[str, Path]:
        return {name: self[name] for name in names}

    def add_render(self, name: str, frames: np.ndarray, table: pd.DataFrame) -> tuple[Path, Path]:
        video = self.folder / "renders" / "emotalk" / f"{name}.mkv"
        write_video(video, frames)
        write_table(video.with_suffix(".csv"), table)
        return video, video.with_suffix(".csv")


def _frames(gaps: np.ndarray) -> np.ndarray:
    generator = np.random.default_rng(3)
    ground = generator.integers(40, 200, (SIDE, SIDE, 3))
    frames = ground + generator.integers(-4, 5, (N_FRAMES, SIDE, SIDE, 3))
    frames = frames.astype(np.uint8)
    frames[:, 0, 0] = np.round(gaps * 10).astype(np.uint8)[:, None]
    frames[:, 0, 1] = 10
    frames[:, 0, 2:4] = 100
    frames[:, 0, 4] = 0
    return frames


def make_subject(folder: Path) -> TinySubject:
    """Write all artifacts; the lips follow the loudness of the sound."""
    generator = np.random.default_rng(7)
    per_frame = SAMPLE_RATE // FPS
    loud = np.repeat(generator.integers(0, 2, N_FRAMES // 4 + 1), 4)[:N_FRAMES]
    sound = generator.normal(0, 0.1, N_FRAMES * per_frame) * np.repeat(loud, per_frame)
    assert frame_features(sound.astype(np.float32), N_FRAMES).shape[0] == N_FRAMES
    gaps = 1.0 + 4.0 * np.convolve(loud, np.ones(3) / 3, mode="same")
    frames = _frames(gaps)
    subject = TinySubject(folder, frames)
    manifest = Manifest(
        "tiny", "tiny.mp4", "0" * 64, SIDE, SIDE, N_FRAMES, len(sound), (0, SIDE, 0, SIDE), 0.0,
        1.0, N_TRAIN,
    )  # fmt: skip
    write_manifest(subject["manifest"], manifest)
    write_wav(subject["audio"], sound.astype(np.float32))
    labels = np.zeros((SIDE, SIDE), np.uint8)
    labels[8:42, 10:38] = LABEL["skin"]
    labels[42:, 10:38] = LABEL["neck"]
    points = np.stack([landmarks(g)[:, :2] for g in gaps]).astype(np.float32)
    # the pose drifts, so that the nearest training pose of a late frame is the last training frame
    points[:, :, 0] += np.linspace(0, 1, N_FRAMES, dtype=np.float32)[:, None]
    write_video(subject["video"], frames)
    for name, picture in (("regions", labels), ("alpha", (labels > 0).astype(np.uint8) * 255)):
        write_video(subject[name], [picture] * N_FRAMES)
    for name in ("torso", "normals"):
        write_video(subject[name], [np.zeros((SIDE, SIDE, 3), np.uint8)] * N_FRAMES)
    write_arrays(
        subject["track"],
        landmarks=points,
        lip_opening=(gaps / 20).astype(np.float32),
        eye_opening=np.full(N_FRAMES, 0.2, np.float32),
        reprojection_error=np.full(N_FRAMES, 0.3, np.float32),
        valid=np.ones(N_FRAMES, bool),
        reason=np.array([""] * N_FRAMES),
    )
    write_arrays(
        subject["speech"],
        features=np.zeros((N_FRAMES, 16, 4), np.float32),
        extractor=np.array("test-features"),
        silence=loud == 0,
    )
    for name in ("action_units", "valence_arousal"):
        write_table(subject[name], pd.DataFrame({"frame": range(N_FRAMES), "valid": 1}))
    return subject


@pytest.fixture(scope="session")
def original(tmp_path_factory: pytest.TempPathFactory) -> TinySubject:
    """The subject that tests copy; none writes into it."""
    return make_subject(tmp_path_factory.mktemp("tiny"))


@pytest.fixture
def tiny(original: TinySubject, tmp_path: Path) -> TinySubject:
    """A copy of the subject for one test."""
    shutil.copytree(original.folder, tmp_path, dirs_exist_ok=True)
    return TinySubject(tmp_path, original.frames)
