"""Text in, speech and exact phoneme times out, by the packaged espeak-ng (one process per call)."""

from __future__ import annotations

import itertools
import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float32

from emotalk_core.errors import BackendUnavailableError, InputError, explain
from emotalk_core.speech.resampling import resample
from emotalk_core.speech.synthesis import espeak_worker
from emotalk_core.speech.synthesis.base import PAUSE, Phoneme, Speech
from emotalk_core.types.manifest import SAMPLE_RATE

WORKER = Path(espeak_worker.__file__)
TIMEOUT_SECONDS = 120.0  # an hour of text takes seconds: longer means that the library hangs
RATES = (80, 450)  # words a minute that espeak-ng accepts
STRESS_MARKS = "',%=|"  # mnemonics carry them as prefixes; ' is primary stress
INT16_FULL = 32_768


def espeak_phonemes(
    text: str, voice: str = "en-us", rate: int = 150, pitch: int = 45
) -> tuple[Float32[np.ndarray, " N"], list[Phoneme]]:
    """Speak a text and tell when each phoneme sounds.

    Args:
        text: any UTF-8 text with at least one letter.
        voice: espeak-ng voice name ("en-us", "de", "en-us+f3", ...).
        rate: words a minute, 80..450.
        pitch: 0..99.

    Returns:
        (samples at 16 kHz in [-1,1], phonemes that touch each other from 0 to the end; "_" is
        silence).

    Raises:
        InputError: empty text, a rate out of range, or a voice that espeak-ng does not have.
        BackendUnavailableError: the package espeakng-loader is missing.
    """
    if not any(letter.isalnum() for letter in text):
        raise InputError(explain("text", repr(text), "wanted at least one letter", "give words"))
    if not RATES[0] <= rate <= RATES[1]:
        raise InputError(
            explain("rate", rate, f"wanted {RATES[0]}..{RATES[1]} words a minute", "try 150")
        )
    header, pcm = _run_worker(text, voice, rate, pitch)
    native = np.frombuffer(pcm, dtype="<i2").astype(np.float32) / INT16_FULL
    samples = resample(native, int(header["sample_rate"]), SAMPLE_RATE)
    return samples, _phonemes(header["events"], len(samples) / SAMPLE_RATE)


def _run_worker(text: str, voice: str, rate: int, pitch: int) -> tuple[dict, bytes]:
    """(header, PCM) from one worker process."""
    try:
        import espeakng_loader
    except ImportError as error:
        raise BackendUnavailableError(
            "espeak-ng is missing; pip install espeakng-loader, or set the speech engine to piper"
        ) from error
    request = {
        "library": espeakng_loader.get_library_path(),
        "data": espeakng_loader.get_data_path(),
        "text": text,
        "voice": voice,
        "rate": rate,
        "pitch": pitch,
    }
    try:
        done = subprocess.run(
            [sys.executable, str(WORKER)],
            input=json.dumps(request).encode(),
            capture_output=True,
            timeout=TIMEOUT_SECONDS,
            check=True,
        )
    except subprocess.CalledProcessError as error:
        reason = error.stderr.decode("utf-8", "replace").strip()
        raise InputError(
            explain("voice", voice, f"espeak-ng failed ({reason})", "use a voice like en-us or de")
        ) from error
    except subprocess.TimeoutExpired as error:
        raise InputError(
            explain("text", repr(text[:40]), "espeak-ng hung", "give shorter sentences")
        ) from error
    header, pcm = done.stdout.split(b"\n", 1)
    return json.loads(header), pcm


def _phonemes(events: list[tuple[str, float]], duration: float) -> list[Phoneme]:
    """Intervals from start events: each lasts to the next one's start, empty ones are dropped."""
    starts = [(0.0, PAUSE), *((start, name) for name, start in events), (duration, PAUSE)]
    found: list[Phoneme] = []
    for (start, mark), (following, _) in itertools.pairwise(starts):
        end = min(following, duration)
        if end <= start:
            continue
        name = mark.lstrip(STRESS_MARKS)
        name = PAUSE if not name or name.startswith(PAUSE) else name
        found.append(Phoneme(name, start, end, stressed=mark.startswith("'")))
    return found


@dataclass(frozen=True)
class EspeakEngine:
    """The formant synthesizer espeak-ng: robotic, but exact phoneme times and many languages."""

    voice: str = "en-us"
    rate: int = 150
    pitch: int = 45

    def speak(self, text: str) -> Speech:
        """Speak one text."""
        samples, phonemes = espeak_phonemes(text, self.voice, self.rate, self.pitch)
        return Speech(samples, tuple(phonemes), f"espeak-ng/{self.voice}/{self.rate}")


def engine(voice: str, speed: float) -> EspeakEngine:
    """The espeak engine with a voice name ("" is American English) at a multiple of 150 wpm."""
    return EspeakEngine(voice or "en-us", round(150 * speed))
