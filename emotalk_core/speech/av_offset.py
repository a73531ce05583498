"""Lip signals and sound of one clip in; how late the sound is, and how sure that is, out (pure).

For each shift on a 10 ms grid the lip signals are predicted from one log-mel column by ridge
regression, trained and judged on different parts of the clip. The right shift predicts best. No
weights are shipped: each clip is its own training set, so any language and any voice works.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from emotalk_core.speech.features.mel import COLUMNS_PER_FRAME, HOP, log_mel
from emotalk_core.types.manifest import FPS, SAMPLE_RATE

GRID_SECONDS = HOP / SAMPLE_RATE  # 10 ms
SCAN_COLUMNS = 60  # shifts up to +-0.6 s are tried: a peak needs surroundings to stand out from
N_MELS = 20  # 12, 20 and 40 score the same on real clips; few weights suit short clips
RIDGE = 0.2  # per row of standardised features; .05 is worse on clips under 5 s, .6 no better
FOLDS = 4  # contiguous parts of the clip
SLOW_FRAMES = 25  # changes slower than this are posture and smiles: they are removed
SMOOTHING = np.array([1.0, 2.0, 3.0, 2.0, 1.0]) / 9  # over neighbouring shifts; scores are noisy
PEAK_COLUMNS = 15  # scores closer than 150 ms to the peak belong to the peak
SURE_SECONDS = 8.0  # shorter clips have chance peaks: their confidence is scaled down
FEWEST_FRAMES = 2 * FPS

# Lips move before they sound, so the best prediction of clips in sync lies at a positive shift;
# this is its value on two real clips whose makers aligned them (10 and 30 ms).
LEAD_SECONDS = 0.02


@dataclass(frozen=True)
class OffsetEstimate:
    """How far sound and lips are apart.

    Attributes:
        seconds: positive when the sound is late; on a 10 ms grid.
        confidence: how much better the best shift predicts the lips than any distant one
            (difference of correlations), 0 (a guess) .. 1; real clips in sync have .15 to .3.
    """

    seconds: float
    confidence: float


def estimate_offset(
    lips: Float[np.ndarray, "T L"], samples: Float[np.ndarray, " N"]
) -> OffsetEstimate:
    """Find the shift at which the sound predicts the lips best.

    Args:
        lips: signals of each 25 fps frame (opening, width, ...), any units; nan where unknown.
        samples: 16 kHz mono; sample 0 sounds at the start of frame 0.
    """
    shifts, scores = offset_scores(lips, samples)
    if not scores.any():
        return OffsetEstimate(0.0, 0.0)
    best = int(scores.argmax())
    distant = np.abs(np.arange(len(scores)) - best) >= PEAK_COLUMNS
    margin = float(scores[best] - scores[distant].max())
    length = min(len(lips) / FPS / SURE_SECONDS, 1.0)
    seconds = round(float(shifts[best]) - LEAD_SECONDS, 3)
    return OffsetEstimate(seconds, float(np.clip(margin * length, 0.0, 1.0)))


def offset_scores(
    lips: Float[np.ndarray, "T L"], samples: Float[np.ndarray, " N"]
) -> tuple[Float[np.ndarray, " S"], Float[np.ndarray, " S"]]:
    """(shifts in s, mean correlation of predicted and measured lips at each shift).

    All zeros when there are too few frames or when the lips never move.
    """
    shifts = np.arange(-SCAN_COLUMNS, SCAN_COLUMNS + 1)
    mels = _standardised(log_mel(np.asarray(samples, dtype=np.float32), N_MELS))
    frames = _usable_frames(lips, len(mels))
    nothing = shifts * GRID_SECONDS, np.zeros(len(shifts))
    if len(frames) < FEWEST_FRAMES:
        return nothing
    signals = _fast_part(lips)[frames]
    moving = signals.std(axis=0) > 1e-6
    if not moving.any():
        return nothing
    signals = _standardised(signals[:, moving])
    # two columns straddle the middle of a frame: their mean lies exactly on it
    middle = frames * COLUMNS_PER_FRAME + COLUMNS_PER_FRAME // 2
    pairs = (mels[:-1] + mels[1:]) / 2
    scores = np.array([_score(pairs[middle - 1 + shift], signals) for shift in shifts])
    reach = len(SMOOTHING) // 2
    smooth = np.convolve(np.pad(scores, reach, "edge"), SMOOTHING, "valid")
    return shifts * GRID_SECONDS, smooth


def _usable_frames(lips: Float[np.ndarray, "T L"], n_columns: int) -> np.ndarray:
    """Frames with known lips for which every tried shift has sound."""
    frames = np.flatnonzero(np.isfinite(lips).all(axis=1))
    middle = frames * COLUMNS_PER_FRAME + COLUMNS_PER_FRAME // 2
    inside = (middle - 1 >= SCAN_COLUMNS) & (middle + SCAN_COLUMNS < n_columns)
    return frames[inside]


def _fast_part(lips: Float[np.ndarray, "T L"]) -> Float[np.ndarray, "T L"]:
    """Signals without what changes slower than two seconds; gaps are bridged by straight lines."""
    kernel = np.ones(2 * SLOW_FRAMES + 1) / (2 * SLOW_FRAMES + 1)
    frames = np.arange(len(lips))
    columns = []
    for signal in np.asarray(lips, dtype=np.float64).T:
        known = np.isfinite(signal)
        whole = np.interp(frames, frames[known], signal[known])
        slow = np.convolve(np.pad(whole, SLOW_FRAMES, "edge"), kernel, "valid")
        columns.append(whole - slow)
    return np.stack(columns, axis=1)


def _standardised(values: Float[np.ndarray, "N D"]) -> Float[np.ndarray, "N D"]:
    """Zero mean and unit deviation for each column."""
    values = np.asarray(values, dtype=np.float64)
    return (values - values.mean(axis=0)) / np.maximum(values.std(axis=0), 1e-9)


def _score(features: Float[np.ndarray, "N D"], signals: Float[np.ndarray, "N L"]) -> float:
    """Mean correlation of cross-validated ridge predictions with the signals."""
    inputs = np.column_stack([features, np.ones(len(features))])
    part = np.arange(len(inputs)) * FOLDS // len(inputs)
    predicted = np.zeros_like(signals)
    for fold in range(FOLDS):
        known, judged = inputs[part != fold], part == fold
        gram = known.T @ known + RIDGE * len(known) * np.eye(known.shape[1])
        weights = np.linalg.solve(gram, known.T @ signals[part != fold])
        predicted[judged] = inputs[judged] @ weights
    return float((_standardised(predicted) * _standardised(signals)).mean())
