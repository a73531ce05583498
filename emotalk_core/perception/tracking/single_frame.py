"""Landmarks of one frame and a known neutral face in, that frame's expression coefficients out."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float

from emotalk_core.media.tables import read_arrays
from emotalk_core.perception.tracking import bundle
from emotalk_core.perception.tracking.detector_model import DetectorModel, detector_model
from emotalk_core.perception.tracking.expression import solve_expression
from emotalk_core.perception.tracking.path import unproject

USUAL_FOCAL = 2.4  # focal length / image width where a frame's camera is not known


@dataclass(frozen=True)
class SingleFrameFitter:
    """Fits pose, then expression of a known person to frames that stand alone (renders, edits).

    Attributes:
        shape: the person at rest as the detector sees one, metres, world.
        model: of the detector that finds the frames' landmarks.
    """

    shape: Float[np.ndarray, "478 3"]
    model: DetectorModel

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the coefficients."""
        return self.model.names

    @classmethod
    def of_person(
        cls, neutral: Float[np.ndarray, "478 3"], detector: str = "facemesh"
    ) -> SingleFrameFitter:
        """The fitter of a person whose neutral face is known."""
        model = detector_model(detector)
        shape = neutral.astype(np.float64)
        shape[:, 2] += model.depth_error
        return cls(shape, model)

    @classmethod
    def from_track(cls, track: Path) -> SingleFrameFitter:
        """The fitter of a tracked subject (track.npz)."""
        return cls.of_person(read_arrays(track, ("neutral",))["neutral"])

    def fit(
        self, landmarks: Float[np.ndarray, "478 3"], width: int, height: int
    ) -> Float[np.ndarray, " 52"]:
        """Coefficients in 0..1 of one frame.

        Args:
            landmarks: px, z relative depth in px, as the detector gives them.
            width: of the frame, px.
            height: of the frame, px.
        """
        points = landmarks.astype(np.float64)[None]
        rotations, sizes = bundle.start_rotations(points, self.shape)
        focal = USUAL_FOCAL * width
        seen = unproject(points, focal / sizes, focal, (width / 2, height / 2))
        metric = self.model.rigid_precision
        rotations = bundle.align(seen, self.shape, rotations, self.model, metric).rotations
        motion = bundle.motion_of(seen, self.shape, rotations, self.model)
        found = solve_expression(motion, np.ones(1), self.model, smoothing=0.0)
        return np.clip(found[0], 0, 1)
