"""Peak signal-to-noise ratio of whole frame, head and mouth: two pictures in, dB out."""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, UInt8

from emotalk_core.evaluation.metrics.base import (
    PIXEL_SCENARIOS,
    FrameEvidence,
    Metric,
    Terms,
    mean_term,
)

FULL_SCALE = 255.0  # uint8 pictures


def psnr(
    render: UInt8[np.ndarray, "*shape"],
    truth: UInt8[np.ndarray, "*shape"],
    mask: Bool[np.ndarray, "H W"] | None = None,
) -> float:
    """-10 log10 of the mean squared error in [0,1] over all channels (METHOD 3); inf when equal.

    `mask` says which pixels count (all when None); nan when it is empty.
    """
    error = (render.astype(np.float64) - truth.astype(np.float64)) / FULL_SCALE
    if mask is not None:
        error = error[mask]
    if error.size == 0:
        return float("nan")
    power = float((error**2).mean())
    return float("inf") if power == 0 else -10.0 * float(np.log10(power))


def _full(frame: FrameEvidence) -> Terms | None:
    return None if frame.source is None else (psnr(frame.render, frame.source),)


def _head(frame: FrameEvidence) -> Terms | None:
    if frame.source is None or frame.head is None or not frame.head.any():
        return None
    return (psnr(frame.render, frame.source, frame.head),)


def _mouth(frame: FrameEvidence) -> Terms | None:
    if frame.source is None or frame.mouth_box is None:
        return None
    y0, y1, x0, x1 = frame.mouth_box
    return (psnr(frame.render[y0:y1, x0:x1], frame.source[y0:y1, x0:x1]),)


METRICS = tuple(
    Metric(name, terms, mean_term, "image", PIXEL_SCENARIOS, "higher", "dB", meaning)
    for name, terms, meaning in (
        ("psnr_full", _full, "PSNR of the whole frame, mean over frames"),
        ("psnr_head", _head, "PSNR inside the dilated head mask"),
        ("psnr_mouth", _mouth, "PSNR inside a box around the mouth"),
    )
)
