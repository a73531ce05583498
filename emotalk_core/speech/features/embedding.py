"""16 kHz sound in; 16 Google speech embeddings (one a frame) around each 25 fps frame out."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from jaxtyping import Float, Float32
from torch import Tensor
from torch.nn import functional

from emotalk_core.errors import BackendUnavailableError
from emotalk_core.speech.features.base import WINDOW
from emotalk_core.speech.features.mel import cut_out, neighbours
from emotalk_core.speech.features.onnx_weights import float_tensors
from emotalk_core.types.manifest import FPS, SAMPLE_RATE

# The two networks of the openwakeword wheel (Google speech embedding, Apache-2.0).
PACKAGE, FOLDER = "openwakeword", "resources/models"
MEL_FILE, EMBEDDING_FILE = "melspectrogram.onnx", "embedding_model.onnx"

INT16_FULL = 32_767.0  # the mel network wants 16-bit values as floats
HOP = SAMPLE_RATE // 100  # samples between its columns
MEL_REACH = 512  # samples that a column covers; its middle is sample 256
MEL_COLUMNS, MEL_BANDS = 76, 32  # input of the embedding network
CENTRE_COLUMN = 38  # of the 76: where an embedding lies in time (measured by cross-correlation)
STRIDE = 100 // FPS  # columns between frames
MEL_SCALE, MEL_OFFSET = 10.0, 2.0  # what the embedding network was trained with: dB / 10 + 2

# The mel network clips 80 dB below the loudest value of its input. A tone of full scale appended
# to each block makes that floor constant, and clipping at it keeps blocks independent.
TONE_HERTZ, TONE_SAMPLES = 1000.0, 1024
# Mean and deviation of embeddings of two recordings of speech: constants, as for log-mel.
MEAN, DEVIATION = 2.0, 17.4
BLOCK_FRAMES = 1500  # a minute at a time: bounds memory
# The embedding network halves time three times: each pass gives every eighth column, and two passes
# four columns apart give every frame. Run over windows of 76 columns, as its file wants it, each
# column would be computed 19 times.
PASS_STRIDE = 8
N_CONVOLUTIONS = 20
POOLS = {2: (2, 2), 6: (1, 2), 10: (2, 2), 14: (1, 2), 18: (2, 2)}  # after these convolutions
SLOPE, FLOOR = 0.2, -0.4  # of its rectifiers


class SpeechEmbedding:
    """Google speech embedding at 25 Hz: knows phones better than voices."""

    id: ClassVar[str] = "speech-embedding-96-25hz"
    standing_for: ClassVar[str] = "wav2vec 2.0, HuBERT"
    dim: ClassVar[int] = 96

    def __init__(self) -> None:
        self._mel = _session(MEL_FILE)
        self._layers = _convolutions(_packaged(EMBEDDING_FILE))
        self._floor = float(self._decibels(np.zeros(4 * MEL_REACH, dtype=np.float32)).min())

    @staticmethod
    def files() -> list[Path]:
        """The weight files that it reads."""
        return [_packaged(MEL_FILE), _packaged(EMBEDDING_FILE)]

    def windows(
        self, samples: Float32[np.ndarray, " N"], n_frames: int
    ) -> Float32[np.ndarray, "T 16 D"]:
        """See `SpeechExtractor.windows`."""
        before = WINDOW // 2
        vectors = self.vectors(samples, -before, n_frames + WINDOW - before)
        return neighbours(vectors, WINDOW)[:n_frames]

    def vectors(
        self, samples: Float32[np.ndarray, " N"], first: int, last: int
    ) -> Float32[np.ndarray, "F 96"]:
        """One embedding for each frame in [first, last); outside of the sound is silence."""
        blocks = [
            self._block(samples, begin, min(begin + BLOCK_FRAMES, last))
            for begin in range(first, last, BLOCK_FRAMES)
        ]
        return np.concatenate(blocks)

    def _block(
        self, samples: Float32[np.ndarray, " N"], first: int, last: int
    ) -> Float32[np.ndarray, "F 96"]:
        """Embeddings of neighbouring frames from the sound that they see."""
        middle = SAMPLE_RATE // FPS // 2  # of frame 0, in samples
        begin = first * HOP * STRIDE + middle - MEL_REACH // 2 - CENTRE_COLUMN * HOP
        n_columns = (last - first - 1) * STRIDE + MEL_COLUMNS
        sound = cut_out(samples, begin, (n_columns - 1) * HOP + MEL_REACH)
        mel = np.maximum(self._decibels(sound)[:n_columns], self._floor) / MEL_SCALE + MEL_OFFSET
        vectors = np.empty((last - first, self.dim), dtype=np.float32)
        for phase in range(0, PASS_STRIDE, STRIDE):
            every = vectors[phase // STRIDE :: PASS_STRIDE // STRIDE]
            if len(every):  # one frame alone has no second pass
                length = (len(every) - 1) * PASS_STRIDE + MEL_COLUMNS
                every[:] = self._embed(mel[phase : phase + length])
        return ((vectors - MEAN) / DEVIATION).astype(np.float32)

    def _embed(self, mel: Float32[np.ndarray, "C 32"]) -> Float32[np.ndarray, "E 96"]:
        """One embedding for each eighth column on which a window of 76 fits."""
        with torch.no_grad():
            x = torch.from_numpy(np.ascontiguousarray(mel))[None, None]
            for index, (weight, bias) in enumerate(self._layers):
                bands = 1 if weight.shape[3] == 3 else 0  # zeros beside the bands, none in time
                x = functional.conv2d(x, weight, bias, padding=(0, bands))
                if index < N_CONVOLUTIONS - 1:
                    x = functional.leaky_relu(x, SLOPE).clamp_min(FLOOR)
                if index in POOLS:
                    x = functional.max_pool2d(x, POOLS[index])
            return x[0, :, :, 0].T.numpy()

    def _decibels(self, sound: Float32[np.ndarray, " N"]) -> Float32[np.ndarray, "C 32"]:
        """Mel columns in dB, column c centred at sample 160 c + 256."""
        time = np.arange(TONE_SAMPLES) / SAMPLE_RATE
        tone = np.sin(2 * np.pi * TONE_HERTZ * time)
        whole = (np.concatenate([sound, tone]) * INT16_FULL).astype(np.float32)[None]
        columns = self._mel.run(None, {self._mel.get_inputs()[0].name: whole})[0]
        n_columns = (len(sound) - MEL_REACH) // HOP + 1
        return columns.reshape(-1, MEL_BANDS)[:n_columns]


def _packaged(file: str) -> Path:
    """Where one of the wheel's networks lies.

    Raises:
        BackendUnavailableError: the wheel is not installed or does not carry the file.
    """
    found = importlib.util.find_spec(PACKAGE)
    path = Path(found.origin).parent / FOLDER / file if found and found.origin else None
    if path is None or not path.is_file():
        raise BackendUnavailableError(
            f"{PACKAGE}/{FOLDER}/{file} is missing; install requirements/packaged_models.txt "
            "(pip install --no-deps openwakeword==0.5.1), or set speech.extractor to logmel"
        )
    return path


def _session(file: str) -> Any:
    """One of the wheel's networks on one thread."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    path = str(_packaged(file))
    return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])


def _convolutions(
    path: Path,
) -> list[tuple[Float[Tensor, "O I H W"], Float[Tensor, " O"] | None]]:
    """Weights and biases of the embedding network, in order."""
    values = {name: torch.from_numpy(array.copy()) for name, array in float_tensors(path).items()}
    names = ["model/conv2d", *(f"model/conv2d_{k}" for k in range(1, N_CONVOLUTIONS - 1))]
    fused = [f"{name}/Conv2D_{{}}_fused_bn" for name in names]
    layers = [(values[n.format("weights")], values.get(n.format("bias"))) for n in fused]
    last = f"model/conv2d_{N_CONVOLUTIONS - 1}/Conv2D/ReadVariableOp:0"
    return [*layers, (values[last], None)]
