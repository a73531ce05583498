"""Expected lip opening from sound: a ridge fitted on the subject's training part, log-mel in.

It judges whether lips follow the sound where no true video exists. It is a packaged stand-in for
the paper's sync network: linear, the subject's own, blind to everything but the lip gap. Its
features are computed here and not taken from speech.npz, so that every method and every extractor
meets the same judge.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Float32

from emotalk_core.errors import ArtifactError
from emotalk_core.types.manifest import FPS, SAMPLE_RATE

RIDGE_ID = "ridge-logmel-1"
RIDGE_STANDING_FOR = "SyncNet (Sync-C, Sync-E)"
N_FFT = 512  # samples, 32 ms at 16 kHz
HOP = 160  # samples, 10 ms: four feature rows per video frame
N_MELS = 24  # enough for formant regions; more only adds ridge dimensions
MEL_RANGE = (80.0, 7600.0)  # Hz, speech
# Feature rows around the frame's time: +-160 ms in steps of 40 ms.
TAPS = tuple(range(-16, 17, 4))
RIDGE = 100.0  # penalty on standardised features; flat between 30 and 300 on real clips
MIN_FIT_FRAMES = 25  # one second; below, the ridge would only know its own mean
LOG_FLOOR = 1e-5  # about the noise floor of 16-bit sound


def _mel_filters() -> Float[np.ndarray, "M F"]:
    """Triangular filters, equal in mel (HTK formula), unit peak."""
    low, high = (2595 * np.log10(1 + hz / 700) for hz in MEL_RANGE)
    edges_mel = np.linspace(low, high, N_MELS + 2)
    edges = 700 * (10 ** (edges_mel / 2595) - 1)
    frequencies = np.fft.rfftfreq(N_FFT, 1 / SAMPLE_RATE)
    rise = (frequencies - edges[:-2, None]) / np.diff(edges)[:-1, None]
    fall = (edges[2:, None] - frequencies) / np.diff(edges)[1:, None]
    return np.clip(np.minimum(rise, fall), 0, None)


def log_mel(samples: Float32[np.ndarray, " S"]) -> Float[np.ndarray, "R M"]:
    """Log mel energies at 100 Hz; row r is centred on sample r * 160."""
    padded = np.pad(samples.astype(np.float64), (N_FFT // 2, N_FFT // 2))
    n_rows = len(samples) // HOP + 1
    frames = np.lib.stride_tricks.sliding_window_view(padded, N_FFT)[::HOP][:n_rows]
    power = np.abs(np.fft.rfft(frames * np.hanning(N_FFT), axis=1)) ** 2
    return np.log(power @ _mel_filters().T + LOG_FLOOR)


def frame_features(samples: Float32[np.ndarray, " S"], n_frames: int) -> Float[np.ndarray, "T D"]:
    """Log-mel rows around the middle of each of `n_frames` video frames, D = taps x mels."""
    rows = log_mel(samples)
    per_frame = SAMPLE_RATE // (HOP * FPS)
    centres = np.arange(n_frames) * per_frame + per_frame // 2
    index = np.clip(centres[:, None] + np.array(TAPS)[None, :], 0, len(rows) - 1)
    return rows[index].reshape(n_frames, -1)


@dataclass(frozen=True)
class LipRidge:
    """Linear map from standardised features to lip opening (eye distances)."""

    mean: Float[np.ndarray, " D"]
    scale: Float[np.ndarray, " D"]
    weights: Float[np.ndarray, " D"]
    bias: float

    def predict(self, features: Float[np.ndarray, "T D"]) -> Float[np.ndarray, " T"]:
        """Expected opening of every frame."""
        return ((features - self.mean) / self.scale) @ self.weights + self.bias


def fit_lip_ridge(
    features: Float[np.ndarray, "T D"], openings: Float[np.ndarray, " T"]
) -> LipRidge:
    """Closed-form ridge regression on the subject's training frames.

    Raises:
        ArtifactError: fewer than `MIN_FIT_FRAMES` frames.
    """
    if len(features) < MIN_FIT_FRAMES:
        raise ArtifactError(
            f"lip ridge: {len(features)} frames with a face, wanted at least {MIN_FIT_FRAMES}; "
            "look at quality.json and use a clip that shows the face"
        )
    mean, scale = features.mean(axis=0), features.std(axis=0) + 1e-6
    x = (features - mean) / scale
    bias = float(openings.mean())
    gram = x.T @ x + RIDGE * np.eye(x.shape[1])
    weights = np.linalg.solve(gram, x.T @ (openings - bias))
    return LipRidge(mean, scale, weights, bias)
