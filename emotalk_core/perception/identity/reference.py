"""The paper's identity network: VGGFace2's InceptionResnetV1 behind the identity protocol."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import torch
from jaxtyping import Float, UInt8

from emotalk_core.media.weight_files import open_network
from emotalk_core.perception.identity.inception_resnet import (
    CENTRE,
    INPUT_SIZE,
    SPREAD,
    InceptionResnetV1,
)
from emotalk_core.perception.landmarks import topology as tp
from emotalk_core.weights import ERROR, known_weights, path_of

NAME = "facenet_vggface2"  # in weights.toml


class Vggface2Identity:
    """512 numbers of a face, unit length; the box around the landmarks goes in as 160x160.

    Args:
        network: with weights; None opens the published file.

    Raises:
        WeightsError: no network is given and the file cannot be used.
    """

    id = "inception-resnet-v1-vggface2"
    standing_for = ""

    def __init__(self, network: InceptionResnetV1 | None = None) -> None:
        opened = network or open_network(NAME, InceptionResnetV1, ERROR)
        assert opened is not None  # ERROR raises instead
        self._network = opened

    @classmethod
    def open(cls) -> Vggface2Identity | None:
        """With the published weights, or None with a warning."""
        network = open_network(NAME, InceptionResnetV1)
        return None if network is None else cls(network)

    @staticmethod
    def files() -> Sequence[Path]:
        """The weight file."""
        return [path_of(known_weights(NAME))]

    def embed(
        self, frame: UInt8[np.ndarray, "H W 3"], landmarks: Float[np.ndarray, "478 3"]
    ) -> Float[np.ndarray, " 512"]:
        """Embedding of the face at FaceMesh landmarks (px) of an RGB frame."""
        height, width = frame.shape[:2]
        surface = landmarks[: tp.N_SURFACE, :2]
        x0, y0 = np.clip(surface.min(axis=0).astype(int), 0, (width - 2, height - 2))
        x1, y1 = np.maximum(surface.max(axis=0).astype(int), (x0 + 2, y0 + 2))
        size = (INPUT_SIZE, INPUT_SIZE)
        crop = cv2.resize(frame[y0:y1, x0:x1], size, interpolation=cv2.INTER_AREA)
        units = (crop.astype(np.float32) - CENTRE) / SPREAD
        with torch.no_grad():
            found = self._network(torch.from_numpy(units).permute(2, 0, 1)[None])
        return found[0].double().numpy()
