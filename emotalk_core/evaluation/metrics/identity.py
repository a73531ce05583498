"""Is it still the same person? Cosine of two face embeddings."""

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
    mean_term,
)


def cosine(a: Float[np.ndarray, " E"], b: Float[np.ndarray, " E"]) -> float:
    """Cosine of the angle between two embeddings, -1..1."""
    return float(a @ b / (np.linalg.norm(a) * np.linalg.norm(b)))


def _terms(frame: FrameEvidence) -> Terms | None:
    if frame.face is None or frame.source_face is None:
        return None
    render, truth = frame.face.identity, frame.source_face.identity
    return None if render is None or truth is None else (cosine(render, truth),)


METRICS = (
    Metric(
        "identity",
        _terms,
        mean_term,
        "identity",
        (SELF, CROSS, EMOTION),
        "higher",
        "",
        "cosine of the face embeddings of render and source frame",
    ),
)
