"""Emotion classes: top-1 and top-3 accuracy against the point's label, and the confusion shares."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from jaxtyping import Float

from emotalk_core.emotion.circle import CLASSES
from emotalk_core.evaluation.metrics.base import EMOTION, FrameEvidence, Metric, Terms, mean_term


def ranking(posterior: Float[np.ndarray, " 8"]) -> list[str]:
    """Class names, most probable first; ties keep the order of CLASSES."""
    return [CLASSES[i] for i in np.argsort(-np.asarray(posterior), kind="stable")]


def _top(k: int) -> Callable[[FrameEvidence], Terms | None]:
    def terms(frame: FrameEvidence) -> Terms | None:
        if frame.face is None or frame.face.posterior is None or not frame.label:
            return None
        return (float(frame.label in ranking(frame.face.posterior)[:k]),)

    return terms


def _share(name: str) -> Callable[[FrameEvidence], Terms | None]:
    def terms(frame: FrameEvidence) -> Terms | None:
        if frame.face is None or frame.face.posterior is None:
            return None
        return (float(ranking(frame.face.posterior)[0] == name),)

    return terms


METRICS = (
    *(
        Metric(
            f"e_acc_top{k}",
            _top(k),
            mean_term,
            "emotion",
            (EMOTION,),
            "higher",
            "share",
            f"share of frames whose label is among the {k} most probable of 8 classes",
        )
        for k in (1, 3)
    ),
    *(
        Metric(
            f"e_share_{name}",
            _share(name),
            mean_term,
            "emotion",
            (EMOTION,),
            "none",
            "share",
            f"share of frames that are read as {name} (a column of the confusion matrix)",
        )
        for name in CLASSES
    ),
)
