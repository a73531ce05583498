"""Fine detail of the render against the truth: Laplacian energy ratio inside the head."""

from __future__ import annotations

import cv2
import numpy as np
from jaxtyping import Bool, Float, UInt8

from emotalk_core.evaluation.metrics.base import PIXEL_SCENARIOS, FrameEvidence, Metric, Terms


def laplacian_energy(picture: UInt8[np.ndarray, "H W 3"], mask: Bool[np.ndarray, "H W"]) -> float:
    """Mean squared 3x3 Laplacian of the grey picture (levels 0..255) over a mask."""
    grey = cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY).astype(np.float64)
    return float((cv2.Laplacian(grey, cv2.CV_64F, ksize=1)[mask] ** 2).mean())


def _terms(frame: FrameEvidence) -> Terms | None:
    if frame.source is None or frame.head_inner is None or not frame.head_inner.any():
        return None
    return (
        laplacian_energy(frame.render, frame.head_inner),
        laplacian_energy(frame.source, frame.head_inner),
    )


def _ratio(terms: Float[np.ndarray, "N 2"]) -> float:
    render, truth = terms.sum(axis=0)
    return float(render / truth) if truth > 0 else float("nan")


METRICS = (
    Metric(
        "sharpness",
        _terms,
        _ratio,
        "image",
        PIXEL_SCENARIOS,
        "one",
        "ratio",
        "Laplacian energy of the render over that of the truth inside the head",
    ),
)
