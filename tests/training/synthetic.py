"""A small made-up subject on disk: a grey egg that opens its mouth and shuts its eyes to a tone."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pandas as pd

from emotalk_core.media.tables import (
    read_arrays,
    write_arrays,
    write_cameras,
    write_manifest,
    write_table,
)
from emotalk_core.media.video import write_video
from emotalk_core.perception.landmarks.topology import (
    INNER_LIPS,
    LEFT_EYE,
    OUTER_LIPS,
    RIGHT_EYE,
)
from emotalk_core.types.camera import CameraPath
from emotalk_core.types.manifest import Manifest
from emotalk_core.types.regions import LABEL

SIZE, N_FRAMES, N_TRAIN = 48, 22, 20
FOCAL, DISTANCE = 110.0, 0.6
FEATURE_DIM = 6


def neutral_mesh() -> np.ndarray:
    """478 points on the front of an egg, with rings for lips and lids."""
    rng = np.random.default_rng(5)
    angle, radius = rng.uniform(0, 2 * np.pi, 478), np.sqrt(rng.uniform(0, 1, 478))
    x, y = 0.07 * radius * np.cos(angle), 0.09 * radius * np.sin(angle)
    for ring, centre, size in (
        (INNER_LIPS, (0.0, 0.045), (0.02, 0.004)),
        (OUTER_LIPS, (0.0, 0.045), (0.026, 0.012)),
        (RIGHT_EYE, (-0.03, -0.02), (0.012, 0.005)),
        (LEFT_EYE, (0.03, -0.02), (0.012, 0.005)),
    ):
        turn = np.linspace(0, 2 * np.pi, len(ring), endpoint=False) + np.pi
        x[list(ring)] = centre[0] + size[0] * np.cos(turn)
        y[list(ring)] = centre[1] + size[1] * np.sin(turn)
    z = -0.05 * np.sqrt(np.clip(1 - (x / 0.08) ** 2 - (y / 0.1) ** 2, 0, 1))
    return np.stack([x, y, z], axis=1).astype(np.float32)


def make_subject(folder: Path, seed: int = 0) -> dict[str, Path]:
    """Write every artifact that training and rendering read; returns their paths by name."""
    rng = np.random.default_rng(seed)
    opening = 0.5 + 0.5 * np.sin(np.arange(N_FRAMES) * 0.9)
    neutral = neutral_mesh()
    world = np.repeat(neutral[None], N_FRAMES, axis=0)
    lower = [i for i in INNER_LIPS if neutral[i, 1] > 0.045]
    world[:, lower, 1] += 0.012 * opening[:, None]
    intrinsics = np.array([[FOCAL, 0, SIZE / 2], [0, FOCAL, SIZE / 2], [0, 0, 1.0]])
    viewmats = np.repeat(np.eye(4)[None], N_FRAMES, axis=0)
    viewmats[:, 0, 3] = 0.004 * np.sin(np.arange(N_FRAMES) * 0.5)
    viewmats[:, 2, 3] = DISTANCE
    in_camera = world + viewmats[:, None, :3, 3]
    landmarks = in_camera[..., :2] / in_camera[..., 2:] * FOCAL + SIZE / 2
    pictures = [_frame(landmarks[i], rng) for i in range(N_FRAMES)]
    names = ("video", "regions", "alpha", "normals", "torso")
    paths = {name: folder / f"{name}.mkv" for name in names}
    for k, name in enumerate(names):
        write_video(paths[name], [picture[k] for picture in pictures])
    paths |= {
        "manifest": folder / "manifest.json",
        "track": folder / "track.npz",
        "cameras": folder / "cameras.json",
        "action_units": folder / "action_units.csv",
        "valence_arousal": folder / "valence_arousal.csv",
        "speech": folder / "speech.npz",
    }
    _tables(paths, opening, rng)
    write_cameras(
        paths["cameras"],
        CameraPath(SIZE, SIZE, 25, np.repeat(intrinsics[None], N_FRAMES, axis=0), viewmats),
    )
    write_arrays(
        paths["track"],
        landmarks=landmarks.astype(np.float32),
        landmarks_world=world.astype(np.float32),
        neutral=neutral,
        valid=np.ones(N_FRAMES, dtype=bool),
    )
    return paths


def _tables(paths: dict[str, Path], opening: np.ndarray, rng: np.random.Generator) -> None:
    write_manifest(
        paths["manifest"],
        Manifest(
            subject="egg",
            source_name="egg.mp4",
            source_sha256="0" * 64,
            width=SIZE,
            height=SIZE,
            n_frames=N_FRAMES,
            n_samples=N_FRAMES * 640,
            crop=(0, SIZE, 0, SIZE),
            av_offset_frames=0.0,
            av_offset_confidence=1.0,
            n_train=N_TRAIN,
        ),
    )
    units = {
        f"AU{n:02d}": np.abs(np.sin(np.arange(N_FRAMES) * 0.3 + n)) for n in (1, 2, 4, 5, 6, 7, 45)
    }
    frame = {"frame": np.arange(N_FRAMES), "valid": True}
    write_table(paths["action_units"], pd.DataFrame({**frame, **units, "AU25": 3 * opening}))
    emotion = {"valence": 0.2, "arousal": -0.1}
    write_table(paths["valence_arousal"], pd.DataFrame({**frame, **emotion}))
    features = opening[:, None, None] * np.ones((1, 16, FEATURE_DIM))
    features += 0.1 * rng.standard_normal(features.shape)
    write_arrays(
        paths["speech"], features=features.astype(np.float32), extractor=np.array("made-up")
    )


def _frame(points: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, ...]:
    """Picture, labels, alpha, normals and torso of one frame."""
    centre = (round(float(points[:, 0].mean())), SIZE // 2)
    head = cv2.ellipse(np.zeros((SIZE, SIZE), np.uint8), centre, (15, 19), 0, 0, 360, 1, -1) > 0
    mouth = np.zeros((SIZE, SIZE), np.uint8)
    cv2.fillPoly(mouth, [np.round(points[list(INNER_LIPS)]).astype(np.int32)], 1)
    labels = np.where(head, LABEL["skin"], LABEL["clothes"]).astype(np.uint8)
    labels[mouth > 0] = LABEL["inner_mouth"]
    shade = np.linspace(120, 200, SIZE)[None, :, None] * np.ones((SIZE, 1, 3))
    torso = np.full((SIZE, SIZE, 3), 40, np.uint8)
    picture = np.where(head[..., None], shade, torso).astype(np.uint8)
    picture[mouth > 0] = (90, 20, 20)
    normals = np.where((head & (mouth == 0))[..., None], np.uint8([128, 128, 0]), np.uint8(0))
    alpha = cv2.GaussianBlur(head.astype(np.uint8) * 255, (3, 3), 0)
    return picture, labels, alpha, normals, torso


def make_bank(folder: Path, subject: dict[str, Path]) -> dict[str, Path]:
    """An emotion bank of six images: the subject's own frames, brighter where valence is high."""
    from emotalk_core.media.video import read_video

    frames = [1, 4, 7, 10, 13, 16]
    video = read_video(subject["video"], frames).astype(np.float64)
    valence = np.linspace(-0.8, 0.8, len(frames))
    pictures = np.clip(video * (1 + 0.2 * valence[:, None, None, None]), 0, 255).astype(np.uint8)
    paths = {name: folder / f"{name}.mkv" for name in ("frames", "regions", "normals")}
    write_video(paths["frames"], pictures)
    for name in ("regions", "normals"):
        write_video(paths[name], read_video(subject[name], frames))
    index = {
        "image": np.arange(len(frames)),
        "source_frame": frames,
        "valence": valence,
        "arousal": 0.3,
        "accepted": [True] * 5 + [False],
    }
    # happy images have their lip corners a pixel higher
    landmarks = read_arrays(subject["track"], ("landmarks",))["landmarks"][frames].copy()
    landmarks[:, [61, 291], 1] -= valence[:, None].astype(np.float32)
    paths["landmarks"] = folder / "landmarks.npz"
    write_arrays(paths["landmarks"], landmarks=landmarks)
    paths["index"] = folder / "index.csv"
    write_table(paths["index"], pd.DataFrame(index))
    return paths
