"""16 kHz sound in; 160 ms of a recogniser's phones beside log-mel around each 25 fps frame out.

The paper's DeepSpeech says which letters it hears; here pocketsphinx's packaged English model says
how likely each phone is. Phones forget whose voice it is: a short clip teaches more of the lips.
"""

from __future__ import annotations

import importlib.util
import tempfile
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from jaxtyping import Float, Float32

from emotalk_core.errors import ArtifactError, BackendUnavailableError
from emotalk_core.speech.features.base import WINDOW
from emotalk_core.speech.features.logmel import LEAD, LogMel
from emotalk_core.speech.features.mel import COLUMNS_PER_FRAME, HOP, cut_out, neighbours
from emotalk_core.types.manifest import SAMPLE_RATE

PACKAGE = "pocketsphinx"
ACOUSTIC_MODEL, PHONE_MODEL = "en-us/en-us", "en-us/en-us-phone.lm.bin"
# The model's phones in its order: noises, silence (SIL) and the 39 of the CMU dictionary. Their
# states come first among the senones (the model's states in context).
PHONES = (
    *("+NSN+", "+SPN+", "AA", "AE", "AH", "AO", "AW", "AY", "B", "CH", "D", "DH", "EH", "ER"),
    *("EY", "F", "G", "HH", "IH", "IY", "JH", "K", "L", "M", "N", "NG", "OW", "OY"),
    *("P", "R", "S", "SH", "SIL", "T", "TH", "UH", "UW", "V", "W", "Y", "Z", "ZH"),
)
STATES = 3  # of a phone
SENONES = 5126
LOG_BASE, SCORE_SHIFT = 1.0001, 10  # a score is -log(likelihood) to this base, without its low bits
# A column's numbers err together, so that likelihoods say too much. .05 to .3 tell the same of the
# lips of two real clips, 1 a third and a seventh less (docs/speech.md).
SHARPNESS = 0.2
MEAN, DEVIATION = 0.14, 0.065  # of the square roots over two recordings of speech
BLOCK_SECONDS = 60  # the recogniser's log takes 1 MB a second
MARGIN_SECONDS = 1  # beside a block: the model looks at slopes
LATE_COLUMNS = 1  # its column of 25.6 ms begins where ours has its middle
FULL = 32_767.0
HEADER_END = b"endhdr\n"
BYTE_ORDER = 4  # bytes that follow the header


class Phones:
    """Posteriors of 42 phones and 40 log-mel bands at 100 Hz, 16 columns around the frame's middle.

    As in most recognisers the mean cepstrum of a sound (of a minute, where it is longer) is taken
    out, so that phones depend a little on the rest of the sound.
    """

    id: ClassVar[str] = "phones-42-logmel-40-100hz"
    standing_for: ClassVar[str] = "DeepSpeech 0.1 (29-d at 50 Hz)"
    dim: ClassVar[int] = len(PHONES) + LogMel.dim

    def windows(
        self, samples: Float32[np.ndarray, " N"], n_frames: int
    ) -> Float32[np.ndarray, "T 16 D"]:
        """See `SpeechExtractor.windows`."""
        n_columns = n_frames * COLUMNS_PER_FRAME + WINDOW
        likely = phone_posteriors(cut_out(samples, -LEAD * HOP, n_columns * HOP))
        # roots: a change from .0 to .1 says more than one from .5 to .6
        heard = (np.sqrt(likely) - MEAN) / DEVIATION
        columns = np.concatenate([heard, LogMel().columns(samples, n_frames)], axis=1)
        return neighbours(columns.astype(np.float32), WINDOW, COLUMNS_PER_FRAME)[:n_frames]


def phone_posteriors(samples: Float32[np.ndarray, " N"]) -> Float[np.ndarray, "C 42"]:
    """Softened posteriors of each begun 10 ms, column c centred at (c + 0.5) * 10 ms."""
    block, margin = BLOCK_SECONDS * SAMPLE_RATE, MARGIN_SECONDS * SAMPLE_RATE
    first = margin // HOP - LATE_COLUMNS
    parts = []
    for begin in range(0, len(samples), block):
        length = min(block, len(samples) - begin)
        scores = _log_likelihoods(cut_out(samples, begin - margin, length + 2 * margin))
        parts.append(SHARPNESS * scores[first : first + -(-length // HOP)].max(axis=2))
    joined = np.concatenate(parts)
    likely = np.exp(joined - joined.max(axis=1, keepdims=True))
    return likely / likely.sum(axis=1, keepdims=True)


def _log_likelihoods(sound: Float32[np.ndarray, " N"]) -> Float[np.ndarray, "C 42 3"]:
    """Of each phone's states, read from the log of scores that the decoder writes.

    Raises:
        ArtifactError: the log is not that of the packaged model.
    """
    samples = (np.clip(sound, -1, 1) * FULL).astype("<i2").tobytes()
    with tempfile.TemporaryDirectory(prefix="emotalk-phones-") as folder:
        decoder = _decoder(folder)
        decoder.start_utt()
        decoder.process_raw(samples, full_utt=True)
        decoder.end_utt()
        (written,) = Path(folder).iterdir()
        content = written.read_bytes()
    body = np.frombuffer(content[content.index(HEADER_END) + len(HEADER_END) + BYTE_ORDER :], "<i2")
    row = 1 + SENONES  # the first number says how many follow
    if len(body) % row or (body[::row] != SENONES).any():
        raise ArtifactError(
            f"{PACKAGE}: its log of scores has not {SENONES} a column; install the version in "
            "requirements/packaged_models.txt"
        )
    states = body.reshape(-1, row)[:, 1 : 1 + len(PHONES) * STATES].astype(np.float64)
    nats = -states * 2**SCORE_SHIFT * np.log(LOG_BASE)
    return nats.reshape(len(nats), len(PHONES), STATES)


def _decoder(folder: str) -> Any:
    """A phone decoder that writes every senone's score into a folder.

    Raises:
        BackendUnavailableError: the wheel is not installed.
    """
    if importlib.util.find_spec(PACKAGE) is None:
        raise BackendUnavailableError(
            f"speech.extractor=phones: {PACKAGE} is missing; install "
            f"requirements/packaged_models.txt (pip install --no-deps {PACKAGE}==5.1.1), "
            "or set speech.extractor to logmel"
        )
    import pocketsphinx

    return pocketsphinx.Decoder(
        hmm=pocketsphinx.get_model_path(ACOUSTIC_MODEL),
        allphone=pocketsphinx.get_model_path(PHONE_MODEL),
        lm=None,
        dict=None,
        compallsen=True,
        senlogdir=folder,
        loglevel="ERROR",
    )
