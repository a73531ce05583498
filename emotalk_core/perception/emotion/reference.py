"""EmoNet behind the seam: a frame and its landmarks in; valence, arousal, eight classes out."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import torch
from jaxtyping import Float, UInt8

from emotalk_core.errors import ConfigError
from emotalk_core.media.weight_files import open_network
from emotalk_core.perception.emotion.emonet import INPUT_SIZE, EmoNet
from emotalk_core.perception.landmarks import topology as tp
from emotalk_core.registry import Registry
from emotalk_core.weights import known_weights, path_of

PACKAGED = "packaged"
# word of emotion_reader.reader -> function that opens it, None where its weights are missing
REFERENCE_READERS = Registry(
    "emotion_reader.reader",
    {"emonet": "emotalk_core.perception.emotion.reference:open_emonet"},
)
READER_ID = "emonet-8"


def open_reference(name: str) -> EmoNetReader | None:
    """The network of that name; None for the packaged reader (also where weights are missing).

    Raises:
        ConfigError: unknown name.
    """
    if name == PACKAGED:
        return None
    try:
        reader: EmoNetReader | None = REFERENCE_READERS.load(name)()
    except KeyError as error:
        raise ConfigError(f"{error.args[0]}; set emotion_reader.reader in config.yaml") from error
    return reader


def open_emonet() -> EmoNetReader | None:
    """EmoNet with its published weights, or None with a warning."""
    network = open_network("emonet", EmoNet)
    return None if network is None else EmoNetReader(network)


def face_box(landmarks: Float[np.ndarray, "478 C"]) -> tuple[float, float, float, float]:
    """(x0, y0, x1, y1) px of the face from forehead to chin, as a face detector frames it."""
    points = landmarks[: tp.N_SURFACE, :2]
    (x0, y0), (x1, y1) = points.min(axis=0).tolist(), points.max(axis=0).tolist()
    return x0, y0, x1, y1


class EmoNetReader:
    """EmoNet on the face box, stretched to 256x256 as its makers' demo does; absolute readings.

    Args:
        network: with weights, in evaluation mode.
    """

    id = READER_ID
    standing_for = ""

    def __init__(self, network: EmoNet) -> None:
        self._network = network

    def read(
        self, frame: UInt8[np.ndarray, "H W 3"], landmarks: Float[np.ndarray, "478 C"]
    ) -> tuple[float, float, Float[np.ndarray, " 8"]]:
        """Valence, arousal (-1..1) and the probabilities of `emonet.CLASSES`."""
        height, width = frame.shape[:2]
        x0, y0, x1, y1 = (round(v) for v in face_box(landmarks))
        x0, y0 = min(max(x0, 0), width - 2), min(max(y0, 0), height - 2)
        crop = frame[y0 : max(y1, y0 + 2), x0 : max(x1, x0 + 2)]
        picture = cv2.resize(crop, (INPUT_SIZE, INPUT_SIZE)).astype(np.float32) / 255
        with torch.no_grad():
            answer = self._network(torch.from_numpy(picture).permute(2, 0, 1)[None])
        valence, arousal = (
            float(np.clip(answer[key].item(), -1, 1)) for key in ("valence", "arousal")
        )
        return valence, arousal, answer["expression"][0].softmax(0).double().numpy()

    @staticmethod
    def files() -> Sequence[Path]:
        """The weight file."""
        return [path_of(known_weights("emonet"))]
