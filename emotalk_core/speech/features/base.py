"""What a feature extractor takes and gives: 16 kHz sound in, a window of vectors per frame out."""

from __future__ import annotations

from typing import ClassVar, Protocol

import numpy as np
from jaxtyping import Float32

WINDOW = 16  # vectors of each frame; the paper's audio network reads windows of 16 (METHOD 2.1)


class SpeechExtractor(Protocol):
    """A speech feature. Frame k is centred at (k + 0.5) / 25 s of the sound.

    Attributes:
        id: what made the features, written into speech.npz.
        standing_for: the paper's network that it stands in for.
        dim: length D of each vector.
    """

    id: ClassVar[str]
    standing_for: ClassVar[str]
    dim: ClassVar[int]

    def windows(
        self, samples: Float32[np.ndarray, " N"], n_frames: int
    ) -> Float32[np.ndarray, "T 16 D"]:
        """Windows of 16 vectors around each of `n_frames` frames; outside is silence."""
        ...
