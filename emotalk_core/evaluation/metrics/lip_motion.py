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

# Standard deviation of the true lid opening, outer eye distances, below which nobody blinks: clips
# with a blink in their held-out part have .018 to .023, without one .002 to .005, which is gaze and
# the detector's scatter.
LEAST_LID_MOTION = 0.008


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


def _lid_correlation(terms: Float[np.ndarray, "N 2"]) -> float:
    """Correlation of render and truth; nan where the truth does not blink: it would be of noise."""
    if len(terms) and terms[:, 1].std() < LEAST_LID_MOTION:
        return float("nan")
    return correlation(terms)


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
        _lid_correlation,
        "landmarks",
        (SELF,),
        "higher",
        "",
        "correlation of the lid opening with the truth, where that blinks",
    ),
)
