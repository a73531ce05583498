"""One frame in; the boxes of all faces and the landmarks of the main one out."""

from __future__ import annotations

from types import TracebackType
from typing import Any, Self

import cv2
import numpy as np
from jaxtyping import Float32, UInt8

from emotalk_core.perception.ingest.framing import Box, crop_and_resize
from emotalk_core.perception.landmarks.packaged import (
    FaceMeshLandmarks,
    load_solutions,
    quiet_native_logs,
)

DETECTOR_ID = "blazeface-mediapipe-0.10.21"
MODELS = (0, 1)  # short range (a face of a fifth of the picture and more) and full range
MIN_SCORE = 0.5
SAME_FACE_OVERLAP = 0.3  # intersection over union from which two boxes are one face
MAX_SIDE = 960  # px; larger frames are shrunk first: the networks see 192 px anyway
MESH_MARGIN = 2.0  # side of the mesh's input over the detector's box
MESH_SIZE = 256  # px


class FaceFinder:
    """Finds all faces of single frames; use as a context manager."""

    id = DETECTOR_ID
    standing_for = "the face detector of the paper's cropping (not named there)"

    def __init__(self) -> None:
        self._detectors: list[Any] = []
        self._mesh = FaceMeshLandmarks(static=True)

    def __enter__(self) -> Self:
        solutions = load_solutions()
        with quiet_native_logs():
            for model in MODELS:
                detector = solutions.face_detection.FaceDetection(
                    model_selection=model, min_detection_confidence=MIN_SCORE
                )
                detector.process(np.zeros((64, 64, 3), dtype=np.uint8))
                self._detectors.append(detector)
        self._mesh.__enter__()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        with quiet_native_logs():
            for detector in self._detectors:
                detector.close()
        self._detectors = []
        self._mesh.__exit__(kind, error, trace)

    def boxes(self, frame: UInt8[np.ndarray, "H W 3"]) -> list[Box]:
        """Boxes of all faces, tallest first (brows to chin, px of `frame`)."""
        height, width = frame.shape[:2]
        shrink = MAX_SIDE / max(height, width)
        if shrink < 1:
            size = (max(round(width * shrink), 1), max(round(height * shrink), 1))
            frame = cv2.resize(frame, size, interpolation=cv2.INTER_AREA)
        found: list[Box] = []
        for detector in self._detectors:
            for detection in detector.process(frame).detections or ():
                r = detection.location_data.relative_bounding_box
                box = Box(
                    r.ymin * height,
                    (r.ymin + r.height) * height,
                    r.xmin * width,
                    (r.xmin + r.width) * width,
                )
                if all(overlap(box, other) < SAME_FACE_OVERLAP for other in found):
                    found.append(box)
        return sorted(found, key=lambda box: -box.height)

    def landmarks(
        self, frame: UInt8[np.ndarray, "H W 3"], box: Box | None
    ) -> Float32[np.ndarray, "478 3"] | None:
        """Landmarks of the face in `box` (None: anywhere), px of `frame`, or None."""
        if box is None:
            return self._mesh.detect(frame)
        side = round(MESH_MARGIN * max(box.height, box.width))
        y0 = round((box.y0 + box.y1 - side) / 2)
        x0 = round((box.x0 + box.x1 - side) / 2)
        view = crop_and_resize(frame, (y0, y0 + side, x0, x0 + side), MESH_SIZE)
        points = self._mesh.detect(view)
        if points is None:
            return None
        scale = side / MESH_SIZE
        return (points * scale + np.array([x0, y0, 0])).astype(np.float32)


def overlap(a: Box, b: Box) -> float:
    """Intersection over union of two boxes, 0..1."""
    height = max(min(a.y1, b.y1) - max(a.y0, b.y0), 0.0)
    width = max(min(a.x1, b.x1) - max(a.x0, b.x0), 0.0)
    both = height * width
    return both / (a.height * a.width + b.height * b.width - both + 1e-9)
