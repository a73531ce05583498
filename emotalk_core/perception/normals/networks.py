"""Normal networks by name: a frame and its landmarks in, camera-space unit normals out."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Protocol

import cv2
import numpy as np
import torch
from jaxtyping import Float, Float32, UInt8

from emotalk_core.errors import ConfigError, WeightsError
from emotalk_core.media.weight_files import open_network, open_onnx
from emotalk_core.perception.landmarks import topology as tp
from emotalk_core.perception.normals.face_normals import ResNetUNet
from emotalk_core.perception.normals.settings import NormalSettings
from emotalk_core.registry import Registry

PACKAGED = "packaged"
# word of normals.method -> function (settings) that opens it, None where its weights are missing
NORMAL_NETWORKS = Registry(
    "normals.method",
    {
        "face_normals": "emotalk_core.perception.normals.networks:open_face_normals",
        "onnx": "emotalk_core.perception.normals.networks:open_onnx_normals",
    },
)
INPUT_SIZE = 256  # px, side of the crop
CROP_SCALE = 1.2  # of the longer side of the landmarks' box, as the network was trained
# The networks' axes are x right, y up, z to the viewer; ours are OpenCV's.
TO_CAMERA = np.array([1.0, -1.0, -1.0], np.float32)
MIN_LENGTH = 1e-6  # shorter answers have no direction


class NormalNetwork(Protocol):
    """A network that sees normals.

    Attributes:
        id: goes into the log.
    """

    id: str

    def normals(
        self, frame: UInt8[np.ndarray, "H W 3"], landmarks: Float[np.ndarray, "478 2"]
    ) -> Float32[np.ndarray, "H W 3"]:
        """Unit normals in camera space (OpenCV axes); zero where the network does not look."""
        ...


def open_normals(settings: NormalSettings) -> NormalNetwork | None:
    """The network that the settings name; None for the packaged method (weights missing, too).

    Raises:
        ConfigError: unknown name.
    """
    if settings.method == PACKAGED:
        return None
    try:
        network: NormalNetwork | None = NORMAL_NETWORKS.load(settings.method)(settings)
    except KeyError as error:
        raise ConfigError(f"{error.args[0]}; set normals.method in config.yaml") from error
    return network


def open_face_normals(settings: NormalSettings) -> CropNormals | None:
    """Cross-modal Deep Face Normals with its published weights, or None with a warning."""
    network = open_network("face_normals", ResNetUNet)
    return None if network is None else CropNormals("cross-modal-face-normals", network)


def open_onnx_normals(settings: NormalSettings) -> CropNormals:
    """Any ONNX model of the contract that config.yaml states.

    Raises:
        WeightsError: no path is set, or no ONNX model lies there.
    """
    if not settings.onnx:
        raise WeightsError("normals.onnx is empty; give the path of an .onnx file in config.yaml")
    session = open_onnx(Path(settings.onnx))
    return CropNormals(f"onnx-{Path(settings.onnx).stem}", _OnnxNetwork(session))


class _OnnxNetwork:
    """An ONNX session called like a torch network."""

    def __init__(self, session: Any) -> None:
        self._session = session
        self._name = session.get_inputs()[0].name

    def __call__(self, picture: torch.Tensor) -> tuple[torch.Tensor]:
        answer = np.asarray(self._session.run(None, {self._name: picture.numpy()})[0])
        if answer.ndim != 4 or answer.shape[1] != 3:
            raise WeightsError(
                f"normals.onnx: output {answer.shape}: wanted [1,3,H,W] normals; export it so"
            )
        return (torch.from_numpy(answer),)


def face_square(
    landmarks: Float[np.ndarray, "478 2"], height: int, width: int
) -> tuple[int, int, int]:
    """(left, top, side) px of the crop around jaw and brows, inside the frame as the original."""
    brows = landmarks[[*tp.RIGHT_BROW, *tp.LEFT_BROW], :2]
    oval = landmarks[list(tp.OVAL), :2]
    points = np.concatenate([brows, oval[oval[:, 1] >= brows[:, 1].min()]]).round()
    low, high = points.min(axis=0), points.max(axis=0)
    side = min(round(CROP_SCALE * float((high - low).max())), height, width)
    left, top = (
        int(np.clip(round(float(middle) - side / 2), 0, length - side))
        for middle, length in zip((low + high) / 2, (width, height))
    )
    return left, top, side


class CropNormals:
    """A network that sees a square face crop of 256 px, RGB in [0,1].

    Args:
        name: of the network.
        network: [1,3,256,256] -> a tuple with [1,3,H,W] normals first; x right, y up, z to the
            viewer, any length.
    """

    def __init__(self, name: str, network: Any) -> None:
        self.id = name
        self._network = network

    def normals(
        self, frame: UInt8[np.ndarray, "H W 3"], landmarks: Float[np.ndarray, "478 2"]
    ) -> Float32[np.ndarray, "H W 3"]:
        """See `NormalNetwork.normals`."""
        height, width = frame.shape[:2]
        left, top, side = face_square(landmarks, height, width)
        crop = cv2.resize(frame[top : top + side, left : left + side], (INPUT_SIZE, INPUT_SIZE))
        picture = torch.from_numpy(crop.astype(np.float32) / 255).permute(2, 0, 1)[None]
        with torch.no_grad():
            answer = self._network(picture)[0][0].permute(1, 2, 0).numpy()
        found = np.zeros((height, width, 3), np.float32)
        found[top : top + side, left : left + side] = cv2.resize(answer, (side, side)) * TO_CAMERA
        length = np.linalg.norm(found, axis=-1, keepdims=True)
        return np.where(length > MIN_LENGTH, found / np.maximum(length, MIN_LENGTH), 0)
