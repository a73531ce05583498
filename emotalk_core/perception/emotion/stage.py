"""Stage: video and track in; valence_arousal.csv out."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float
from scipy.ndimage import gaussian_filter1d
from threadpoolctl import threadpool_limits

from emotalk_core.media import progress
from emotalk_core.media.tables import check_length, read_arrays, read_manifest, write_table
from emotalk_core.media.video import VideoReader, expect_frames
from emotalk_core.perception.emotion.circumplex import POSTERIOR_COLUMNS
from emotalk_core.perception.emotion.classes import CLASSES, ExpressionClasses, upright_face
from emotalk_core.perception.emotion.reader import (
    NETWORK_COLUMN,
    READER_ID,
    STANDING_FOR,
    relative_reading,
    rest_of_readings,
)
from emotalk_core.perception.emotion.reference import EmoNetReader, open_reference
from emotalk_core.perception.emotion.settings import EmotionReaderSettings

logger = logging.getLogger(__name__)


def read_emotion(
    *,
    manifest: Path,
    video: Path,
    track: Path,
    valence_arousal: Path,
    settings: EmotionReaderSettings,
    threads: int = 1,
) -> None:
    """Write valence, arousal (-1..1) and eight classes, relative to the clip's median face.

    EmoNet, where it is chosen and there, gives them as they are: it is absolute.

    The network's own posterior stands beside them: from it the person's rest is read again.

    Args:
        manifest: of the ingest stage.
        video: of the ingest stage.
        track: of the tracking stage.
        valence_arousal: written.
        settings: config block `emotion_reader`.
        threads: numeric threads.

    Raises:
        ArtifactError: frame counts disagree.
        WeightsError: the class network's file is missing.
    """
    facts = read_manifest(manifest)
    expect_frames(video, facts.n_frames, "ingest")
    arrays = read_arrays(track, ("landmarks", "neutral", "expression", "expression_names", "valid"))
    check_length("track.npz", len(arrays["valid"]), facts.n_frames, "tracking")
    reference = open_reference(settings.reader)
    if reference is None:
        logger.warning("emotion: %s stands for %s", READER_ID, STANDING_FOR)
    with threadpool_limits(threads):
        raw = _posteriors(video, arrays["landmarks"])
    smooth = settings.smooth_frames
    posterior = gaussian_filter1d(raw, smooth, axis=0, mode="nearest") if smooth > 0 else raw
    expression = arrays["expression"].astype(np.float64)
    if smooth > 0:
        expression = gaussian_filter1d(expression, smooth, axis=0, mode="nearest")
    names = tuple(arrays["expression_names"].tolist())
    seen = arrays["valid"].astype(bool)
    rest = rest_of_readings(arrays["neutral"], posterior[seen], expression[seen], names)
    circumplex, classes = relative_reading(posterior, expression, names, rest)
    if reference is not None:
        torch.set_num_threads(threads)
        seen_by = _reference_readings(video, arrays["landmarks"], reference)
        smoothed = gaussian_filter1d(seen_by, smooth, axis=0) if smooth > 0 else seen_by
        circumplex, classes = smoothed[:, :2], smoothed[:, 2:]
    table = pd.DataFrame(
        {
            "frame": np.arange(facts.n_frames),
            "valid": arrays["valid"].astype(int),
            "valence": circumplex[:, 0],
            "arousal": circumplex[:, 1],
            **{f"p_{name}": classes[:, i] for i, name in enumerate(POSTERIOR_COLUMNS)},
            **{NETWORK_COLUMN.format(n): posterior[:, i] for i, n in enumerate(CLASSES)},
        }
    )
    write_table(valence_arousal, table)


def _posteriors(video: Path, landmarks: Float[np.ndarray, "T 478 2"]) -> Float[np.ndarray, "T 7"]:
    found = []
    with ExpressionClasses() as classes:
        frames = progress.track(VideoReader(video), "emotion", len(landmarks), logger)
        for frame, points in zip(frames, landmarks):
            found.append(classes.posterior(upright_face(frame, points)))
    return np.stack(found)


def _reference_readings(
    video: Path, landmarks: Float[np.ndarray, "T 478 2"], reader: EmoNetReader
) -> Float[np.ndarray, "T 10"]:
    """Valence, arousal and eight classes of every frame by the paper's network (absolute)."""
    frames = progress.track(VideoReader(video), f"emotion by {reader.id}", len(landmarks), logger)
    found = []
    for frame, points in zip(frames, landmarks):
        valence, arousal, classes = reader.read(frame, points)
        found.append([valence, arousal, *classes.tolist()])
    return np.array(found)
