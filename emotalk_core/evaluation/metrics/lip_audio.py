"""Do the lips follow the sound? Correlation of the lip opening with what the sound lets expect."""

from __future__ import annotations

import math

from emotalk_core.evaluation.face_points import lip_opening
from emotalk_core.evaluation.metrics.base import (
    CROSS,
    EMOTION,
    SELF,
    FrameEvidence,
    Metric,
    Terms,
    correlation,
)


def _terms(frame: FrameEvidence) -> Terms | None:
    if frame.face is None or math.isnan(frame.lip_opening_from_audio):
        return None
    return lip_opening(frame.face.landmarks), frame.lip_opening_from_audio


METRICS = (
    Metric(
        "lip_audio_r",
        _terms,
        correlation,
        "lip_audio",
        (SELF, CROSS, EMOTION),
        "higher",
        "",
        "correlation of the lip opening with a ridge prediction from the sound (no sync network)",
    ),
)
