"""Sound in; its loudness, and which 25 fps frames are silent or clipped, out (pure)."""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Float32

from emotalk_core.types.manifest import FPS, SAMPLE_RATE

SAMPLES_PER_FRAME = SAMPLE_RATE // FPS
REACH_FRAMES = 1  # a frame is silent when its neighbours are too: stops inside words do not count
FULL_SCALE = 0.999
LEVEL_WINDOW = 400  # samples (25 ms): a syllable is longer, a click is shorter
LOUD_PERCENTILE = 95.0  # the level of the loud parts: pauses do not make a clip silent


def loudness(samples: Float32[np.ndarray, " N"]) -> float:
    """RMS level of the loud parts, 1 = full scale; 0 for no samples."""
    n_windows = len(samples) // LEVEL_WINDOW
    if n_windows == 0:
        return 0.0
    windows = samples[: n_windows * LEVEL_WINDOW].reshape(n_windows, LEVEL_WINDOW)
    levels = np.sqrt((windows.astype(np.float64) ** 2).mean(axis=1))
    return float(np.percentile(levels, LOUD_PERCENTILE))


def frame_levels(samples: Float32[np.ndarray, " N"], n_frames: int) -> Float32[np.ndarray, " T"]:
    """RMS of each frame and its two neighbours (120 ms), 1 = full scale."""
    power = _by_frame(samples.astype(np.float64) ** 2, n_frames).mean(axis=1)
    padded = np.pad(power, REACH_FRAMES, mode="edge")
    width = 2 * REACH_FRAMES + 1
    spread = np.lib.stride_tricks.sliding_window_view(padded, width).mean(axis=1)
    return np.sqrt(spread).astype(np.float32)


def clipped_frames(samples: Float32[np.ndarray, " N"], n_frames: int) -> Bool[np.ndarray, " T"]:
    """True where at least two samples of a frame are at full scale (one may be a true peak)."""
    return (_by_frame(np.abs(samples) >= FULL_SCALE, n_frames).sum(axis=1)) >= 2


def _by_frame(values: np.ndarray, n_frames: int) -> np.ndarray:
    """[T, 640]: the samples of each frame, zeros where the sound has ended."""
    length = n_frames * SAMPLES_PER_FRAME
    fitted = np.zeros(length, dtype=values.dtype)
    fitted[: min(length, len(values))] = values[:length]
    return fitted.reshape(n_frames, SAMPLES_PER_FRAME)
