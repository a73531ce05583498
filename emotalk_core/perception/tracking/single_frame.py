"""Landmarks of one frame and a known neutral face in, that frame's expression coefficients out."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float
from scipy.spatial.transform import Rotation

from emotalk_core.actor.face_model import landmark_basis
from emotalk_core.media.tables import read_arrays
from emotalk_core.perception.landmarks import topology as tp
from emotalk_core.perception.tracking.bundle import HeadPath, solve_poses
from emotalk_core.perception.tracking.expression import fit_expression
from emotalk_core.perception.tracking.shape import eye_distances, fit_similarity

USUAL_FOCAL = 2.4  # focal length / image width where a frame's camera is not known


@dataclass(frozen=True)
class SingleFrameFitter:
    """Fits pose, then expression of a known person to frames that stand alone (renders, edits).

    Attributes:
        neutral: the person at rest, metres, world.
        deltas: expression shapes, metres at weight 1, world.
        names: of the deltas.
    """

    neutral: Float[np.ndarray, "478 3"]
    deltas: Float[np.ndarray, "52 478 3"]
    names: tuple[str, ...]

    @classmethod
    def of_person(cls, neutral: Float[np.ndarray, "478 3"]) -> SingleFrameFitter:
        """The fitter of a person whose neutral face is known."""
        _, deltas, names = landmark_basis()
        return cls(neutral.astype(np.float64), deltas.astype(np.float64), names)

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
        points = landmarks.astype(np.float64)
        rigid = list(tp.rigid_points())
        focal, centre = USUAL_FOCAL * width, (width / 2, height / 2)
        start = fit_similarity(self.neutral[rigid], points[rigid])
        depth = focal / start.scale
        shift = np.array([*(start.shift[:2] - np.asarray(centre)) / focal * depth, depth])
        turn = Rotation.from_matrix(start.rotation).as_rotvec()
        path = HeadPath(self.neutral[rigid], turn[None], shift[None], focal, centre)
        observed = points[None, :, :2]
        eye_px = float(eye_distances(observed)[0])
        eye_metres = float(eye_distances(self.neutral[None])[0])
        weights = np.ones((1, len(rigid)))
        path = solve_poses(path, observed[:, rigid], weights, eye_px, eye_metres, smoothing=0.0)
        seen = np.ones(1, dtype=bool)
        return fit_expression(
            path, self.neutral, observed, seen, self.deltas, self.names, smoothing=0.0
        )[0]
