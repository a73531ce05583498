"""The name of an extractor and any 16 kHz sound in, windows of speech features out."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float32

from emotalk_core.errors import ArtifactError, ConfigError, explain
from emotalk_core.registry import Registry
from emotalk_core.speech.features.base import SpeechExtractor
from emotalk_core.types.manifest import FPS, SAMPLE_RATE

EXTRACTORS = Registry(
    "speech.extractor",
    {
        "logmel": "emotalk_core.speech.features.logmel:LogMel",
        "embedding": "emotalk_core.speech.features.embedding:SpeechEmbedding",
    },
)


def load_extractor(name: str) -> SpeechExtractor:
    """The extractor of that name.

    Raises:
        ConfigError: unknown name; says the nearest known one.
    """
    try:
        return EXTRACTORS.load(name)()
    except KeyError as error:
        raise ConfigError(f"{error.args[0]}; set speech.extractor in config.yaml") from error


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
        extractor: name of the extractor ("logmel", "embedding").

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
    names = [name for name in EXTRACTORS.names() if EXTRACTORS.load(name).id == extractor_id]
    if not names:
        raise ArtifactError(
            explain(
                "extractor",
                extractor_id,
                f"this version has {EXTRACTORS.names()}",
                "extract the features and train the avatar again",
            )
        )
    return features_from_wav(samples, n_frames, names[0])
