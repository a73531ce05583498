"""Face landmarks: the detector's protocol and the table of detectors.

A detector turns one RGB frame into 478 points (`topology` names them) or None.
"""

from __future__ import annotations

from types import TracebackType
from typing import Protocol, Self

import numpy as np
from jaxtyping import Float32, UInt8

from emotalk_core.errors import ConfigError
from emotalk_core.registry import Registry

LANDMARK_DETECTORS = Registry(
    "tracking.detector",
    {
        "facemesh": "emotalk_core.perception.landmarks.packaged:FaceMeshLandmarks",
        "face_landmarker": "emotalk_core.perception.landmarks.face_landmarker:FaceLandmarkerPoints",
    },
)


class LandmarkDetector(Protocol):
    """What every landmark detector offers.

    Attributes:
        id: name and version, goes into scores and reports.
        standing_for: the paper's network that it stands in for.
    """

    id: str
    standing_for: str

    def __enter__(self) -> Self: ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None: ...

    def detect(self, frame: UInt8[np.ndarray, "H W 3"]) -> Float32[np.ndarray, "478 3"] | None:
        """Points (x, y, relative depth) in px of an RGB frame, or None where there is no face."""
        ...

    def detect_all(self, frame: UInt8[np.ndarray, "H W 3"]) -> list[Float32[np.ndarray, "478 3"]]:
        """The points of every face that was found (at most `max_faces`)."""
        ...


def create_detector(name: str = "facemesh", **options: bool | int) -> LandmarkDetector:
    """The detector of that name, ready for `with`.

    Raises:
        ConfigError: no detector has that name.
    """
    try:
        kind = LANDMARK_DETECTORS.load(name)
    except KeyError as error:
        raise ConfigError(str(error.args[0])) from error
    detector: LandmarkDetector = kind(**options)
    return detector
