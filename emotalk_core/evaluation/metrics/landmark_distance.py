"""Landmark distance of the mouth (LMD): two sets of mouth points in, px out."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

from emotalk_core.evaluation.face_points import MOUTH_POINTS
from emotalk_core.evaluation.metrics.base import SELF, FrameEvidence, Metric, Terms, mean_term

FAN_MOUTH = slice(48, 68)  # of the 68 points


def landmark_distance(render: Float[np.ndarray, "P 2"], truth: Float[np.ndarray, "P 2"]) -> float:
    """Mean distance of two point sets after each is centred on its own mean, px (METHOD 3)."""
    difference = (render - render.mean(axis=0)) - (truth - truth.mean(axis=0))
    return float(np.linalg.norm(difference, axis=1).mean())


def _terms(frame: FrameEvidence) -> Terms | None:
    if frame.face is None or frame.source_face is None:
        return None
    points = list(MOUTH_POINTS)
    return (
        landmark_distance(
            frame.face.landmarks[points, :2], frame.source_face.landmarks[points, :2]
        ),
    )


def _fan_terms(frame: FrameEvidence) -> Terms | None:
    if frame.face is None or frame.source_face is None:
        return None
    render, truth = frame.face.fan, frame.source_face.fan
    if render is None or truth is None:
        return None
    return (landmark_distance(render[FAN_MOUTH], truth[FAN_MOUTH]),)


METRICS = (
    Metric(
        "lmd",
        _terms,
        mean_term,
        "landmarks",
        (SELF,),
        "lower",
        "px",
        "distance of the mouth landmarks, both sets mean-centred",
    ),
    Metric(
        "lmd",
        _fan_terms,
        mean_term,
        "fan",
        (SELF,),
        "lower",
        "px",
        "distance of FAN's mouth points 48 to 67, both sets mean-centred (the paper's)",
    ),
)
