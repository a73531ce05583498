"""Small picture filters with radii in px: erosion, dilation, soft polygons, push-pull filling."""

from __future__ import annotations

from functools import lru_cache

import cv2
import numpy as np
from jaxtyping import Bool, Float, Float32, UInt8

SUBPIXEL_BITS = 4  # cv2's fixed-point coordinates: a sixteenth of a pixel
SUPERSAMPLING = 4  # per axis, for the edges of polygons
FINEST_PYRAMID = 4  # px: push-pull stops here
KERNEL_REACH = 9.0  # px: discs up to here are faster by a structuring element than by distances


def bounding_box(mask: Bool[np.ndarray, "H W"], margin: int = 0) -> tuple[slice, slice]:
    """The rows and columns of a mask that is not empty and `margin` px around."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    return (
        slice(max(int(rows[0]) - margin, 0), int(rows[-1]) + 1 + margin),
        slice(max(int(columns[0]) - margin, 0), int(columns[-1]) + 1 + margin),
    )


def cell_size(radius: float, cells: float) -> int:
    """Px of the largest cell, a power of two, of which a radius in px holds that many."""
    return 1 << max(int(radius / cells).bit_length() - 1, 0)


def in_cells(picture: np.ndarray, step: int) -> np.ndarray:
    """Means over cells of `step` x `step` px."""
    height, width = picture.shape[:2]
    cells = (-(-width // step), -(-height // step))
    return cv2.resize(picture, cells, interpolation=cv2.INTER_AREA)


@lru_cache(maxsize=32)
def _disc(radius: float) -> UInt8[np.ndarray, "K K"]:
    """Structuring element: 1 up to `radius` px from its middle."""
    reach = np.arange(-int(radius), int(radius) + 1, dtype=np.float32)
    return (np.hypot(reach[:, None], reach) <= radius).astype(np.uint8)


def _distance(mask: Bool[np.ndarray, "H W"]) -> Float32[np.ndarray, "H W"]:
    """Of every pixel inside the mask to the next one outside, px."""
    return cv2.distanceTransform(mask.astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)


def dilate(mask: Bool[np.ndarray, "H W"], radius: float) -> Bool[np.ndarray, "H W"]:
    """The mask grown by a disc of `radius` px."""
    if radius <= KERNEL_REACH:
        return cv2.dilate(mask.astype(np.uint8), _disc(radius)).view(bool)
    result = mask.copy()
    if mask.any():
        box = bounding_box(mask, int(np.ceil(radius)))
        result[box] = _distance(~mask[box]) <= radius
    return result


def erode(mask: Bool[np.ndarray, "H W"], radius: float) -> Bool[np.ndarray, "H W"]:
    """The mask shrunk by a disc of `radius` px; the picture's border does not shrink it."""
    if radius <= KERNEL_REACH:
        return cv2.erode(mask.astype(np.uint8), _disc(radius)).view(bool)
    result = mask.copy()
    if mask.any() and not mask.all():
        box = bounding_box(mask, 1)
        result[box] = _distance(mask[box]) > radius
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
    guide: UInt8[np.ndarray, "H W"],
    values: Float32[np.ndarray, "H W"],
    radius: float,
    eps: float,
    step: int = 1,
) -> Float32[np.ndarray, "H W"]:
    """Edge-following smoothing of `values` along a grey picture (He et al. 2010).

    Args:
        guide: grey.
        values: what is smoothed.
        radius: px.
        eps: grey levels of the guide that count as texture, not as an edge.
        step: px; the coefficients are found on cells of this size (He and Sun 2015).
    """
    size = (2 * max(round(radius / step), 1) + 1,) * 2

    def mean(picture: Float32[np.ndarray, "h w"]) -> Float32[np.ndarray, "h w"]:
        return cv2.boxFilter(picture, -1, size, borderType=cv2.BORDER_REFLECT)

    small = (in_cells(guide, step) if step > 1 else guide).astype(np.float32)
    wanted = in_cells(values, step) if step > 1 else values
    middle, offset = mean(small), mean(wanted)
    slope = mean(small * wanted) - middle * offset
    slope /= mean(small * small) - middle * middle + np.float32(eps**2)
    offset -= slope * middle
    slope, offset = mean(slope), mean(offset)
    if step > 1:
        full = (guide.shape[1], guide.shape[0])
        slope, offset = cv2.resize(slope, full), cv2.resize(offset, full)
    slope *= guide
    slope += offset
    return slope


def hanging(mask: Bool[np.ndarray, "H W"], gap: float) -> Bool[np.ndarray, "H W"]:
    """Pixels under which the mask has a gap of more than `gap` px: hair of the nape, no body."""
    rows = max(round(gap), 1)
    # a pixel is kept where all `rows` from it on downwards are empty
    empty = (~mask).astype(np.uint8)
    line, border = np.ones((rows, 1), np.uint8), cv2.BORDER_CONSTANT
    run = cv2.erode(empty, line, anchor=(0, 0), borderType=border, borderValue=(0,))
    numbers = np.arange(1, len(run) + 1, dtype=np.float32)[:, None]
    lowest = cv2.reduce(run * numbers, 0, cv2.REDUCE_MAX)
    return numbers <= lowest


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
