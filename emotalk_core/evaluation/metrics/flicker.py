"""Temporal flicker: how much the render changes between frames where the truth does not."""

from __future__ import annotations

import numpy as np

from emotalk_core.evaluation.metrics.base import (
    PIXEL_SCENARIOS,
    FrameEvidence,
    Metric,
    Terms,
    mean_term,
)


def _terms(frame: FrameEvidence) -> Terms | None:
    if not frame.before or frame.source is None or frame.head is None or not frame.head.any():
        return None
    last = frame.before[-1]
    if last.source is None:
        return None
    render = frame.render.astype(np.float64) - last.render
    truth = frame.source.astype(np.float64) - last.source
    return (float(np.abs(render - truth)[frame.head].mean()),)


METRICS = (
    Metric(
        "flicker",
        _terms,
        mean_term,
        "image",
        PIXEL_SCENARIOS,
        "lower",
        "grey levels",
        "mean absolute difference of the frame-to-frame changes of render and truth in the head",
    ),
)
