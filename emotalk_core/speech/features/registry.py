"""The name of an extractor and any 16 kHz sound in, windows of speech features out."""

from __future__ import annotations

import logging

import numpy as np
from jaxtyping import Float32

from emotalk_core.errors import (
    ArtifactError,
    BackendUnavailableError,
    ConfigError,
    WeightsError,
    explain,
)
from emotalk_core.registry import Registry
from emotalk_core.speech.features.base import SpeechExtractor
from emotalk_core.types.manifest import FPS, SAMPLE_RATE
from emotalk_core.weights import STAND_IN, policy

logger = logging.getLogger(__name__)
STANDING_IN = "phones"  # for every reference network whose files are missing

EXTRACTORS = Registry(
    "speech.extractor",
    {
        "phones": "emotalk_core.speech.features.phones:Phones",
        "logmel": "emotalk_core.speech.features.logmel:LogMel",
        "embedding": "emotalk_core.speech.features.embedding:SpeechEmbedding",
    },
)
# The paper's and its neighbours' networks: they need files that nobody can ship (docs/weights.md).
REFERENCE_EXTRACTORS = Registry(
    "speech.extractor",
    {
        "ave": "emotalk_core.speech.features.ave:AudioVisualEncoder",
        "wav2vec2": "emotalk_core.speech.features.transformer:Wav2Vec2",
        "hubert": "emotalk_core.speech.features.transformer:HuBERT",
        "deepspeech": "emotalk_core.speech.features.deepspeech:DeepSpeech",
    },
)


ALL_EXTRACTORS = Registry(
    "speech.extractor", {**EXTRACTORS.entries, **REFERENCE_EXTRACTORS.entries}
)


def load_extractor(name: str) -> SpeechExtractor:
    """The extractor of that name.

    Raises:
        ConfigError: unknown name; says the nearest known one.
    """
    try:
        return ALL_EXTRACTORS.load(name)()
    except KeyError as error:
        raise ConfigError(f"{error.args[0]}; set speech.extractor in config.yaml") from error


def load_extractor_or_stand_in(name: str) -> SpeechExtractor:
    """`load_extractor`, but phones where the files of a reference network are missing.

    Raises:
        ConfigError: unknown name.
        WeightsError, BackendUnavailableError: files are missing and weights.on_missing is "error".
    """
    try:
        return load_extractor(name)
    except (WeightsError, BackendUnavailableError) as error:
        if policy() != STAND_IN:
            raise
        logger.warning("%s; %s is used instead", error, STANDING_IN)
        return load_extractor(STANDING_IN)


def frames_in(samples: Float32[np.ndarray, " N"]) -> int:
    """How many 25 fps frames a sound lasts: round(duration * 25)."""
    return round(len(samples) / SAMPLE_RATE * FPS)


def features_from_wav(
    samples: Float32[np.ndarray, " N"], n_frames: int, extractor: str
) -> Float32[np.ndarray, "T 16 D"]:
    """Features of any sound, the same as a subject's own.

    Args:
        samples: 16 kHz mono in [-1,1] (`media.audio.read_audio` gives it for any file).
        n_frames: how many frames are wanted, `frames_in(samples)` for all of it.
        extractor: name of the extractor ("phones", "logmel", "embedding").

    Returns:
        Frame k's window is centred at (k + 0.5) / 25 s; outside of the sound is silence.
    """
    return load_extractor(extractor).windows(np.asarray(samples, dtype=np.float32), n_frames)


def features_by_id(
    samples: Float32[np.ndarray, " N"], n_frames: int, extractor_id: str
) -> Float32[np.ndarray, "T 16 D"]:
    """Features by the extractor whose id an avatar or a speech.npz names.

    Raises:
        ArtifactError: this version has no extractor of that id.
    """
    known = ALL_EXTRACTORS
    names = [name for name in known.names() if known.load(name).id == extractor_id]
    if not names:
        raise ArtifactError(
            explain(
                "extractor",
                extractor_id,
                f"this version has {known.names()}",
                "extract the features and train the avatar again",
            )
        )
    return features_from_wav(samples, n_frames, names[0])
