"""Landmarks in, eye opening, lip opening and lip width in units of the outer eye distance out."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

from emotalk_core.emotion.landmark_sets import (
    INNER_LIP_MIDDLES,
    LEFT_EYE_OUTER,
    LEFT_LIP_CORNER,
    LID_MIDDLES,
    RIGHT_EYE_OUTER,
    RIGHT_LIP_CORNER,
)

Landmarks = Float[np.ndarray, "478 dims"]


def eye_distance(landmarks: Landmarks) -> float:
    """Distance of the outer eye corners in the image, px."""
    return float(np.linalg.norm(landmarks[LEFT_EYE_OUTER, :2] - landmarks[RIGHT_EYE_OUTER, :2]))


def eye_openings(landmarks: Landmarks) -> dict[str, float]:
    """Mean gap between the lids over the iris, for the person's own Right and Left eye."""
    scale = eye_distance(landmarks)
    result = {}
    for side, (upper, lower) in LID_MIDDLES.items():
        gaps = landmarks[list(upper), :2] - landmarks[list(lower), :2]
        result[side] = float(np.linalg.norm(gaps, axis=1).mean()) / scale
    return result


def lip_opening(landmarks: Landmarks) -> float:
    """Mean gap between the inner lips at the three middle pairs."""
    upper, lower = np.array(INNER_LIP_MIDDLES).T
    gaps = np.linalg.norm(landmarks[upper, :2] - landmarks[lower, :2], axis=1)
    return float(gaps.mean()) / eye_distance(landmarks)


def lip_width(landmarks: Landmarks) -> float:
    """Distance of the lip corners."""
    width = np.linalg.norm(landmarks[LEFT_LIP_CORNER, :2] - landmarks[RIGHT_LIP_CORNER, :2])
    return float(width) / eye_distance(landmarks)
