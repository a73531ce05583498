"""16 kHz sound in, mel-frequency cepstral coefficients at 100 Hz out (SyncNet, DeepSpeech).

The recipe is that of the package `python_speech_features` (mfcc with its defaults), to rounding.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from jaxtyping import Float

from emotalk_core.types.manifest import SAMPLE_RATE

WINDOW, HOP, N_FFT = 400, 160, 512  # samples: 25 ms (no taper), 10 ms
N_FILTERS = 26
PREEMPHASIS = 0.97
LIFTER = 22
TINY = float(np.finfo(float).eps)  # in place of empty energies
BLOCK = 6000  # columns computed at once (a minute): bounds memory


@lru_cache(maxsize=1)
def _filters() -> Float[np.ndarray, "26 257"]:
    """Triangles between FFT bins that lie equally far apart in mel (HTK formula)."""
    highest = 2595 * np.log10(1 + SAMPLE_RATE / 2 / 700)
    hertz = 700 * (10 ** (np.linspace(0, highest, N_FILTERS + 2) / 2595) - 1)
    edges = np.floor((N_FFT + 1) * hertz / SAMPLE_RATE)
    bins = np.arange(N_FFT // 2 + 1)
    low, peak, high = edges[:-2, None], edges[1:-1, None], edges[2:, None]
    rise = np.where((bins >= low) & (bins < peak), (bins - low) / (peak - low), 0)
    fall = np.where((bins >= peak) & (bins < high), (high - bins) / (high - peak), 0)
    return rise + fall


def mfcc(samples: Float[np.ndarray, " N"], n_coefficients: int = 13) -> Float[np.ndarray, "C K"]:
    """Coefficients of every 25 ms window, 100 a second; the first one is the log energy.

    Args:
        samples: 16 kHz mono in units of 16-bit integers (-32768..32767).
        n_coefficients: 13 for SyncNet, 26 for DeepSpeech.

    Returns:
        1 + ceil((N - 400) / 160) rows (one row for shorter sounds); zeros follow the sound's end.
    """
    from scipy.fft import dct

    signal = samples.astype(np.float64)
    signal = np.concatenate([signal[:1], signal[1:] - PREEMPHASIS * signal[:-1]])
    n_columns = 1 + max(-(-(len(signal) - WINDOW) // HOP), 0)
    signal = np.pad(signal, (0, max((n_columns - 1) * HOP + WINDOW - len(signal), 0)))
    order = np.arange(n_coefficients)
    lift = 1 + LIFTER / 2 * np.sin(np.pi * order / LIFTER)
    found = np.empty((n_columns, n_coefficients))
    for begin in range(0, n_columns, BLOCK):
        columns = np.arange(begin, min(begin + BLOCK, n_columns))
        pieces = signal[columns[:, None] * HOP + np.arange(WINDOW)[None]]
        power = np.abs(np.fft.rfft(pieces, N_FFT, axis=1)) ** 2 / N_FFT
        energy = power.sum(axis=1)
        bands = power @ _filters().T
        bands, energy = np.where(bands == 0, TINY, bands), np.where(energy == 0, TINY, energy)
        found[columns] = dct(np.log(bands), type=2, axis=1, norm="ortho")[:, order] * lift
        found[columns, 0] = np.log(energy)
    return found
