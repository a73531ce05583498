"""Times of source frames in, the source frame of each 25 fps frame out (pure functions)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Int

from emotalk_core.types.manifest import FPS, SAMPLE_RATE


def nearest_frames(seconds: Sequence[float], n_frames: int) -> Int[np.ndarray, " T"]:
    """Index of the source frame that lies nearest to each time k/25 s.

    Nearest in time keeps sound and lips together for any rate, also a variable one; frames are
    never blended (a blend of two mouths is no mouth).

    Args:
        seconds: rising times of the source frames, the first at 0.
        n_frames: how many 25 fps frames are wanted.
    """
    times = np.asarray(seconds, dtype=np.float64)
    wanted = np.arange(n_frames) / FPS
    after = np.clip(np.searchsorted(times, wanted), 1, max(len(times) - 1, 1))
    if len(times) < 2:
        return np.zeros(n_frames, dtype=np.int64)
    earlier = wanted - times[after - 1] <= times[after] - wanted
    return np.where(earlier, after - 1, after).astype(np.int64)


def sample_count(n_frames: int) -> int:
    """How many 16 kHz samples belong to `n_frames` frames at 25 fps."""
    return round(n_frames / FPS * SAMPLE_RATE)
