"""RGB frames in, 478 FaceMesh landmarks with irises out, by the models of the mediapipe wheel."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Self

import cv2
import numpy as np
from jaxtyping import Float32, UInt8

from emotalk_core.errors import BackendUnavailableError, InputError, explain

DETECTOR_ID = "facemesh-mediapipe-0.10.21"
NETWORKS = (
    "face_detection/face_detection_short_range.tflite",
    "face_landmark/face_landmark_with_attention.tflite",
)
WARM_UP_SIZE = 64  # px; any size does
STDERR = 2  # file descriptor that the native code writes to


@contextlib.contextmanager
def quiet_native_logs() -> Iterator[None]:
    """Send what native libraries write to the error stream into the void inside the block.

    The wheel's C++ code logs to file descriptor 2 before its own log level is set, so neither
    Python's logging nor an environment variable can stop it.
    """
    saved = os.dup(STDERR)
    void = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(void, STDERR)
        yield
    finally:
        os.dup2(saved, STDERR)
        os.close(saved)
        os.close(void)


def load_mediapipe() -> Any:
    """The module `mediapipe`, without its log lines.

    Raises:
        BackendUnavailableError: mediapipe is missing or is a version without packaged models.
    """
    os.environ.setdefault("GLOG_minloglevel", "3")
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    try:
        with quiet_native_logs():
            import mediapipe

            mediapipe.solutions  # noqa: B018  # absent from versions without packaged models
            return mediapipe
    except (ImportError, AttributeError) as error:
        raise BackendUnavailableError(
            "mediapipe: needed for face landmarks and the person mask, and only version 0.10.21 "
            f"carries the models ({error}); install requirements/base.txt again"
        ) from error


def model_files() -> list[Path]:
    """The networks of the wheel that FaceMesh runs: detector and landmarks with irises."""
    modules = Path(load_solutions().__file__).parents[2] / "modules"
    return [modules / name for name in NETWORKS]


def load_solutions() -> Any:
    """`mediapipe.solutions` of the wheel: the packaged models."""
    return load_mediapipe().solutions


def enlarged(frame: UInt8[np.ndarray, "H W 3"], min_size: int) -> UInt8[np.ndarray, "h w 3"]:
    """A checked, contiguous frame whose shorter side has at least `min_size` px.

    Raises:
        InputError: the frame is not [H,W,3] uint8.
    """
    if frame.ndim != 3 or frame.shape[2] != 3 or frame.dtype != np.uint8:
        got = (frame.shape, str(frame.dtype))
        raise InputError(explain("frame", got, "wanted RGB uint8 [H,W,3]", "convert it"))
    height, width = frame.shape[:2]
    scale = min_size / min(height, width)
    if scale > 1:
        size = (round(width * scale), round(height * scale))
        frame = cv2.resize(frame, size, interpolation=cv2.INTER_CUBIC)
    return np.ascontiguousarray(frame)


def close_quietly(network: Any) -> None:
    """Close a native detector, if it is open, without its own log lines."""
    if network is not None:
        with quiet_native_logs():
            network.close()


class FaceMeshLandmarks:
    """Refined FaceMesh, one thread of calls; use as a context manager.

    Two runs over the same frames in the same order give the same points. With `static=False` a
    frame is searched around the last face (faster); with `static=True` frames are independent.

    Args:
        static: treat every frame on its own.
        min_size: frames with a smaller shorter side, px, are enlarged for the detector.
        max_faces: how many faces `detect_all` may find.
    """

    id = DETECTOR_ID
    standing_for = "FAN (68 landmarks)"

    def __init__(self, static: bool = False, min_size: int = 256, max_faces: int = 1) -> None:
        self._static, self._min_size, self._max_faces = static, min_size, max_faces
        self._mesh: Any = None
        self._seen_face = False

    def __enter__(self) -> Self:
        solutions = load_solutions()
        with quiet_native_logs():
            self._mesh = solutions.face_mesh.FaceMesh(
                static_image_mode=self._static,
                refine_landmarks=True,
                max_num_faces=self._max_faces,
            )
            # the inference threads announce themselves with the first frame: show them an empty one
            self._mesh.process(np.zeros((WARM_UP_SIZE, WARM_UP_SIZE, 3), dtype=np.uint8))
        return self

    def __exit__(self, *error: object) -> None:
        close_quietly(self._mesh)
        self._mesh = None

    def detect_all(self, frame: UInt8[np.ndarray, "H W 3"]) -> list[Float32[np.ndarray, "478 3"]]:
        """Landmarks of every face in px of `frame`.

        x and y count from the corner of the first pixel; z is relative depth in the unit of x.

        Raises:
            InputError: the frame is not [H,W,3] uint8, or the detector is used outside `with`.
        """
        if self._mesh is None:
            raise InputError("FaceMeshLandmarks: not open; write `with FaceMeshLandmarks() as d`")
        height, width = frame.shape[:2]
        frame = enlarged(frame, self._min_size)
        if self._seen_face:
            result = self._mesh.process(frame)
        else:  # the first face draws one more native log line
            with quiet_native_logs():
                result = self._mesh.process(frame)
            self._seen_face = bool(result.multi_face_landmarks)
        units = np.array([width, height, width], dtype=np.float64)
        return [
            (np.array([(p.x, p.y, p.z) for p in face.landmark]) * units).astype(np.float32)
            for face in result.multi_face_landmarks or ()
        ]

    def detect(self, frame: UInt8[np.ndarray, "H W 3"]) -> Float32[np.ndarray, "478 3"] | None:
        """Landmarks of the first face, or None where there is none (see `detect_all`)."""
        faces = self.detect_all(frame)
        return faces[0] if faces else None
