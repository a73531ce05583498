"""Stage `speech`: audio.wav and the manifest in, speech.npz (features of each frame) out."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float32

from emotalk_core.errors import ArtifactError, ConfigError
from emotalk_core.media.audio import read_audio
from emotalk_core.media.tables import check_length, read_manifest, write_arrays
from emotalk_core.speech.features.existing import windows_from_npy
from emotalk_core.speech.features.registry import (
    ALL_EXTRACTORS,
    features_from_wav,
    load_extractor_or_stand_in,
)
from emotalk_core.speech.level import clipped_frames, frame_levels

__all__ = ["SpeechSettings", "extract_features", "features_from_wav"]

LOG = logging.getLogger(__name__)

MUCH_SILENCE = 0.5  # share of frames; a talking head learns little from a mostly silent clip
MUCH_CLIPPING = 0.02  # share of frames


@dataclass(frozen=True)
class SpeechSettings:
    """Config block `speech`.

    Attributes:
        extractor: "phones" (of a packaged recogniser, beside log-mel, 100 Hz), "logmel" (40 bands),
            "embedding" (Google speech embedding, 25 Hz), or a reference network: "ave",
            "wav2vec2", "hubert", "deepspeech".
        features_npy: existing features of the clip's own sound by that extractor; empty: extracted.
        silence_level: a frame below this RMS level (120 ms, 1 = full scale) is marked as silent.
    """

    extractor: str = "phones"
    silence_level: float = 0.004
    features_npy: str = ""


def extract_features(
    *, manifest: Path, audio: Path, speech: Path, settings: SpeechSettings, threads: int
) -> None:
    """Write the features of a subject's own sound.

    Args:
        manifest: manifest.json of the subject.
        audio: its audio.wav, 16 kHz mono.
        speech: where speech.npz goes: features [T,16,D], extractor id, silence and clipping [T].
        settings: config block `speech`.
        threads: unused; the networks run on one thread so that bytes do not depend on it.

    Raises:
        ArtifactError: sound and manifest disagree.
    """
    facts = read_manifest(manifest)
    samples = read_audio(audio)
    check_length("audio.wav (in samples)", len(samples), facts.n_samples, "ingest")
    features, extractor = _features(samples, facts.n_frames, settings)
    silence = frame_levels(samples, facts.n_frames) < settings.silence_level
    clipping = clipped_frames(samples, facts.n_frames)
    check_length("speech.npz", len(features), facts.n_frames, "extract_speech_features")
    if not np.isfinite(features).all():
        raise ArtifactError(f"{speech}: features are not finite; check {audio} and run again")
    _report(silence, clipping)
    write_arrays(
        speech,
        features=features,
        extractor=np.array(extractor),
        silence=silence,
        clipping=clipping,
    )


def _features(
    samples: Float32[np.ndarray, " N"], n_frames: int, settings: SpeechSettings
) -> tuple[Float32[np.ndarray, "T 16 D"], str]:
    """(windows, extractor id) by the settings' extractor or from an existing file."""
    if settings.features_npy:
        try:
            kind = ALL_EXTRACTORS.load(settings.extractor)
        except KeyError as error:
            raise ConfigError(f"{error.args[0]}; set speech.extractor in config.yaml") from error
        return windows_from_npy(Path(settings.features_npy), n_frames), str(kind.id)
    extractor = load_extractor_or_stand_in(settings.extractor)
    return extractor.windows(samples, n_frames), extractor.id


def _report(silence: np.ndarray, clipping: np.ndarray) -> None:
    """Log how much of the clip is silent or clipped."""
    level = logging.WARNING if silence.mean() > MUCH_SILENCE else logging.INFO
    LOG.log(level, "silent: %d of %d frames", silence.sum(), len(silence))
    level = logging.WARNING if clipping.mean() > MUCH_CLIPPING else logging.INFO
    LOG.log(level, "clipped: %d of %d frames", clipping.sum(), len(clipping))
