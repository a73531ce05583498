"""Identity by dlib's ResNet: a face upright in 150 px in, 128 numbers out (CC0 weights)."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from jaxtyping import Float, UInt8

from emotalk_core.errors import WeightsError
from emotalk_core.media.atomic import sha256_file
from emotalk_core.perception.landmarks import topology as tp

READER_ID = "dlib-resnet-v1"
STANDING_FOR = "VGGFace2"
WEIGHTS = "models/dlib_face_recognition_resnet_model_v1.dat"
WEIGHTS_SHA256 = "55533b28a95800a551ba546ba62fe69625c7e95a7061c338adffead08719da30"
INSTALL = "`pip install --no-deps dlib-bin==20.0.1.post1 face_recognition_models==0.3.0`"
CHIP = 150  # px, what the network was trained on
# dlib's five points: outer and inner corner of the person's left, then right eye, below the nose.
# FaceMesh gives them to within 2 px of dlib's own finder; the embeddings differ by .06, those of
# the same person in two frames by .2, those of two people by .8.
FIVE_POINTS = (263, 362, 33, 133, 2)


def weights_path() -> Path:
    """The network's file inside the installed package (which is not imported).

    Raises:
        WeightsError: the package is not installed or holds another file.
    """
    found = find_spec("face_recognition_models")
    if found is None or found.origin is None or find_spec("dlib") is None:
        raise WeightsError(f"identity: its network is not installed; type {INSTALL}")
    path = Path(found.origin).parent / WEIGHTS
    if not path.is_file() or sha256_file(path) != WEIGHTS_SHA256:
        raise WeightsError(
            f"{path}: missing or not the known file (sha256 {WEIGHTS_SHA256[:12]}...); "
            f"type {INSTALL}"
        )
    return path


class DlibIdentity:
    """128 numbers of a face; the cosine of two people's is about .81, of one person's above .95."""

    id = READER_ID
    standing_for = STANDING_FOR

    def __init__(self) -> None:
        path = weights_path()
        import dlib

        self._dlib = dlib
        self._network = dlib.face_recognition_model_v1(str(path))

    @staticmethod
    def files() -> Sequence[Path]:
        """The network's file."""
        return [weights_path()]

    def embed(
        self, frame: UInt8[np.ndarray, "H W 3"], landmarks: Float[np.ndarray, "478 3"]
    ) -> Float[np.ndarray, " 128"]:
        """Embedding of the face at FaceMesh landmarks (px) of an RGB frame."""
        surface = landmarks[: tp.N_SURFACE, :2]
        low, high = surface.min(axis=0), surface.max(axis=0)
        box = self._dlib.rectangle(*(int(v) for v in (*low, *high)))
        points = np.round(landmarks[list(FIVE_POINTS), :2]).astype(int).tolist()
        shape = self._dlib.full_object_detection(box, [self._dlib.point(x, y) for x, y in points])
        chip = self._dlib.get_face_chip(np.ascontiguousarray(frame), shape, size=CHIP)
        return np.array(self._network.compute_face_descriptor(chip), dtype=np.float64)
