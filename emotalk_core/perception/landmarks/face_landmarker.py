"""RGB frames in, 478 FaceMesh landmarks out, by the optional file face_landmarker.task.

The same 478 points as the packaged models give, found with less scatter and better lips and brows.
"""

from __future__ import annotations

from typing import Any, Self

import numpy as np
from jaxtyping import Float32, UInt8

from emotalk_core.errors import InputError
from emotalk_core.perception.landmarks.packaged import (
    WARM_UP_SIZE,
    close_quietly,
    enlarged,
    load_mediapipe,
    quiet_native_logs,
)
from emotalk_core.types.manifest import FPS
from emotalk_core.weights import find_weights

WEIGHTS = "face_landmarker"


class FaceLandmarkerPoints:
    """MediaPipe's Face Landmarker, one thread of calls; use as a context manager.

    Two runs over the same frames in the same order give the same points.

    Args:
        static: treat every frame on its own.
        min_size: frames with a smaller shorter side, px, are enlarged for the detector.
        max_faces: how many faces `detect_all` may find.
    """

    id = "face-landmarker-float16-1"
    standing_for = "FAN (68 landmarks)"

    def __init__(self, static: bool = False, min_size: int = 256, max_faces: int = 1) -> None:
        self._static, self._min_size, self._max_faces = static, min_size, max_faces
        self._task: Any = None
        self._n_frames = 0

    def __enter__(self) -> Self:
        """Open the network.

        Raises:
            WeightsError: the file is missing or is not the published one.
        """
        path = find_weights(WEIGHTS, on_missing="error")
        mediapipe = load_mediapipe()
        vision = mediapipe.tasks.vision
        mode = vision.RunningMode.IMAGE if self._static else vision.RunningMode.VIDEO
        options = vision.FaceLandmarkerOptions(
            base_options=mediapipe.tasks.BaseOptions(model_asset_path=str(path)),
            running_mode=mode,
            num_faces=self._max_faces,
        )
        with quiet_native_logs():
            self._task = vision.FaceLandmarker.create_from_options(options)
            # the inference threads announce themselves with the first frame: show them an empty one
            self._find(np.zeros((WARM_UP_SIZE, WARM_UP_SIZE, 3), dtype=np.uint8))
        return self

    def __exit__(self, *error: object) -> None:
        close_quietly(self._task)
        self._task = None

    def _find(self, frame: UInt8[np.ndarray, "H W 3"]) -> Any:
        mediapipe = load_mediapipe()
        picture = mediapipe.Image(image_format=mediapipe.ImageFormat.SRGB, data=frame)
        if self._static:
            return self._task.detect(picture)
        self._n_frames += 1  # the network wants rising times, ms
        return self._task.detect_for_video(picture, self._n_frames * 1000 // FPS)

    def detect_all(self, frame: UInt8[np.ndarray, "H W 3"]) -> list[Float32[np.ndarray, "478 3"]]:
        """Landmarks of every face in px of `frame`.

        x and y count from the corner of the first pixel; z is relative depth in the unit of x.

        Raises:
            InputError: the frame is not [H,W,3] uint8, or the detector is used outside `with`.
        """
        if self._task is None:
            raise InputError(
                "FaceLandmarkerPoints: not open; write `with FaceLandmarkerPoints() as d`"
            )
        height, width = frame.shape[:2]
        units = np.array([width, height, width], dtype=np.float64)
        result = self._find(enlarged(frame, self._min_size))
        return [
            (np.array([(p.x, p.y, p.z) for p in face]) * units).astype(np.float32)
            for face in result.face_landmarks
        ]

    def detect(self, frame: UInt8[np.ndarray, "H W 3"]) -> Float32[np.ndarray, "478 3"] | None:
        """Landmarks of the first face, or None where there is none (see `detect_all`)."""
        faces = self.detect_all(frame)
        return faces[0] if faces else None
