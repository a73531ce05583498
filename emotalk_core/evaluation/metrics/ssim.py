"""Structural similarity of whole frame, head and mouth: two pictures in, -1..1 out."""

from __future__ import annotations

import functools

import cv2
import numpy as np
from jaxtyping import Bool, Float, UInt8

from emotalk_core.evaluation.metrics.base import (
    PIXEL_SCENARIOS,
    FrameEvidence,
    Metric,
    Terms,
    mean_term,
)

WINDOW = 11  # px, window of the SSIM paper and of all neighbouring projects
SIGMA = 1.5  # px
K1, K2 = 0.01, 0.03  # the SSIM paper's stabilisers, for a data range of 1
BORDER = WINDOW // 2  # windows that leave the picture do not count (as in skimage)


def _blur(image: Float[np.ndarray, "H W C"]) -> Float[np.ndarray, "H W C"]:
    return cv2.GaussianBlur(
        image, (WINDOW, WINDOW), SIGMA, sigmaY=SIGMA, borderType=cv2.BORDER_REFLECT
    )


def ssim_map(
    render: UInt8[np.ndarray, "H W 3"], truth: UInt8[np.ndarray, "H W 3"]
) -> Float[np.ndarray, "h w"]:
    """SSIM per pixel, mean over channels, without the 5 px border.

    Gaussian window 11 px with sigma 1.5 px, population covariance, data range 1: the same numbers
    as skimage (gaussian_weights=True, use_sample_covariance=False) and, away from the border that
    torchmetrics mirrors, as torchmetrics.
    """
    x, y = render.astype(np.float64) / 255.0, truth.astype(np.float64) / 255.0
    mean_x, mean_y = _blur(x), _blur(y)
    var_x = _blur(x * x) - mean_x**2
    var_y = _blur(y * y) - mean_y**2
    cov = _blur(x * y) - mean_x * mean_y
    c1, c2 = K1**2, K2**2
    numerator = (2 * mean_x * mean_y + c1) * (2 * cov + c2)
    denominator = (mean_x**2 + mean_y**2 + c1) * (var_x + var_y + c2)
    return (numerator / denominator).mean(axis=2)[BORDER:-BORDER, BORDER:-BORDER]


def ssim(
    render: UInt8[np.ndarray, "H W 3"],
    truth: UInt8[np.ndarray, "H W 3"],
    mask: Bool[np.ndarray, "H W"] | None = None,
) -> float:
    """Mean of `ssim_map`, over a mask if one is given; nan when the mask is empty."""
    return _mean_inside(ssim_map(render, truth), mask)


def _mean_inside(values: Float[np.ndarray, "h w"], mask: Bool[np.ndarray, "H W"] | None) -> float:
    if mask is None:
        return float(values.mean())
    inside = mask[BORDER:-BORDER, BORDER:-BORDER]
    return float(values[inside].mean()) if inside.any() else float("nan")


@functools.lru_cache(maxsize=1)  # all three read the same map, which is the costly part
def _frame_map(frame: FrameEvidence) -> Float[np.ndarray, "h w"]:
    assert frame.source is not None
    return ssim_map(frame.render, frame.source)


def _full(frame: FrameEvidence) -> Terms | None:
    return None if frame.source is None else (_mean_inside(_frame_map(frame), None),)


def _head(frame: FrameEvidence) -> Terms | None:
    if frame.source is None or frame.head is None:
        return None
    return (_mean_inside(_frame_map(frame), frame.head),)


def _mouth(frame: FrameEvidence) -> Terms | None:
    if frame.source is None or frame.mouth_box is None:
        return None
    y0, y1, x0, x1 = frame.mouth_box
    inside = np.zeros(frame.source.shape[:2], bool)
    inside[y0:y1, x0:x1] = True
    return (_mean_inside(_frame_map(frame), inside),)


METRICS = tuple(
    Metric(name, terms, mean_term, "image", PIXEL_SCENARIOS, "higher", "", meaning)
    for name, terms, meaning in (
        ("ssim_full", _full, "SSIM of the whole frame (window 11, sigma 1.5)"),
        ("ssim_head", _head, "mean of the SSIM map inside the dilated head mask"),
        ("ssim_mouth", _mouth, "mean of the SSIM map inside a box around the mouth"),
    )
)
