"""16 kHz sound in, what the experts hear out: normalised columns of one of two kinds."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Float32

from emotalk_core.speech.features.embedding import SpeechEmbedding
from emotalk_core.speech.features.mel import COLUMNS_PER_FRAME, log_mel

LOGMEL, EMBEDDING = "logmel", "embedding"
KINDS = (LOGMEL, EMBEDDING)
N_MELS = 40
STEADY = 1e-3  # deviation below which a recording holds nothing


@dataclass(frozen=True)
class SoundKind:
    """Shape of what an expert hears.

    Attributes:
        size: values of each column.
        per_frame: columns of each 25 fps frame; frame k begins with column k * per_frame.
    """

    size: int
    per_frame: int


SHAPES = {
    LOGMEL: SoundKind(N_MELS, COLUMNS_PER_FRAME),
    EMBEDDING: SoundKind(SpeechEmbedding.dim, 1),
}


def hear(
    samples: Float32[np.ndarray, " N"], n_frames: int, kind: str
) -> Float32[np.ndarray, "C D"]:
    """Columns of `n_frames` frames, zero mean in each band and unit size over the recording.

    Normalising a recording by itself takes out the room, the microphone and part of the voice.
    """
    shape = SHAPES[kind]
    if kind == LOGMEL:
        columns = log_mel(samples, N_MELS)
        wanted = n_frames * shape.per_frame
        floor = np.repeat(columns.min(axis=0, keepdims=True), max(wanted - len(columns), 0), axis=0)
        columns = np.concatenate([columns[:wanted], floor])
    else:
        columns = SpeechEmbedding().vectors(samples, 0, n_frames)
    return normalised(columns)


def normalised(columns: Float[np.ndarray, "C D"]) -> Float32[np.ndarray, "C D"]:
    """Zero mean in each band, one common scale."""
    centred = columns - columns.mean(axis=0)
    return (centred / (centred.std() + STEADY)).astype(np.float32)
