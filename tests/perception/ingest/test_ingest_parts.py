"""The pure parts of ingest: framing, frame choice, sound fitting, hand-worked."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from emotalk_core.errors import InputError
from emotalk_core.perception.ingest.faces import overlap
from emotalk_core.perception.ingest.framing import (
    Box,
    crop_and_resize,
    head_crop,
    outside_share,
    picture_inside_bars,
    square_crop,
)
from emotalk_core.perception.ingest.sound import check_sound, shift_and_fit
from emotalk_core.perception.ingest.survey import picture_change
from emotalk_core.perception.ingest.timing import nearest_frames, sample_count


def box(centre_y: float, centre_x: float, height: float) -> Box:
    width = 0.75 * height
    return Box(
        centre_y - height / 2, centre_y + height / 2, centre_x - width / 2, centre_x + width / 2
    )


def test_face_height_and_centre_in_a_wide_picture() -> None:
    y0, y1, x0, x1 = square_crop([box(400, 900, 290)] * 5, 1080, 1920, 0.58)
    assert y1 - y0 == x1 - x0 == 500  # 290 / 0.58
    assert (x0 + x1) / 2 == 900
    assert y0 == 400 - 0.54 * 500


def test_a_picture_that_is_already_framed_is_taken_whole() -> None:
    assert square_crop([box(138, 130, 152)] * 3, 256, 256, 0.58) == (0, 256, 0, 256)


def test_a_small_picture_is_cropped_tighter_before_it_is_padded() -> None:
    y0, y1, _, _ = square_crop([box(150, 200, 190)] * 3, 300, 400, 0.58)
    assert y1 - y0 == 300  # 190 / 0.58 = 328 would need padding; 190 / 300 = 0.63 is near enough
    assert (y0, y1) == (0, 300)


def test_black_bars_are_no_picture_and_a_black_room_is() -> None:
    rng = np.random.default_rng(0)
    barred = rng.integers(0, 20, (180, 320), dtype=np.uint8)
    barred[30:150, 100:220] = rng.integers(0, 256, (120, 120))
    barred[5:12, 8:14] = 255  # a small logo in a bar
    assert picture_inside_bars(barred) == (32, 148, 102, 218)
    assert picture_inside_bars(barred[30:150]) == (0, 120, 102, 218)
    room = np.zeros((180, 320), dtype=np.uint8)
    y, x = np.mgrid[:180, :320]
    room[(y - 90) ** 2 + 1.5 * (x - 160) ** 2 < 60**2] = 180  # a face in the dark
    room[150:, 90:230] = 120  # and shoulders
    assert picture_inside_bars(room) == (0, 180, 0, 320)
    assert picture_inside_bars(np.zeros((9, 9), dtype=np.uint8)) == (0, 9, 0, 9)


def test_bars_are_left_out_of_the_crop() -> None:
    faces = [box(150, 500, 190)] * 3
    assert head_crop(faces, (0, 300, 300, 700), 0.58) == (0, 300, 350, 650)
    assert outside_share((0, 300, 350, 650), (0, 300, 300, 700)) == 0
    assert outside_share((-30, 270, 350, 650), (0, 300, 300, 700)) == pytest.approx(0.1)


def test_head_motion_widens_the_crop() -> None:
    swaying = [box(400, 900 + x, 290) for x in (-200, 0, 200)]
    _, _, x0, x1 = square_crop(swaying, 1080, 1920, 0.58)
    half_head = 290 * 0.75 * (0.5 + 0.22)
    assert x0 <= 700 - half_head + 10 and x1 >= 1100 + half_head - 10
    assert x1 - x0 > 500


@given(
    st.integers(60, 1000),
    st.integers(60, 1000),
    st.floats(0, 1),
    st.floats(0, 1),
    st.floats(0.1, 1.2),
)
def test_crops_are_square_and_hold_the_head(h: int, w: int, y: float, x: float, s: float) -> None:
    face = box(y * h, x * w, s * min(h, w))
    y0, y1, x0, x1 = square_crop([face], h, w, 0.58)
    assert y1 - y0 == x1 - x0 > 0
    slack = 0.1 * (y1 - y0)
    assert y0 <= face.y0 + slack and y1 >= face.y1 - slack
    assert x0 <= face.x0 + slack and x1 >= face.x1 - slack


def test_padding_repeats_the_border() -> None:
    image = np.arange(12, dtype=np.uint8).reshape(2, 2, 3)
    out = crop_and_resize(image, (-1, 3, -1, 3), 4)
    assert (out[:2, :2] == image[0, 0]).all() and (out[2:, 2:] == image[1, 1]).all()


def test_shrinking_averages_areas() -> None:
    checker = np.indices((8, 8)).sum(axis=0) % 2 * 200
    image = np.repeat(checker[..., None], 3, axis=2).astype(np.uint8)
    assert (crop_and_resize(image, (0, 8, 0, 8), 4) == 100).all()
    assert (crop_and_resize(image, (2, 6, 2, 6), 4) == image[2:6, 2:6]).all()


def test_overlap_of_boxes() -> None:
    a = Box(0, 2, 0, 2)
    assert overlap(a, a) == pytest.approx(1)
    assert overlap(a, Box(0, 2, 1, 3)) == pytest.approx(2 / 6)
    assert overlap(a, Box(5, 6, 5, 6)) == 0


def test_thirty_frames_a_second_become_twenty_five() -> None:
    chosen = nearest_frames([k / 30 for k in range(30)], 25)
    assert chosen.tolist()[:6] == [0, 1, 2, 4, 5, 6]
    assert len(set(chosen.tolist())) == 25


def test_twenty_five_stays_and_slow_rates_repeat() -> None:
    assert nearest_frames([k / 25 for k in range(10)], 10).tolist() == list(range(10))
    assert nearest_frames([k / 12.5 for k in range(5)], 10).tolist()[:4] == [0, 0, 1, 1]
    assert nearest_frames([0.0], 3).tolist() == [0, 0, 0]


@given(st.lists(st.floats(0.001, 0.2), min_size=2, max_size=60))
def test_each_frame_is_the_nearest_in_time(steps: list[float]) -> None:
    times = np.concatenate([[0], np.cumsum(steps)])
    n_frames = max(int(times[-1] * 25), 1)
    chosen = nearest_frames(times.tolist(), n_frames)
    wanted = np.arange(n_frames) / 25
    best = np.abs(times[None] - wanted[:, None]).min(axis=1)
    np.testing.assert_allclose(np.abs(times[chosen] - wanted), best)
    assert (np.diff(chosen) >= 0).all()


@given(st.integers(1, 10_000_000))
def test_sound_length_is_exact(n_frames: int) -> None:
    assert sample_count(n_frames) == 640 * n_frames


def test_late_sound_moves_forward_and_early_sound_back() -> None:
    sound = np.arange(1, 1601, dtype=np.float32)
    assert shift_and_fit(sound, 0.01, 1600)[:3].tolist() == [161, 162, 163]
    assert shift_and_fit(sound, 0.01, 1600)[-161:].tolist() == [1600] + [0] * 160
    early = shift_and_fit(sound, -0.01, 1600)
    assert early[:161].tolist() == [0] * 160 + [1] and early[-1] == 1440
    assert shift_and_fit(sound, 5.0, 10).tolist() == [0] * 10


def test_silence_is_refused_and_speech_is_not() -> None:
    noise = np.random.default_rng(0).normal(0, 0.1, 32_000).astype(np.float32)
    mostly_pause = np.concatenate([np.zeros(128_000, np.float32), noise])
    check_sound(Path("a.mp4"), mostly_pause, 0.002)
    for silent in (np.zeros(16_000, np.float32), noise * 1e-3, noise[:0]):
        with pytest.raises(InputError, match="silent"):
            check_sound(Path("a.mp4"), silent, 0.002)


def test_picture_change_ignores_brightness_and_sees_another_scene() -> None:
    rng = np.random.default_rng(0)
    a, b = rng.random((48, 48), dtype=np.float32), rng.random((48, 48), dtype=np.float32)
    assert picture_change(a, 0.5 * a + 0.2) == pytest.approx(0, abs=1e-5)
    assert picture_change(a, b) == pytest.approx(1, abs=0.1)
    flat = np.zeros((48, 48), dtype=np.float32)
    assert picture_change(flat, flat) == 0 and picture_change(flat, flat + 1) == 1
