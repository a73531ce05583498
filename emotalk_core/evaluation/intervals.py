"""95 % intervals by the block bootstrap: terms of consecutive frames in, (low, high) out."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

COVERAGE = 0.95  # what "low" and "high" mean in metrics.csv
MIN_BLOCKS = 4  # short clips get shorter blocks, so that there is something to draw from
MIN_FRAMES = 8  # below, an interval would be an invention


@dataclass(frozen=True)
class BootstrapSettings:
    """How intervals are drawn.

    Attributes:
        block_frames: length of a block; frames closer than about a second are correlated.
        resamples: number of draws; 0 switches intervals off.
    """

    block_frames: int = 25
    resamples: int = 400


def block_indices(
    lengths: Sequence[int], block_frames: int, generator: np.random.Generator
) -> Int[np.ndarray, " N"]:
    """One draw: every clip is refilled with blocks of its own consecutive frames.

    Clips keep their number of frames (the 12 emotion points are fixed by design, not sampled).
    Blocks wrap around the clip's end: every frame is drawn equally often, else the first and last
    second of a short clip would hardly count and the interval could miss its own value.
    `lengths` are the frames of each clip, in the order of the concatenated terms.
    """
    parts, offset = [], 0
    for length in lengths:
        size = max(1, min(block_frames, length // MIN_BLOCKS))
        starts = generator.integers(0, length, size=math.ceil(length / size))
        inside = (starts[:, None] + np.arange(size)[None, :]).reshape(-1)[:length] % length
        parts.append(inside + offset)
        offset += length
    return np.concatenate(parts)


def bootstrap_interval(
    clips: Sequence[Float[np.ndarray, "n K"]],
    reduce: Callable[[Float[np.ndarray, "N K"]], float],
    settings: BootstrapSettings,
    seed: int,
) -> tuple[float, float]:
    """Percentile interval of `reduce` over frames; (nan, nan) where it cannot be given.

    `clips` are the terms of the measured frames of each clip, in time order.
    """
    clips = [c for c in clips if len(c)]
    terms = np.concatenate(clips) if clips else np.zeros((0, 1))
    if not np.isfinite(terms).all():
        return float("nan"), float("nan")
    return _percentiles([len(c) for c in clips], lambda drawn: reduce(terms[drawn]), settings, seed)


def paired_interval(
    clips: Sequence[tuple[Float[np.ndarray, "n K"], Float[np.ndarray, "n K"]]],
    reduce: Callable[[Float[np.ndarray, "N K"]], float],
    settings: BootstrapSettings,
    seed: int,
) -> tuple[float, float]:
    """Interval of reduce(second) - reduce(first), both over the same drawn frames.

    What both sides find hard (a blink, a turn of the head) cancels: it is much narrower than the
    difference of two intervals. `clips` are (first, second) terms of the same frames of a clip.
    """
    clips = [c for c in clips if len(c[0])]
    if not clips:
        return float("nan"), float("nan")
    first, second = (np.concatenate([c[side] for c in clips]) for side in (0, 1))

    def difference(drawn: Int[np.ndarray, " N"]) -> float:
        return reduce(second[drawn]) - reduce(first[drawn])

    return _percentiles([len(c[0]) for c in clips], difference, settings, seed)


def _percentiles(
    lengths: Sequence[int],
    value: Callable[[Int[np.ndarray, " N"]], float],
    settings: BootstrapSettings,
    seed: int,
) -> tuple[float, float]:
    """The middle 95 % of `value` over draws of frames."""
    if settings.resamples == 0 or sum(lengths) < MIN_FRAMES:
        return float("nan"), float("nan")
    generator = np.random.default_rng(seed)
    draws = np.array(
        [
            value(block_indices(lengths, settings.block_frames, generator))
            for _ in range(settings.resamples)
        ]
    )
    draws = draws[np.isfinite(draws)]
    if len(draws) < settings.resamples // 2:
        return float("nan"), float("nan")
    tail = (1 - COVERAGE) / 2
    low, high = np.quantile(draws, [tail, 1 - tail])
    return float(low), float(high)
