"""The ridge that expects lips from sound: right rows, right weights, right generalisation."""

from __future__ import annotations

import numpy as np
import pytest

from emotalk_core.errors import ArtifactError
from emotalk_core.evaluation.audio_lips import (
    HOP,
    N_MELS,
    TAPS,
    fit_lip_ridge,
    frame_features,
    log_mel,
)
from emotalk_core.types.manifest import FPS, SAMPLE_RATE


def test_log_mel_row_is_centred_on_its_sample_and_finds_the_tone() -> None:
    samples = np.zeros(SAMPLE_RATE, np.float32)
    samples[8000] = 0.5
    assert int(log_mel(samples).sum(axis=1).argmax()) == 8000 // HOP
    seconds = np.arange(SAMPLE_RATE) / SAMPLE_RATE
    low, high = (
        int(log_mel(np.sin(2 * np.pi * f * seconds).astype(np.float32)).mean(axis=0).argmax())
        for f in (300, 3000)
    )
    assert low < high < N_MELS


def test_features_of_a_frame_are_the_rows_around_its_middle() -> None:
    samples = np.random.default_rng(0).normal(0, 0.1, SAMPLE_RATE).astype(np.float32)
    rows, features = log_mel(samples), frame_features(samples, FPS)
    assert features.shape == (FPS, len(TAPS) * N_MELS)
    middle = 12 * 4 + 2  # row of the middle of frame 12
    wanted = np.concatenate([rows[middle + tap] for tap in TAPS])
    np.testing.assert_array_equal(features[12], wanted)


def test_ridge_of_one_feature_is_the_shrunk_slope() -> None:
    x = np.tile([[-1.0], [1.0]], (20, 1))
    ridge = fit_lip_ridge(x, np.tile([0.0, 1.0], 20))
    # standardised x is +-1: slope = x.y / (n + 100) with centred y = +-0.5
    assert ridge.weights[0] == pytest.approx(20 / 140, rel=1e-5)
    assert ridge.predict(np.array([[0.0]]))[0] == pytest.approx(0.5)
    with pytest.raises(ArtifactError, match="wanted at least"):
        fit_lip_ridge(x[:4], np.zeros(4))


def test_prediction_follows_loudness_of_unheard_sound() -> None:
    generator = np.random.default_rng(5)
    per_frame = SAMPLE_RATE // FPS
    loud = np.repeat(generator.random(100), 3)
    sound = (generator.normal(0, 0.1, 300 * per_frame) * np.repeat(loud, per_frame)).astype(
        np.float32
    )
    features = frame_features(sound, 300)
    ridge = fit_lip_ridge(features[:200], loud[:200])
    prediction = ridge.predict(features[200:])
    assert np.corrcoef(prediction, loud[200:])[0, 1] > 0.7
    assert np.corrcoef(prediction, np.roll(loud[200:], 25))[0, 1] < 0.4
