"""Stage `synthesize_sentence`: the number of a sentence in, its 16 kHz wav out."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float32

from emotalk_core.errors import ConfigError, InputError
from emotalk_core.media.audio import write_wav
from emotalk_core.registry import Registry
from emotalk_core.speech.level import loudness
from emotalk_core.speech.synthesis.base import Speech, SynthesisEngine
from emotalk_core.speech.synthesis.sentences import sentence
from emotalk_core.types.manifest import SAMPLE_RATE

LOG = logging.getLogger(__name__)

# name -> function (voice, speed) -> SynthesisEngine
ENGINES = Registry(
    "synthesis.engine",
    {
        "piper": "emotalk_core.speech.synthesis.piper:engine",
        "espeak": "emotalk_core.speech.synthesis.espeak:engine",
    },
)
# name -> function (voice, speed, program): engines that need what nobody can ship (docs/weights.md)
PROGRAM_ENGINES = Registry(
    "synthesis.engine", {"coqui": "emotalk_core.speech.synthesis.coqui:engine"}
)

# Loudness of the loud parts as in recordings of speakers (six of them: .08 to .25, median .15):
# log-mel features know absolute level, so synthesized speech must have a natural one.
LEVEL = 0.15
PEAK = 0.95  # of full scale; a lower level is taken before anything clips


@dataclass(frozen=True)
class SynthesisSettings:
    """Config block `synthesis`.

    Attributes:
        engine: "piper" (natural), "espeak" (robotic, exact phoneme times, many languages) or
            "coqui" (its program in an environment of its own).
        voice: piper: path of a voice; espeak: name of a voice; empty for the packaged one; coqui:
            model folder.
        program: coqui: name or path of its program; empty: tts.
        speed: 1 is the voice's own pace.
        lead_seconds: silence before the sentence: the mouth starts closed.
        tail_seconds: silence after the sentence.
    """

    engine: str = "piper"
    voice: str = ""
    speed: float = 1.0
    lead_seconds: float = 0.2
    tail_seconds: float = 0.4
    program: str = ""


def load_engine(settings: SynthesisSettings) -> SynthesisEngine:
    """The engine that the settings name.

    Raises:
        ConfigError: unknown engine; says the nearest known one.
    """
    if settings.engine in PROGRAM_ENGINES.entries:
        start = PROGRAM_ENGINES.load(settings.engine)
        return start(settings.voice, settings.speed, settings.program)
    try:
        make = ENGINES.load(settings.engine)
    except KeyError as error:
        raise ConfigError(f"{error.args[0]}; set synthesis.engine in config.yaml") from error
    return make(settings.voice, settings.speed)


def synthesize_sentence(*, wav: Path, index: int, settings: SynthesisSettings) -> None:
    """Speak one sentence of the list.

    Args:
        wav: where the 16 kHz mono sound goes.
        index: 1..70 (sentences.toml).
        settings: config block `synthesis`.

    Raises:
        InputError: no such sentence, or the engine gives no sound.
    """
    text = sentence(index)
    samples, engine = speak(text, load_engine(settings), settings)
    LOG.info("%s: %.2f s of %r", engine, len(samples) / SAMPLE_RATE, text)
    write_wav(wav, samples)


def speak(
    text: str, engine: SynthesisEngine, settings: SynthesisSettings
) -> tuple[Float32[np.ndarray, " N"], str]:
    """A text as 16 kHz mono sound, ready to drive an avatar, and the id of what spoke.

    Raises:
        InputError: the engine gives no sound.
    """
    spoken = engine.speak(text)
    if not spoken.samples.any():
        raise InputError(f"synthesis.engine={settings.engine}: no sound for {text!r}; try another")
    return framed(spoken, settings), spoken.engine


def framed(spoken: Speech, settings: SynthesisSettings) -> Float32[np.ndarray, " N"]:
    """The sound at natural level with silence before and after it."""
    gain = LEVEL / max(loudness(spoken.samples), 1e-6)
    gain = min(gain, PEAK / float(np.abs(spoken.samples).max()))
    lead = round(settings.lead_seconds * SAMPLE_RATE)
    tail = round(settings.tail_seconds * SAMPLE_RATE)
    return np.pad(spoken.samples * np.float32(gain), (lead, tail))
