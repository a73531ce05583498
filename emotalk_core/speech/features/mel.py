"""16 kHz sound in, a log-mel spectrogram of 100 columns a second out, in bounded memory (pure)."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from jaxtyping import Float32

from emotalk_core.types.manifest import FPS, SAMPLE_RATE

HOP = 160  # samples between columns: 10 ms
COLUMNS_PER_FRAME = SAMPLE_RATE // HOP // FPS  # 4
WINDOW = 400  # samples of a column's Hann window: 25 ms, as every speech recogniser of the field
N_FFT = 512
LOWEST, HIGHEST = 60.0, 7600.0  # Hz; below is hum, above is nothing at 16 kHz
FLOOR = 1e-6  # added to the power: digital silence stays finite (about -60 dB below speech)
BLOCK = 6000  # columns computed at once (a minute): bounds memory for long recordings


@lru_cache(maxsize=8)
def _filters(n_mels: int) -> Float32[np.ndarray, "M F"]:
    """Triangular mel filters on the power spectrum (librosa's)."""
    import librosa

    return librosa.filters.mel(
        sr=SAMPLE_RATE, n_fft=N_FFT, n_mels=n_mels, fmin=LOWEST, fmax=HIGHEST
    ).astype(np.float32)


def log_mel(samples: Float32[np.ndarray, " N"], n_mels: int) -> Float32[np.ndarray, "C M"]:
    """Log-mel spectrogram whose column c is centred at (c + 0.5) * 10 ms.

    Args:
        samples: 16 kHz mono in [-1,1].
        n_mels: number of bands.

    Returns:
        One column for each begun 10 ms, natural logarithm of the power; outside is silence.
    """
    n_columns = -(-len(samples) // HOP)
    margin = WINDOW // 2 - HOP // 2
    padded = np.zeros(n_columns * HOP + WINDOW, dtype=np.float32)
    padded[margin : margin + len(samples)] = samples
    taper = np.hanning(WINDOW + 1)[:-1].astype(np.float32)
    mels = np.empty((n_columns, n_mels), dtype=np.float32)
    for begin in range(0, n_columns, BLOCK):
        columns = np.arange(begin, min(begin + BLOCK, n_columns))
        pieces = padded[columns[:, None] * HOP + np.arange(WINDOW)[None, :]] * taper
        power = np.abs(np.fft.rfft(pieces, N_FFT, axis=1)) ** 2
        mels[columns] = np.log(power.astype(np.float32) @ _filters(n_mels).T + FLOOR)
    return mels


def cut_out(
    samples: Float32[np.ndarray, " N"], begin: int, length: int
) -> Float32[np.ndarray, " M"]:
    """`length` samples from index `begin` on, silence outside."""
    cut = np.zeros(length, dtype=np.float32)
    part = samples[max(begin, 0) : max(begin + length, 0)]
    start = max(-begin, 0)
    cut[start : start + len(part)] = part
    return cut


def neighbours(
    columns: Float32[np.ndarray, "C D"], window: int, stride: int = 1
) -> Float32[np.ndarray, "T W D"]:
    """Windows of columns as a view: an hour of them takes no more memory than the columns."""
    views = np.lib.stride_tricks.sliding_window_view(columns, window, axis=0)
    return views[::stride].transpose(0, 2, 1)
