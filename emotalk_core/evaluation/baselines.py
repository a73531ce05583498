"""Rows that cost nothing: computed chance, and the tables and frames of the trivial methods."""

from __future__ import annotations

import numpy as np
import pandas as pd
from jaxtyping import Float, Int, UInt8

from emotalk_core.emotion.circle import CLASSES, evaluation_points
from emotalk_core.evaluation.frames import SubjectFrames
from emotalk_core.evaluation.metrics.base import CROSS, EMOTION, SELF
from emotalk_core.perception.landmarks.topology import rigid_points
from emotalk_core.types.manifest import Manifest
from emotalk_core.types.metrics import MetricRow
from emotalk_core.types.renders import TEST_CLIP, point_clip

COMPUTED = "computed"  # evaluator of numbers that follow from the protocol alone
TOP_K = 3  # METHOD 1.6: frame-wise top-3 of 8 classes


def chance_values() -> dict[tuple[str, str], float]:
    """(scenario, metric) -> what blind guessing scores (METHOD 1.6).

    V = A = 0 at every point gives the RMSE; a sign drawn or held constant is right half the time;
    a uniformly random ranking has the label on top with 1/8 and among three with 3/8. A CONSTANT
    ranking that puts sad, contempt and happy first would score 8 of 12 = .667 in top-3.
    """
    target = np.array([(p.valence, p.arousal) for p in evaluation_points()])
    v_rmse, a_rmse = np.sqrt((target**2).mean(axis=0))
    emotion = {
        "v_rmse": float(v_rmse),
        "a_rmse": float(a_rmse),
        "v_sa": 0.5,
        "a_sa": 0.5,
        "ccc_v": 0.0,
        "ccc_a": 0.0,
        "e_acc_top1": 1 / len(CLASSES),
        "e_acc_top3": TOP_K / len(CLASSES),
        "lip_audio_r": 0.0,
    }
    values = {(EMOTION, name): value for name, value in emotion.items()}
    values[CROSS, "lip_audio_r"] = 0.0
    values.update({(SELF, name): 0.0 for name in ("lip_r", "lid_r", "lip_audio_r")})
    return values


def chance_rows(subject: str) -> list[MetricRow]:
    """The chance row of every metric that has a computed chance level."""
    return [
        MetricRow(
            subject=subject,
            method="chance",
            scenario=scenario,
            clip="all",
            metric=metric,
            value=value,
            n_frames=0,
            evaluator=COMPUTED,
            reference=True,
            frames_sha256="",
        )
        for (scenario, metric), value in chance_values().items()
    ]


def test_table(manifest: Manifest) -> pd.DataFrame:
    """Render table of the held-out part: every frame is its own source and hears its own sound."""
    frames = np.arange(manifest.n_train, manifest.n_frames)
    return pd.DataFrame(
        {
            "frame": np.arange(len(frames)),
            "clip": TEST_CLIP,
            "source_frame": frames,
            "audio_frame": frames,
            "valence": np.nan,
            "arousal": np.nan,
        }
    )


def points_table(manifest: Manifest) -> pd.DataFrame:
    """Render table with one frame for each of the 12 points."""
    points = evaluation_points()
    return pd.DataFrame(
        {
            "frame": np.arange(len(points)),
            "clip": [point_clip(p.valence, p.arousal) for p in points],
            "source_frame": manifest.n_train,
            "audio_frame": manifest.n_train,
            "valence": [p.valence for p in points],
            "arousal": [p.arousal for p in points],
        }
    )


def mean_frame(frames: SubjectFrames) -> UInt8[np.ndarray, "H W 3"]:
    """Mean of the training frames, rounded."""
    total = np.zeros(frames.picture(0).shape, dtype=np.float64)
    for index in range(frames.manifest.n_train):
        total += frames.picture(index)
    return np.round(total / frames.manifest.n_train).astype(np.uint8)


def nearest_poses(frames: SubjectFrames) -> Int[np.ndarray, " N"]:
    """For every test frame the valid training frame whose rigid landmarks lie nearest, [N]."""
    n_train = frames.manifest.n_train
    points: Float[np.ndarray, "T P"] = (
        frames.landmarks[:, list(rigid_points()), :2]
        .reshape(len(frames.landmarks), -1)
        .astype(np.float64)
    )
    train = np.flatnonzero(frames.valid[:n_train])
    if len(train) == 0:
        train = np.arange(n_train)
    # |a-b|^2 = |a|^2 + |b|^2 - 2ab, so that no [N,T,P] array is built
    cross = points[n_train:] @ points[train].T
    squares = (points[train] ** 2).sum(axis=1)
    return train[np.argmin(squares[None, :] - 2 * cross, axis=1)]
