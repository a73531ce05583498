"""DeepSpeech 0.1 as an ONNX export: 16 kHz sound in, windows of 16 x 29 character logits out.

The file is `deepspeech.onnx` in the weights folder; docs/weights.md says how to export the
published frozen graph. Its input is [1,T,494] (19 neighbouring columns of 26 cepstral
coefficients), beside it optionally the length; its output holds 29 logits for each of T steps at
50 Hz.
"""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
from jaxtyping import Float32

from emotalk_core.errors import WeightsError
from emotalk_core.media.weight_files import open_onnx
from emotalk_core.speech.features.fifty_hertz import windows_of
from emotalk_core.speech.sync.cepstrum import mfcc
from emotalk_core.types.manifest import SAMPLE_RATE
from emotalk_core.weights import weights_folder

FILE = "deepspeech.onnx"
N_COEFFICIENTS, CONTEXT = 26, 9  # columns on each side
RATE = 50  # steps a second
INT16_FULL = 32_768


class DeepSpeech:
    """Character logits at 50 Hz, cut as AD-NeRF and TalkingGaussian do."""

    id: ClassVar[str] = "deepspeech-0.1-50hz"
    standing_for: ClassVar[str] = ""
    dim: ClassVar[int] = 29

    def __init__(self) -> None:
        path = weights_folder() / FILE
        if not path.is_file():
            raise WeightsError(
                f"speech.extractor=deepspeech: missing: {path} (docs/weights.md says how to export "
                "it); speech.features_npy takes existing features of the clip, but what else the "
                "avatar is to say needs the network"
            )
        self._session: Any = open_onnx(path)

    def windows(
        self, samples: Float32[np.ndarray, " N"], n_frames: int
    ) -> Float32[np.ndarray, "T 16 29"]:
        """See `SpeechExtractor.windows`; steps are resampled to round(duration * 50)."""
        inputs = network_input(samples)
        feed: dict[str, np.ndarray] = {}
        for entry in self._session.get_inputs():
            whole = entry.type.startswith("tensor(int")
            length = np.array([len(inputs)], np.int64 if "64" in entry.type else np.int32)
            feed[entry.name] = length if whole else inputs[None].astype(np.float32)
        logits = np.asarray(self._session.run(None, feed)[0])
        if logits.size % self.dim:
            raise WeightsError(f"{FILE}: output {logits.shape}: wanted 29 logits a step")
        logits = logits.reshape(-1, self.dim)
        at = np.arange(round(len(samples) / SAMPLE_RATE * RATE))
        known = np.arange(len(logits))
        vectors = np.stack([np.interp(at, known, column) for column in logits.T], axis=1)
        return windows_of(vectors, n_frames)


def network_input(samples: Float32[np.ndarray, " N"]) -> Float32[np.ndarray, "T 494"]:
    """Every second column of coefficients with nine neighbours on each side, standardised."""
    integers = np.clip(np.round(samples * INT16_FULL), -INT16_FULL, INT16_FULL - 1)
    columns = mfcc(integers, N_COEFFICIENTS)[::2]
    padded = np.pad(columns, ((CONTEXT, CONTEXT), (0, 0)))
    picks = np.arange(len(columns))[:, None] + np.arange(2 * CONTEXT + 1)[None, :]
    stacked = padded[picks].reshape(len(columns), -1)
    return ((stacked - stacked.mean()) / stacked.std()).astype(np.float32)
