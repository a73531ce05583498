"""Openings of lips and lids out of FaceMesh landmarks, in units of the outer eye distance."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

from emotalk_core.perception.landmarks.topology import (
    INNER_LIPS,
    LOWER_INNER_LIP,
    OUTER_EYE_CORNERS,
    OUTER_LIPS,
    UPPER_INNER_LIP,
    UPPER_LOWER_LIDS,
)

# The two lip contours, 20 points each; they take the place of points 48..67 of the 68-point scheme
# that the paper uses.
MOUTH_POINTS = (*OUTER_LIPS, *INNER_LIPS)
MIN_EYE_DISTANCE = 1e-6  # px, keeps a collapsed detection from dividing by zero


def eye_distance(points: Float[np.ndarray, "478 D"]) -> float:
    """Distance of the outer eye corners in the picture, px."""
    right, left = points[list(OUTER_EYE_CORNERS), :2]
    return max(float(np.linalg.norm(left - right)), MIN_EYE_DISTANCE)


def lip_opening(points: Float[np.ndarray, "478 D"]) -> float:
    """Gap of the inner lips in units of the outer eye distance."""
    gap = points[UPPER_INNER_LIP, :2] - points[LOWER_INNER_LIP, :2]
    return float(np.linalg.norm(gap)) / eye_distance(points)


def lid_opening(points: Float[np.ndarray, "478 D"]) -> float:
    """Mean gap of the lids of both eyes in units of the outer eye distance."""
    gaps = [np.linalg.norm(points[a, :2] - points[b, :2]) for a, b in UPPER_LOWER_LIDS]
    return float(np.mean(gaps)) / eye_distance(points)
