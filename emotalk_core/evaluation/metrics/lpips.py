"""The paper's perceptual distance, where the weights of its network are there."""

from __future__ import annotations

import math

from emotalk_core.evaluation.metrics.base import (
    PIXEL_SCENARIOS,
    FrameEvidence,
    Metric,
    Terms,
    mean_term,
)


def _terms(frame: FrameEvidence) -> Terms | None:
    return None if math.isnan(frame.lpips) else (frame.lpips,)


METRICS = (
    Metric(
        "lpips",
        _terms,
        mean_term,
        "lpips",
        PIXEL_SCENARIOS,
        "lower",
        "",
        "LPIPS of the whole frame (AlexNet trunk, published linear heads)",
    ),
)
