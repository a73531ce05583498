"""Motion of lips and lids against the truth: correlation and amplitude of their openings."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

from emotalk_core.evaluation.face_points import lid_opening, lip_opening
from emotalk_core.evaluation.metrics.base import (
    SELF,
    FrameEvidence,
    Metric,
    Terms,
    correlation,
    moves,
)


def _lips(frame: FrameEvidence) -> Terms | None:
    if frame.face is None or frame.source_face is None:
        return None
    return lip_opening(frame.face.landmarks), lip_opening(frame.source_face.landmarks)


def _lids(frame: FrameEvidence) -> Terms | None:
    if frame.face is None or frame.source_face is None:
        return None
    return lid_opening(frame.face.landmarks), lid_opening(frame.source_face.landmarks)


def _amplitude(terms: Float[np.ndarray, "N 2"]) -> float:
    """Ratio of the standard deviations of render and truth; dead lips give 0."""
    render, truth = np.where(moves(terms), terms.std(axis=0), 0.0)
    return float(render / truth) if truth > 0 else float("nan")


METRICS = (
    Metric(
        "lip_r",
        _lips,
        correlation,
        "landmarks",
        (SELF,),
        "higher",
        "",
        "correlation of the lip opening with the truth",
    ),
    Metric(
        "lip_amplitude",
        _lips,
        _amplitude,
        "landmarks",
        (SELF,),
        "one",
        "ratio",
        "standard deviation of the lip opening over that of the truth (0 = dead lips)",
    ),
    Metric(
        "lid_r",
        _lids,
        correlation,
        "landmarks",
        (SELF,),
        "higher",
        "",
        "correlation of the lid opening with the truth",
    ),
)
