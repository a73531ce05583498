"""Openings of lips and lids out of the landmarks of one picture, in units of the eye distance."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

from emotalk_core.perception.landmarks.topology import INNER_LIPS, OUTER_LIPS
from emotalk_core.perception.tracking.shape import eye_distances, lid_gap, lip_gap

# The two lip contours, 20 points each; they take the place of points 48..67 of the 68-point scheme
# that the paper uses.
MOUTH_POINTS = (*OUTER_LIPS, *INNER_LIPS)
MIN_EYE_DISTANCE = 1e-6  # px, keeps a collapsed detection from dividing by zero


def lip_opening(points: Float[np.ndarray, "478 D"]) -> float:
    """Gap of the inner lips in units of the outer eye distance."""
    flat = points[None, :, :2]
    return float(lip_gap(flat)[0] / max(eye_distances(flat)[0], MIN_EYE_DISTANCE))


def lid_opening(points: Float[np.ndarray, "478 D"]) -> float:
    """Mean gap of the lids of both eyes in units of the outer eye distance."""
    flat = points[None, :, :2]
    return float(lid_gap(flat)[0] / max(eye_distances(flat)[0], MIN_EYE_DISTANCE))
