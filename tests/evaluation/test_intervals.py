"""Block bootstrap: blocks stay inside clips, correlated frames widen the interval, seeds decide."""

from __future__ import annotations

import math

import numpy as np

from emotalk_core.evaluation.intervals import BootstrapSettings, block_indices, bootstrap_interval
from emotalk_core.evaluation.metrics.base import mean_term


def column(values: np.ndarray) -> np.ndarray:
    return np.asarray(values, dtype=np.float64)[:, None]


def test_blocks_keep_the_frames_of_every_clip_and_run_on_inside() -> None:
    generator = np.random.default_rng(0)
    for _ in range(20):
        drawn = block_indices([40, 12], 10, generator)
        assert len(drawn) == 52
        first, second = drawn[:40], drawn[40:]
        assert first.min() >= 0 and first.max() < 40
        assert second.min() >= 40 and second.max() < 52
        for clip, size in ((first, 10), (second - 40, 3)):
            for k in range(0, len(clip), size):
                assert (np.diff(clip[k : k + size]) % len(clip) == 1).all()


def test_every_frame_of_a_clip_is_drawn_equally_often() -> None:
    generator = np.random.default_rng(4)
    drawn = np.concatenate([block_indices([20], 5, generator) for _ in range(4000)])
    counts = np.bincount(drawn, minlength=20)
    assert abs(counts / counts.mean() - 1).max() < 0.06


def test_interval_of_independent_frames_matches_theory() -> None:
    values = np.random.default_rng(1).normal(5, 2, 2000)
    settings = BootstrapSettings(block_frames=1, resamples=1000)
    low, high = bootstrap_interval([column(values)], mean_term, settings, seed=0)
    half = 1.96 * values.std() / math.sqrt(len(values))
    assert abs(low - (values.mean() - half)) < 0.1 * half
    assert abs(high - (values.mean() + half)) < 0.1 * half


def test_correlated_frames_get_a_wider_interval_with_blocks() -> None:
    values = np.repeat(np.random.default_rng(2).normal(0, 1, 40), 25)
    alone, blocks = (
        bootstrap_interval([column(values)], mean_term, BootstrapSettings(size, 300), seed=0)
        for size in (1, 25)
    )
    assert blocks[1] - blocks[0] > 3 * (alone[1] - alone[0])


def test_same_seed_same_interval_and_none_where_it_would_be_an_invention() -> None:
    terms = [column(np.arange(30.0))]
    settings = BootstrapSettings(5, 50)
    assert bootstrap_interval(terms, mean_term, settings, 3) == bootstrap_interval(
        terms, mean_term, settings, 3
    )
    assert bootstrap_interval(terms, mean_term, settings, 3) != bootstrap_interval(
        terms, mean_term, settings, 4
    )
    for nothing in ([column(np.arange(4.0))], [], [column(np.array([np.inf] * 20))]):
        assert all(map(math.isnan, bootstrap_interval(nothing, mean_term, settings, 0)))
    assert math.isnan(bootstrap_interval(terms, mean_term, BootstrapSettings(5, 0), 0)[0])
