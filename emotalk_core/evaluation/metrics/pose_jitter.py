"""Head shake that the source does not have: second differences of rigid points, px."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

from emotalk_core.evaluation.metrics.base import (
    CROSS,
    EMOTION,
    SELF,
    FrameEvidence,
    Metric,
    Terms,
)
from emotalk_core.perception.landmarks.topology import rigid_points


def _offset(frame: FrameEvidence) -> Float[np.ndarray, " 2"] | None:
    """Mean displacement of the rigid points of the render against the source frame, px."""
    if frame.face is None or frame.source_face is None:
        return None
    points = list(rigid_points())
    return (frame.face.landmarks[points, :2] - frame.source_face.landmarks[points, :2]).mean(axis=0)


def _terms(frame: FrameEvidence) -> Terms | None:
    offsets = [_offset(f) for f in (*frame.before, frame)]
    if len(offsets) < 3 or any(o is None for o in offsets):
        return None
    first, second, third = (np.asarray(o, dtype=np.float64) for o in offsets)
    return (float(((third - 2 * second + first) ** 2).sum()),)


def _root_mean(terms: Float[np.ndarray, "N 1"]) -> float:
    return float(np.sqrt(terms.mean()))


METRICS = (
    Metric(
        "pose_jitter",
        _terms,
        _root_mean,
        "landmarks",
        (SELF, CROSS, EMOTION),
        "lower",
        "px",
        "rms second difference of the rigid points of the render against the source frames",
    ),
)
