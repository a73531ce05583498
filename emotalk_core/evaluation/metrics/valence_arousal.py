"""Continuous emotion: error, sign agreement and concordance of read against asked-for values."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from jaxtyping import Float

from emotalk_core.evaluation.metrics.base import (
    EMOTION,
    Direction,
    FrameEvidence,
    Metric,
    Terms,
    mean_term,
)

Reading = Callable[[FrameEvidence], Terms | None]


def _pair(which: str) -> Reading:
    def terms(frame: FrameEvidence) -> Terms | None:
        if frame.face is None:
            return None
        read, wanted = float(getattr(frame.face, which)), float(getattr(frame, which))
        return None if math.isnan(read) or math.isnan(wanted) else (read, wanted)

    return terms


def rmse(terms: Float[np.ndarray, "N 2"]) -> float:
    """Root of the mean squared difference of (read, wanted) (METHOD 1.6)."""
    return float(np.sqrt(((terms[:, 0] - terms[:, 1]) ** 2).mean()))


def sign_agreement(terms: Float[np.ndarray, "N 2"]) -> float:
    """Share of frames whose read and wanted signs are equal (METHOD 1.6)."""
    return float((np.sign(terms[:, 0]) == np.sign(terms[:, 1])).mean())


def concordance(terms: Float[np.ndarray, "N 2"]) -> float:
    """Lin's concordance 2 cov / (var + var + (mean difference)^2); nan if wanted is constant."""
    if terms[:, 1].std() == 0:
        return float("nan")
    covariance = float(np.cov(terms.T, bias=True)[0, 1])
    shift = float(terms[:, 0].mean() - terms[:, 1].mean())
    return 2 * covariance / (float(terms.var(axis=0).sum()) + shift**2)


def _metrics(letter: str, which: str) -> tuple[Metric, ...]:
    pair = _pair(which)

    def read(name: str, reduce: Callable[..., float], better: Direction, meaning: str) -> Metric:
        return Metric(name, pair, reduce, "emotion", (EMOTION,), better, "", meaning)

    return (
        read(f"{letter}_rmse", rmse, "lower", f"RMSE of the read {which} against the target"),
        read(
            f"{letter}_sa",
            sign_agreement,
            "higher",
            f"share of frames with the right sign of {which}",
        ),
        read(f"ccc_{letter}", concordance, "higher", f"concordance of read and wanted {which}"),
        read(f"{letter}_read", mean_term, "none", f"mean {which} that is read"),
    )


METRICS = (*_metrics("v", "valence"), *_metrics("a", "arousal"))
