"""wav2vec 2.0 and HuBERT from a local folder: 16 kHz sound in, windows of 16 vectors at 50 Hz out.

The folder is one that `transformers` saves (config.json, preprocessor_config.json, weights); it
lies in the weights folder as `wav2vec2/` or `hubert/`. Nothing is downloaded. The package is not
among the core requirements: envs/speech_reference.yaml.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from jaxtyping import Float32

from emotalk_core.errors import BackendUnavailableError, WeightsError
from emotalk_core.speech.features.fifty_hertz import windows_of
from emotalk_core.types.manifest import SAMPLE_RATE
from emotalk_core.weights import weights_folder

PACKAGE = "transformers"
KERNEL, STRIDE = 400, 320  # samples that a vector sees, and between vectors
BLOCK = 1000  # vectors of one run (20 s), as the neighbouring projects cut long sounds


def folder_of(name: str) -> Path:
    """Where the files of one network lie.

    Raises:
        BackendUnavailableError: the package `transformers` is not installed.
        WeightsError: the folder is not there or not complete.
    """
    folder = weights_folder() / name
    if not (folder / "config.json").is_file():
        raise WeightsError(
            f"speech.extractor={name}: missing: {folder} with config.json, "
            "preprocessor_config.json and weights, as transformers saves them (docs/weights.md)"
        )
    if importlib.util.find_spec(PACKAGE) is None:
        raise BackendUnavailableError(
            f"speech.extractor={name}: the package {PACKAGE} is not installed; use "
            "envs/speech_reference.yaml (snakemake --sdm conda) or pip install what it names"
        )
    return folder


def blocks(n_samples: int) -> list[tuple[int, int]]:
    """(begin, end) of the pieces of a long sound whose vectors follow each other without a seam."""
    length = STRIDE * BLOCK
    cuts = [(k * length, k * length + length - STRIDE + KERNEL) for k in range(n_samples // length)]
    rest = (n_samples // length) * length
    return [*cuts, (rest, n_samples)] if n_samples - rest >= KERNEL else cuts


class _Transformer:
    """What both networks share."""

    standing_for: ClassVar[str] = ""
    dim: int
    _network: Any
    _processor: Any

    def _run(self, values: torch.Tensor) -> torch.Tensor:
        raise NotImplementedError

    def vectors(self, samples: Float32[np.ndarray, " N"]) -> Float32[np.ndarray, "M D"]:
        """Vectors at 50 Hz: one for each 20 ms of which 25 ms are there."""
        values = self._processor(samples, sampling_rate=SAMPLE_RATE, return_tensors="pt")
        values = values.input_values
        with torch.no_grad():
            parts = [self._run(values[:, a:b])[0] for a, b in blocks(values.shape[1])]
        if not parts:
            return np.zeros((0, self.dim), np.float32)
        return torch.cat(parts).numpy().astype(np.float32)

    def windows(
        self, samples: Float32[np.ndarray, " N"], n_frames: int
    ) -> Float32[np.ndarray, "T 16 D"]:
        """See `SpeechExtractor.windows`."""
        return windows_of(self.vectors(samples), n_frames)


class HuBERT(_Transformer):
    """Last hidden state of a HuBERT model (1024 numbers for hubert-large-ls960-ft)."""

    id: ClassVar[str] = "hubert-50hz"

    def __init__(self) -> None:
        folder = folder_of("hubert")
        from transformers import AutoFeatureExtractor, HubertModel

        self._processor = AutoFeatureExtractor.from_pretrained(folder, local_files_only=True)
        self._network = HubertModel.from_pretrained(folder, local_files_only=True).eval()
        self.dim = int(self._network.config.hidden_size)

    def _run(self, values: torch.Tensor) -> torch.Tensor:
        return self._network(values).last_hidden_state


class Wav2Vec2(_Transformer):
    """Character logits of a wav2vec 2.0 CTC model (32 numbers for wav2vec2-*-960h)."""

    id: ClassVar[str] = "wav2vec2-ctc-50hz"

    def __init__(self) -> None:
        folder = folder_of("wav2vec2")
        from transformers import AutoFeatureExtractor, Wav2Vec2ForCTC

        self._processor = AutoFeatureExtractor.from_pretrained(folder, local_files_only=True)
        self._network = Wav2Vec2ForCTC.from_pretrained(folder, local_files_only=True).eval()
        self.dim = int(self._network.config.vocab_size)

    def _run(self, values: torch.Tensor) -> torch.Tensor:
        return self._network(values).logits
