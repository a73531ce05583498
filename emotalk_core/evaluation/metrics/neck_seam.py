"""Visible seam at the neck: edges of the render along the head's border that the truth lacks."""

from __future__ import annotations

import cv2
import numpy as np
from jaxtyping import Float, UInt8

from emotalk_core.evaluation.metrics.base import (
    CROSS,
    EMOTION,
    SELF,
    FrameEvidence,
    Metric,
    Terms,
    mean_term,
)


def edge_strength(picture: UInt8[np.ndarray, "H W 3"]) -> Float[np.ndarray, "H W"]:
    """Length of the central-difference gradient, grey levels a pixel, strongest channel."""
    levels = picture.astype(np.float64)
    down, right = np.gradient(levels, axis=0), np.gradient(levels, axis=1)
    return np.hypot(down, right).max(axis=2)


def _terms(frame: FrameEvidence) -> Terms | None:
    if frame.source is None or frame.seam is None or not frame.seam.any():
        return None
    # only the rows and columns of the band: a gradient of the whole frame costs ten times more
    x, y, width, height = cv2.boundingRect(frame.seam.astype(np.uint8))
    rows = slice(max(0, y - 1), y + height + 1)
    columns = slice(max(0, x - 1), x + width + 1)
    box = (rows, columns)
    band = frame.seam[box]
    render, truth = (edge_strength(p[box])[band].mean() for p in (frame.render, frame.source))
    # The sum over the band, not pixel by pixel: a jaw or a collar that lies elsewhere is no seam.
    return (max(0.0, float(render - truth)),)


METRICS = (
    Metric(
        "neck_seam",
        _terms,
        mean_term,
        "image",
        (SELF, CROSS, EMOTION),
        "lower",
        "levels/px",
        "edges at the border of head and body that the source frame does not have",
    ),
)
