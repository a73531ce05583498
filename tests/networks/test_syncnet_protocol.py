"""SyncNet's protocol: known shifts come back with the original's sign, scores by hand, the crop."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from emotalk_core.speech.sync.cepstrum import mfcc
from emotalk_core.speech.sync.syncnet_protocol import (
    BORDER,
    CROP_SIZE,
    SAMPLES_PER_FRAME,
    crop_face,
    crop_faces,
    embed,
    measure_sync,
    score_distances,
    shift_distances,
    smooth_boxes,
)

N_FRAMES = 60
BASE = 8.0  # log energy of a hidden value of zero
UNIT_NOISE = float(np.log(400 * (1 + 0.97**2) / 2))  # log energy of white noise of unit power


class Oracle:
    """Reads the hidden signal back: brightness of the five frames, loudness of the 20 columns."""

    def forward_lip(self, frames: torch.Tensor) -> torch.Tensor:
        return frames.mean((1, 3, 4)) / 255

    def forward_aud(self, columns: torch.Tensor) -> torch.Tensor:
        loudness = columns[:, 0, 0].reshape(len(columns), 5, 4)[..., 1]
        return (loudness - BASE) / 10


def hidden_signal(n: int) -> np.ndarray:
    return np.random.default_rng(4).uniform(0.1, 0.9, n)


def pictures(signal: np.ndarray) -> list[np.ndarray]:
    return [np.full((CROP_SIZE, CROP_SIZE, 3), round(255 * v), np.uint8) for v in signal]


def sound(signal: np.ndarray) -> np.ndarray:
    """Noise bursts whose log energy follows the signal frame by frame."""
    noise = np.random.default_rng(5).standard_normal(len(signal) * SAMPLES_PER_FRAME)
    gain = np.exp((signal * 10 + BASE - UNIT_NOISE) / 2)
    return (noise * np.repeat(gain, SAMPLES_PER_FRAME) / 32768).astype(np.float32)


@pytest.mark.parametrize("shift", range(-7, 8))
def test_a_known_shift_is_found_exactly(shift: int) -> None:
    """Pictures `shift` frames late: the scene at frame i is heard at frame i - shift."""
    scene = hidden_signal(N_FRAMES + 14)
    heard = scene[7 : 7 + N_FRAMES]
    seen = scene[7 - shift : 7 - shift + N_FRAMES]
    score = measure_sync(pictures(seen), N_FRAMES, sound(heard), Oracle())
    assert score is not None and score.offset == shift
    assert score.confidence > 0.1


def test_scores_by_hand() -> None:
    """Mean distances 4, 1, 3: best shift 0 of -1..1, distance 1, median 3 minus 1."""
    score = score_distances(torch.tensor([[5.0, 1.0, 2.0], [3.0, 1.0, 4.0]]))
    assert (score.offset, score.distance, score.confidence) == (0, 1.0, 2.0)
    late = score_distances(torch.tensor([[1.0, 5.0, 5.0]]))
    assert late.offset == 1


def test_distances_as_the_original_takes_them() -> None:
    draw = torch.Generator().manual_seed(0)
    lips, heard = torch.randn(9, 6, generator=draw), torch.randn(9, 6, generator=draw)
    reach = 3
    padded = torch.nn.functional.pad(heard, (0, 0, reach, reach))
    for i, row in enumerate(shift_distances(lips, heard, reach)):
        wanted = torch.nn.functional.pairwise_distance(
            lips[[i]].repeat(2 * reach + 1, 1), padded[i : i + 2 * reach + 1]
        )
        assert torch.allclose(row, wanted, atol=1e-6)


def test_windows_are_counted_as_in_the_original() -> None:
    signal = hidden_signal(30)
    lips, heard = embed(pictures(signal), 30, sound(signal[:28]), Oracle())
    assert len(lips) == len(heard) == 28 - 5
    assert measure_sync(pictures(signal[:5]), 5, sound(signal), Oracle()) is None


def test_the_crop_is_the_original_s() -> None:
    """Box 40..80 x 30..90: half side 30; the crop reaches 30 up, 54 down and 42 to the sides."""
    boxes = np.tile([40.0, 30.0, 80.0, 90.0], (15, 1))
    x, y, half = smooth_boxes(boxes)
    assert (x[7], y[7], half[7]) == (60.0, 60.0, 30.0)
    frame = np.zeros((200, 200, 3), np.uint8)
    frame[30:114, 18:102] = 200
    assert (crop_face(frame, 60, 60, 30) == 200).all()
    corner = crop_face(np.zeros((50, 50, 3), np.uint8), 0, 0, 30)
    assert (corner[:50, :50] == BORDER).all() and (corner[100:180, -20:] == 0).all()


def test_crops_are_bgr() -> None:
    red = np.zeros((100, 100, 3), np.uint8)
    red[..., 0] = 255
    (crop,) = crop_faces([red], np.array([[30.0, 30.0, 70.0, 70.0]]))
    assert crop[100, 100].tolist() == [0, 0, 255]


def test_coefficients_of_a_tone() -> None:
    """Shape, energy of the first window by hand, and silence without infinities."""
    time = np.arange(16_000) / 16_000
    tone = 1000 * np.sin(2 * np.pi * 1000 * time)
    found = mfcc(tone)
    assert found.shape == (1 + -(-(16_000 - 400) // 160), 13)
    emphasised = np.append(tone[0], tone[1:] - 0.97 * tone[:-1])[:400]
    power = np.abs(np.fft.rfft(emphasised, 512)) ** 2 / 512
    assert found[0, 0] == pytest.approx(np.log(power.sum()))
    assert np.isfinite(mfcc(np.zeros(8000))).all()
