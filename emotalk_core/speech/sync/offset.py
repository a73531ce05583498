"""Lips and sound of a clip in; how late the sound is on a 10 ms grid, and how sure that is, out."""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Float, Float32

from emotalk_core.speech.av_offset import GRID_SECONDS, OffsetEstimate
from emotalk_core.speech.sync.experts import general_expert
from emotalk_core.speech.sync.reading import MAX_SHIFT, distances_by_shift, lip_codes, sound_codes
from emotalk_core.speech.sync.sounds import LOGMEL, hear

FIT_COLUMNS = 5  # 50 ms to either side: the valley is about as wide as a short sound
FEWEST_FRAMES = 25  # a second of known lips for which every shift has sound


def expert_offset(
    lips: Float32[np.ndarray, "T 80"],
    samples: Float32[np.ndarray, " N"],
    known: Bool[np.ndarray, " T"] | None = None,
) -> OffsetEstimate:
    """The shift at which the general expert finds lips and sound closest.

    Args:
        lips: shapes of each 25 fps frame (`LipFrame.shapes`).
        samples: 16 kHz mono; sample 0 sounds at the start of frame 0.
        known: frames in which a face was found, all by default.

    Returns:
        Seconds on a 10 ms grid, and as confidence the median minus the smallest distance over the
        shifts: real clips have .15 to .4, other people's sound has less than .1.
    """
    shifts, distances = offset_curve(lips, samples, known)
    if not len(distances):
        return OffsetEstimate(0.0, 0.0)
    best = _valley(distances)
    confidence = float(np.median(distances) - distances.min())
    return OffsetEstimate(round(round(best) * GRID_SECONDS + float(shifts[0]), 3), confidence)


def offset_curve(
    lips: Float32[np.ndarray, "T 80"],
    samples: Float32[np.ndarray, " N"],
    known: Bool[np.ndarray, " T"] | None = None,
) -> tuple[Float[np.ndarray, " S"], Float[np.ndarray, " S"]]:
    """(shifts in s every 10 ms, mean distance at each); empty without a second of known lips."""
    expert = general_expert(LOGMEL)
    sound = hear(samples, len(lips), LOGMEL)
    seen = lip_codes(expert, lips)
    phases = [
        distances_by_shift(seen, sound_codes(expert, sound, columns))
        for columns in range(expert.per_frame)
    ]
    # the last shift stands alone, without the phases that follow it
    curve = np.stack(phases, axis=2).reshape(len(lips), -1)[:, : 1 - expert.per_frame]
    usable = np.isfinite(curve).all(axis=1)
    if known is not None:
        usable &= known
    if usable.sum() < FEWEST_FRAMES:
        return np.zeros(0), np.zeros(0)
    shifts = (np.arange(curve.shape[1]) - MAX_SHIFT * expert.per_frame) * GRID_SECONDS
    return shifts, curve[usable].mean(axis=0)


def _valley(distances: Float[np.ndarray, " S"]) -> float:
    """Position of the lowest point, by a parabola through its surroundings."""
    best = int(distances.argmin())
    around = np.arange(max(best - FIT_COLUMNS, 0), min(best + FIT_COLUMNS + 1, len(distances)))
    bend, slope, _ = np.polyfit(around - best, distances[around], 2)
    if bend <= 0:
        return float(best)
    return best + float(np.clip(-slope / (2 * bend), -FIT_COLUMNS, FIT_COLUMNS))
