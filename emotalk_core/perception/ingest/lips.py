"""FaceMesh landmarks of a frame in, the points and distances that tell how its lips stand out."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float32

from emotalk_core.perception.landmarks.topology import (
    CHIN,
    LIP_CORNERS,
    LOWER_INNER_LIP,
    NOSE_TIP,
    UPPER_INNER_LIP,
)
from emotalk_core.speech.sync.lip_shapes import USED_POINTS, pack

UPPER_OUTER_LIP, LOWER_OUTER_LIP = 0, 17

# Pairs of points whose distances follow speech: opening, width, outer height, jaw.
PAIRS = (
    (UPPER_INNER_LIP, LOWER_INNER_LIP),
    LIP_CORNERS,
    (UPPER_OUTER_LIP, LOWER_OUTER_LIP),
    (NOSE_TIP, CHIN),
)


def sync_points(landmarks: Float32[np.ndarray, "478 3"] | None) -> Float32[np.ndarray, "54 2"]:
    """The points that a sync expert reads, px; nan without a face."""
    if landmarks is None:
        return np.full((len(USED_POINTS), 2), np.nan, dtype=np.float32)
    return pack(landmarks[None])[0]


def lip_signals(landmarks: Float32[np.ndarray, "478 3"] | None) -> Float32[np.ndarray, " 4"]:
    """Opening, width and outer height of the mouth, nose to chin, in px; nan without a face.

    The baseline `speech.av_offset` reads them. They are not divided by the face's size: what
    changes slowly is removed later, and the noise of the eye corners would come in.
    """
    if landmarks is None:
        return np.full(len(PAIRS), np.nan, dtype=np.float32)
    first, second = np.array(PAIRS).T
    return np.linalg.norm(landmarks[first, :2] - landmarks[second, :2], axis=1)
