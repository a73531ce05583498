"""Packaged perceptual distance: contrast differences after local gain control, scale by scale.

A formula, no network: it can neither be trained against by accident nor lack its weights. It is a
normalised Laplacian pyramid with constants of our own and therefore has a name of its own; it is
not LPIPS and is never compared with printed LPIPS numbers.
"""

from __future__ import annotations

import cv2
import numpy as np
from jaxtyping import Float, UInt8

from emotalk_core.evaluation.metrics.base import (
    PIXEL_SCENARIOS,
    FrameEvidence,
    Metric,
    Terms,
    mean_term,
)

EVALUATOR_ID = "contrast-pyramid-1"
STANDING_FOR = "LPIPS (AlexNet)"
LEVELS = 5  # octaves; the coarsest of a 256 px frame is 16 px wide
# Gain control: a contrast counts against the mean contrast around it, plus what noise hides.
GAIN_SIGMA = 2.0  # px of a level
FLOOR = 0.03  # of full scale, about the noise of an 8-bit camera picture on skin
MIN_SIDE = 8  # px, smaller levels say nothing about texture


def _reduce(picture: Float[np.ndarray, "H W C"]) -> Float[np.ndarray, "h w C"]:
    return cv2.pyrDown(picture, borderType=cv2.BORDER_REFLECT_101)


def normalised_contrasts(
    picture: UInt8[np.ndarray, "H W 3"],
) -> list[Float[np.ndarray, "h w 3"]]:
    """Band-pass levels, each divided by the mean absolute contrast around it; finest first."""
    rest = picture.astype(np.float64) / 255.0
    levels: list[Float[np.ndarray, "h w 3"]] = []
    while not levels or (len(levels) < LEVELS and min(rest.shape[:2]) >= 2 * MIN_SIDE):
        small = _reduce(rest)
        up = cv2.pyrUp(small, dstsize=(rest.shape[1], rest.shape[0]))
        band = rest - up
        around = cv2.GaussianBlur(
            np.abs(band), (0, 0), GAIN_SIGMA, borderType=cv2.BORDER_REFLECT_101
        )
        levels.append(band / (around + FLOOR))
        rest = small
    return levels


def pyramid_distance(
    render: UInt8[np.ndarray, "H W 3"], truth: UInt8[np.ndarray, "H W 3"]
) -> float:
    """Root mean square difference of the normalised contrasts of a level, mean over levels."""
    pairs = zip(normalised_contrasts(render), normalised_contrasts(truth), strict=True)
    return float(np.mean([np.sqrt(((a - b) ** 2).mean()) for a, b in pairs]))


def _terms(frame: FrameEvidence) -> Terms | None:
    return None if frame.source is None else (pyramid_distance(frame.render, frame.source),)


METRICS = (
    Metric(
        "pyramid_distance",
        _terms,
        mean_term,
        "perceptual",
        PIXEL_SCENARIOS,
        "lower",
        "",
        "difference of local contrasts at five scales (a formula, not LPIPS)",
    ),
)
