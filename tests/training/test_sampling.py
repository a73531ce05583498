"""Samples are a pure function of (seed, step); curricula open as they should."""

from __future__ import annotations

import numpy as np
import pytest

from emotalk_core.errors import NumericalError
from emotalk_core.training.sampling import SamplePool, batch_at, sample_at, widest, window


def pool(bank: bool = False) -> SamplePool:
    frames = np.arange(100, 140)
    values = np.linspace(0, 4, 40).astype(np.float32)
    images = np.arange(6) if bank else np.zeros(0, dtype=np.int64)
    return SamplePool(frames, values, values[::-1].copy(), images + 100, images, 0.75)


def test_every_frame_comes_once_an_epoch() -> None:
    seen = [sample_at(pool(), "all", 7, 0, step, 0.0).frame for step in range(40)]
    assert sorted(seen) == list(range(100, 140))
    again = [sample_at(pool(), "all", 7, 0, step, 0.0).frame for step in range(40, 80)]
    assert sorted(again) == sorted(seen)
    assert again != seen


def test_a_step_does_not_depend_on_the_steps_before() -> None:
    in_order = [sample_at(pool(bank=True), "mouth_window", 7, 5, s, 0.3) for s in range(60)]
    alone = [sample_at(pool(bank=True), "mouth_window", 7, 5, s, 0.3) for s in (59, 3, 14)]
    assert alone == [in_order[59], in_order[3], in_order[14]]
    batch = batch_at(pool(), 16, 5, 9)
    assert batch == batch_at(pool(), 16, 5, 9)
    assert batch != batch_at(pool(), 16, 6, 9)
    edited = batch_at(pool(bank=True), 16, 5, 9)
    assert all(sample.frame == 100 + sample.image for sample in edited)


def test_window_opens_from_the_top() -> None:
    values = np.linspace(0, 4, 101).astype(np.float32)
    # The cap is the 95th percentile, 3.8: at the start only frames at the cap.
    assert window(values, 0.0).tolist() == [95, 96, 97, 98, 99, 100]
    assert values[window(values, 0.4)].min() == pytest.approx(1.92)
    assert len(window(values, 0.8)) == 101
    # Never narrower than four frames, however few lie at the cap.
    assert sorted(window(values[:41], 0.0).tolist()) == [37, 38, 39, 40]


def test_widest_mouths_are_the_top_five_percent() -> None:
    values = np.arange(200, dtype=np.float32)
    assert sorted(widest(values).tolist()) == list(range(190, 200))


def test_curriculum_steps_draw_from_the_window() -> None:
    frames = {sample_at(pool(), "mouth_window", 7, 0, step, 0.0).frame for step in range(0, 700, 7)}
    assert frames <= set(range(136, 140))


def test_bank_share_is_kept() -> None:
    drawn = [sample_at(pool(bank=True), "all", 7, 0, step, 0.0) for step in range(2000)]
    share = np.mean([sample.image is not None for sample in drawn])
    assert share == pytest.approx(0.75, abs=0.03)
    assert all(s.frame == s.image + 100 for s in drawn if s.image is not None)


def test_too_few_frames_are_named() -> None:
    none = np.zeros(0)
    with pytest.raises(NumericalError, match="only 2 usable"):
        SamplePool(np.array([1, 2]), none, none, none, none)
