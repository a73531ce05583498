"""Features at 50 Hz in, windows of 16 around each 25 fps frame out (as TalkingGaussian cuts)."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, Float32

from emotalk_core.speech.features.base import WINDOW

PER_FRAME = 2  # vectors of a 25 fps frame


def windows_of(vectors: Float[np.ndarray, "N D"], n_frames: int) -> Float32[np.ndarray, "T 16 D"]:
    """Window k holds vectors 2k - 8 .. 2k + 7; zeros before the first and after the last.

    Args:
        vectors: 50 a second.
        n_frames: windows wanted.
    """
    half = WINDOW // 2
    length = (n_frames - 1) * PER_FRAME + WINDOW if n_frames else 0
    padded = np.zeros((length, vectors.shape[1]), np.float32)
    kept = vectors[: max(length - half, 0)]
    padded[half : half + len(kept)] = kept
    picks = np.arange(n_frames)[:, None] * PER_FRAME + np.arange(WINDOW)[None, :]
    return padded[picks]
