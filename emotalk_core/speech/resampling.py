"""Samples at one rate in, the same sound at another rate out."""

from __future__ import annotations

from math import gcd

import numpy as np
from jaxtyping import Float32


def resample(
    samples: Float32[np.ndarray, " N"], rate_in: int, rate_out: int
) -> Float32[np.ndarray, " M"]:
    """Band-limited resampling by the exact ratio of the two rates.

    Args:
        samples: mono sound.
        rate_in: Hz of the samples given.
        rate_out: Hz wanted.

    Returns:
        ceil(N * rate_out / rate_in) samples; no delay.
    """
    from scipy.signal import resample_poly

    if rate_in == rate_out or not len(samples):
        return samples
    divisor = gcd(rate_in, rate_out)
    return resample_poly(samples, rate_out // divisor, rate_in // divisor).astype(np.float32)
