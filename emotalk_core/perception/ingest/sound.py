"""Sound of the source in, checked and cut to the frames' length out (pure functions)."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
from jaxtyping import Float32

from emotalk_core.errors import InputError
from emotalk_core.speech.level import loudness
from emotalk_core.types.manifest import SAMPLE_RATE

LOG = logging.getLogger(__name__)

FULL_SCALE = 0.999
CLIPPED_SHARE = 0.001  # of all samples at full scale: audible distortion


def check_sound(path: Path, samples: Float32[np.ndarray, " N"], min_loudness: float) -> None:
    """Refuse silence; warn of clipping.

    Raises:
        InputError: the loud parts are below `min_loudness`.
    """
    level = loudness(samples)
    if level < min_loudness:
        raise InputError(
            f"{path}: the audio track is silent (level {level:.5f}, wanted at least "
            f"{min_loudness:g} of full scale); give a video with the speaker's voice"
        )
    clipped = float((np.abs(samples) >= FULL_SCALE).mean())
    if clipped > CLIPPED_SHARE:
        LOG.warning("%s: %.2f %% of the sound is clipped (recorded too loud)", path, 100 * clipped)


def shift_and_fit(
    samples: Float32[np.ndarray, " N"], late_seconds: float, n_samples: int
) -> Float32[np.ndarray, " M"]:
    """Move sound that is `late_seconds` late to where it belongs and cut it to `n_samples`.

    What is missing at either end is silence.
    """
    start = round(late_seconds * SAMPLE_RATE)
    fitted = np.zeros(n_samples, dtype=np.float32)
    part = samples[max(start, 0) : max(start + n_samples, 0)]
    begin = max(-start, 0)
    part = part[: n_samples - begin]
    fitted[begin : begin + len(part)] = part
    return fitted
