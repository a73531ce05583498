"""What a synthesis engine takes and gives: text in, 16 kHz speech (and phoneme times) out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from jaxtyping import Float32

PAUSE = "_"  # name of a phoneme that is silence


@dataclass(frozen=True)
class Phoneme:
    """One sound of a sentence.

    Attributes:
        name: espeak mnemonic without stress marks ("m", "aI", "u:"); `PAUSE` for silence.
        start, end: seconds from the first sample, start < end; neighbours touch.
        stressed: True for a vowel that carries primary stress.
    """

    name: str
    start: float
    end: float
    stressed: bool = False


@dataclass(frozen=True)
class Speech:
    """A spoken text.

    Attributes:
        samples: 16 kHz mono in [-1,1].
        phonemes: exact times, or () when the engine does not tell them.
        engine: id of what spoke, for provenance.
    """

    samples: Float32[np.ndarray, " N"]
    phonemes: tuple[Phoneme, ...]
    engine: str


class SynthesisEngine(Protocol):
    """A voice. The same text gives the same samples, always."""

    def speak(self, text: str) -> Speech:
        """Speak one sentence or more."""
        ...
