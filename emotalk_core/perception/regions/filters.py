"""Small picture filters with radii in px: erosion, dilation, soft polygons, push-pull filling."""

from __future__ import annotations

import cv2
import numpy as np
from jaxtyping import Bool, Float, Float32, UInt8

SUBPIXEL_BITS = 4  # cv2's fixed-point coordinates: a sixteenth of a pixel
SUPERSAMPLING = 4  # per axis, for the edges of polygons
FINEST_PYRAMID = 4  # px: push-pull stops here


def _box(mask: Bool[np.ndarray, "H W"], margin: int) -> tuple[slice, slice]:
    """The rows and columns of the mask and `margin` px around; distances cost by the pixel."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    return (
        slice(max(int(rows[0]) - margin, 0), int(rows[-1]) + 1 + margin),
        slice(max(int(columns[0]) - margin, 0), int(columns[-1]) + 1 + margin),
    )


def dilate(mask: Bool[np.ndarray, "H W"], radius: float) -> Bool[np.ndarray, "H W"]:
    """The mask grown by a disc of `radius` px."""
    result = mask.copy()
    if mask.any():
        box = _box(mask, int(np.ceil(radius)))
        # by distances: a large structuring element costs a hundred times as much
        outside = (~mask[box]).astype(np.uint8)
        away = cv2.distanceTransform(outside, cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
        result[box] = away <= radius
    return result


def erode(mask: Bool[np.ndarray, "H W"], radius: float) -> Bool[np.ndarray, "H W"]:
    """The mask shrunk by a disc of `radius` px; the picture's border does not shrink it."""
    result = mask.copy()
    if mask.any() and not mask.all():
        box = _box(mask, 1)
        inside = mask[box].astype(np.uint8)
        away = cv2.distanceTransform(inside, cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
        result[box] = away > radius
    return result


def blur(values: Float[np.ndarray, "H W"], sigma: float) -> Float[np.ndarray, "H W"]:
    """Gaussian blur, sigma in px."""
    return cv2.GaussianBlur(values, (0, 0), max(sigma, 0.3))


def polygon(points: Float[np.ndarray, "N 2"], shape: tuple[int, int]) -> Float32[np.ndarray, "H W"]:
    """Coverage 0..1 of a polygon whose corners are px (pixel centres at +0.5)."""
    result = np.zeros(shape, dtype=np.float32)
    limits = np.array(shape[::-1])
    low = np.clip(np.floor(points.min(axis=0)).astype(int), 0, limits)
    high = np.clip(np.ceil(points.max(axis=0)).astype(int), 0, limits)
    width, height = high - low
    if width == 0 or height == 0:
        return result
    # cv2's own antialiasing widens a polygon by 0.7 px: draw it large and average instead
    canvas = np.zeros((height * SUPERSAMPLING, width * SUPERSAMPLING), dtype=np.uint8)
    corners = (points - low) * SUPERSAMPLING - 0.5
    fixed = np.round(corners * (1 << SUBPIXEL_BITS)).astype(np.int32)
    cv2.fillPoly(canvas, [fixed], (255,), shift=SUBPIXEL_BITS)
    small = cv2.resize(canvas, (int(width), int(height)), interpolation=cv2.INTER_AREA)
    result[low[1] : high[1], low[0] : high[0]] = small.astype(np.float32) / 255
    return result


def guided(
    guide: UInt8[np.ndarray, "H W 3"], values: Float32[np.ndarray, "H W"], radius: float, eps: float
) -> Float32[np.ndarray, "H W"]:
    """Edge-following smoothing of `values` along a colour picture (He et al. 2010).

    Args:
        guide: RGB.
        values: what is smoothed.
        radius: px.
        eps: grey levels of the guide that count as texture, not as an edge.
    """
    return cv2.ximgproc.guidedFilter(guide, values, max(round(radius), 1), eps**2)


def hanging(mask: Bool[np.ndarray, "H W"], gap: float) -> Bool[np.ndarray, "H W"]:
    """Pixels under which the mask has a gap of more than `gap` px: hair of the nape, no body."""
    rows = max(round(gap), 1)
    empty = ~mask
    run = empty.copy()
    for shift in range(1, rows):
        run[: len(run) - shift] &= empty[shift:]
        run[len(run) - shift :] = False
    return np.logical_or.accumulate(run[::-1], axis=0)[::-1]


def push_pull(
    picture: Float32[np.ndarray, "H W C"], known: Float32[np.ndarray, "H W"]
) -> Float32[np.ndarray, "H W C"]:
    """Fill where `known` is 0 from an image pyramid of what is known; smooth, without streaks.

    Args:
        picture: values.
        known: weight 0..1 of each pixel.
    """
    height, width = known.shape
    if min(height, width) <= FINEST_PYRAMID or known.min() >= 1:
        total = known.sum()
        mean = (picture * known[..., None]).sum(axis=(0, 1)) / total if total > 0 else 0.0
        return picture * known[..., None] + (1 - known[..., None]) * mean
    half = ((width + 1) // 2, (height + 1) // 2)
    small_known = cv2.resize(known, half, interpolation=cv2.INTER_AREA)
    weighted = cv2.resize(picture * known[..., None], half, interpolation=cv2.INTER_AREA)
    small = weighted.reshape(half[1], half[0], -1) / np.maximum(small_known[..., None], 1e-6)
    filled = push_pull(small, np.minimum(small_known * 4, 1))
    large = cv2.resize(filled, (width, height), interpolation=cv2.INTER_LINEAR)
    large = large.reshape(height, width, -1)
    return picture * known[..., None] + large * (1 - known[..., None])
