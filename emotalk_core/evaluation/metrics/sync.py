"""Do lips and sound belong together? Distances of a sync expert at every shift of the sound in."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from jaxtyping import Float

from emotalk_core.evaluation.metrics.base import (
    CROSS,
    EMOTION,
    SELF,
    Direction,
    EvaluatorKind,
    FrameEvidence,
    Metric,
    Terms,
)

SCENARIOS = (SELF, CROSS, EMOTION)
TINY = 1e-12  # squared distance: rounding
# Frames (80 ms). Sound and video of a subject are brought together before training, so that lips
# further off are out of sync; the best of all shifts would find a chance valley for any sound.
NEAR = 2
# Frames: shifts further off are wrong moments, whose spread says how deep chance valleys are.
WRONG = 5


def near_distance(terms: Float[np.ndarray, "N S"]) -> float:
    """Smallest over the shifts of at most `NEAR` frames of the distance averaged over frames."""
    middle = terms.shape[1] // 2
    return float(terms.mean(axis=0)[max(middle - NEAR, 0) : middle + NEAR + 1].min())


def near_confidence(terms: Float[np.ndarray, "N S"]) -> float:
    """Median over all shifts minus that, shrunk by chance.

    A depth d becomes d^3 / (d^2 + 2 s^2) with s the spread over the wrong moments: what stands out
    keeps its value, a valley that wrong moments have too shrinks to nothing (the median and the
    smallest value each vary by s, hence 2). Lips that never move get exactly 0.
    """
    mean = terms.mean(axis=0)
    depth = float(np.median(mean)) - near_distance(terms)
    wrong = np.abs(np.arange(len(mean)) - len(mean) // 2) >= WRONG
    chance = 2 * float(mean[wrong].var()) if wrong.any() else 0.0
    total = depth**2 + chance
    return depth**3 / total if total > TINY else 0.0


def sync_distance(terms: Float[np.ndarray, "N S"]) -> float:
    """Smallest over shifts of the distance averaged over frames (METHOD 3: Sync-E, LSE-D)."""
    return float(terms.mean(axis=0).min())


def sync_confidence(terms: Float[np.ndarray, "N S"]) -> float:
    """Median minus smallest over shifts of the averaged distance (METHOD 3: Sync-C, LSE-C)."""
    mean = terms.mean(axis=0)
    return float(np.median(mean) - mean.min())


def sync_offset(terms: Float[np.ndarray, "N S"]) -> float:
    """Frames by which the sound fits best later (+) or earlier (-) than it is played."""
    shifts = terms.shape[1] // 2
    return float(int(np.argmin(terms.mean(axis=0))) - shifts)


def _distances(kind: EvaluatorKind) -> Callable[[FrameEvidence], Terms | None]:
    def terms(frame: FrameEvidence) -> Terms | None:
        return frame.sync_distances.get(kind)

    return terms


def _metric(
    name: str, kind: EvaluatorKind, reduce: Callable[..., float], better: Direction, meaning: str
) -> Metric:
    return Metric(name, _distances(kind), reduce, kind, SCENARIOS, better, "", meaning)


METRICS = (
    # The packaged expert: lip points against speech features, not comparable with SyncNet.
    _metric("sync_d", "sync", near_distance, "lower", "distance of lips and sound within 80 ms"),
    _metric("sync_c", "sync", near_confidence, "higher", "how much nearer than other moments"),
    _metric("sync_offset", "sync", sync_offset, "none", "best shift of the sound, frames"),
    # The paper's SyncNet on pixels.
    _metric("sync_e", "syncnet", sync_distance, "lower", "SyncNet distance, best shift (LSE-D)"),
    _metric("sync_c", "syncnet", sync_confidence, "higher", "SyncNet confidence (LSE-C)"),
    _metric("sync_offset", "syncnet", sync_offset, "none", "best shift of the sound, frames"),
)
