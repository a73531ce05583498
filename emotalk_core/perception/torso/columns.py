"""What the body looks like just under the head, column by column, and how it is carried up."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float32, Int, UInt8
from scipy.ndimage import binary_erosion, binary_opening, gaussian_filter1d

from emotalk_core.perception.landmarks import topology as tp
from emotalk_core.perception.regions.face import FaceShape
from emotalk_core.perception.regions.filters import hanging
from emotalk_core.types.regions import LABEL, TORSO, region_mask

BACKGROUND, BODY, NECK = range(3)
SAMPLE_ROWS = 3.0  # face units: rows under the hole whose mean colour is carried up
JAW_POINTS = (172, 397)
NECK_SHARE = 0.4  # of the jaw's width to either side: so much at least is neck
SIDE_BLUR = 1.5  # face units: columns next to each other may not differ as stripes
NARROWEST = 5.0  # face units: narrower pieces of body are specks of the labels
NECK_RIM = 2.0  # face units: skin next to a collar is mixed with it
NECK_TINT = 0.04  # share of red, green or blue by which skin of one neck may differ
# Clothes rise towards the neck from what is seen of them (at least so many face units) by this
# slope: steeper pieces are spikes beside the jaw as soon as the head moves
COLLAR_START, COLLAR_SLOPE = 3.0, 1.0
HANGING_GAP = 4.0  # face units of background under what does not stand on the picture's end
NO_ROW = -1
REACH_IN_TIME = 4.0  # standard deviations: frames farther away weigh nothing


@dataclass(frozen=True)
class Columns:
    """The lower border of the hole of one frame.

    Attributes:
        row: [W] last row of the hole, or -1 where a column has no hole.
        kind: [W] BACKGROUND, BODY or NECK: what lies below it.
        colour: [W,3] mean RGB just below it.
        rise: [W] px that clothes may be carried up there: they slope down from the neck.
    """

    row: Int[np.ndarray, " W"]
    kind: UInt8[np.ndarray, " W"]
    colour: Float32[np.ndarray, "W 3"]
    rise: Float32[np.ndarray, " W"]

    def inside(self, box: tuple[slice, slice]) -> Columns:
        """Those of a part of the picture; rows count from its top."""
        rows, here = box
        row = np.where(self.row == NO_ROW, NO_ROW, self.row - rows.start)
        return Columns(row[here], self.kind[here], self.colour[here], self.rise[here])


def read_columns(
    frame: UInt8[np.ndarray, "H W 3"],
    labels: UInt8[np.ndarray, "H W"],
    hole: Bool[np.ndarray, "H W"],
    face: FaceShape,
) -> Columns:
    """Look under the hole in every column; close the gaps between neck columns.

    The shade under the chin often fails every test for skin: columns between neck columns, and the
    middle of the jaw, are neck whatever they look like.
    """
    height, width = hole.shape
    any_hole = hole.any(axis=0)
    row = np.where(any_hole, height - 1 - np.argmax(hole[::-1], axis=0), NO_ROW)
    count = max(round(SAMPLE_ROWS * face.unit), 1)
    below = np.clip(row[None] + 1 + np.arange(count)[:, None], 0, height - 1)
    under = labels[below, np.arange(width)]
    outside = ~hole[below, np.arange(width)]
    is_body = (region_mask(under, TORSO) & outside).mean(axis=0) > 0.5
    loose = hanging(region_mask(labels, TORSO), HANGING_GAP * face.unit)
    is_body &= ~loose[below[0], np.arange(width)]
    is_body = binary_opening(is_body, np.ones(max(round(NARROWEST * face.unit), 1)))
    is_neck = is_body & (((under == LABEL["neck"]) & outside).mean(axis=0) > 0.3)
    at_bottom = row >= height - 1
    kind = np.where(is_neck, NECK, np.where(is_body, BODY, BACKGROUND)).astype(np.uint8)
    kind[at_bottom] = BODY  # the chin reaches out of the picture: neck, if between neck columns
    kind[~any_hole] = BACKGROUND
    kind = _close_neck(kind, face)
    kind[at_bottom & (kind == BODY)] = BACKGROUND
    pixels = frame[below, np.arange(width)].astype(np.float32)
    # a collar that begins within the rows must not shine through the skin above it
    counts = np.where(is_neck, under == LABEL["neck"], True) & (outside | ~is_neck)
    colour = (pixels * counts[..., None]).sum(axis=0) / np.maximum(counts.sum(axis=0), 1)[:, None]
    colour = _neck_colours(colour, kind, _looks_like_neck(colour, is_neck, face))
    return Columns(row, kind, colour, _rise(labels, row, kind, face))


def _rise(
    labels: UInt8[np.ndarray, "H W"],
    row: Int[np.ndarray, " W"],
    kind: UInt8[np.ndarray, " W"],
    face: FaceShape,
) -> Float32[np.ndarray, " W"]:
    """Height of a slope that begins at what is seen of the clothes beside the hole."""
    columns = np.arange(len(row))
    free = kind == BACKGROUND
    left = np.maximum.accumulate(np.where(free, columns, 0))
    right = np.minimum.accumulate(np.where(free, columns, len(row) - 1)[::-1])[::-1]
    outer = np.where(columns < face.outline[tp.CHIN, 0], left, right)
    body = region_mask(labels, TORSO)
    top = np.where(body.any(axis=0), np.argmax(body, axis=0), len(labels))
    begin = np.maximum(row - top[outer], COLLAR_START * face.unit)
    return (begin + COLLAR_SLOPE * np.abs(columns - outer)).astype(np.float32)


def _looks_like_neck(
    colour: Float32[np.ndarray, "W 3"], is_neck: Bool[np.ndarray, " W"], face: FaceShape
) -> Bool[np.ndarray, " W"]:
    """Neck columns whose tint is the neck's: labels now and then call the rim of a collar neck."""
    if not is_neck.any():
        return is_neck
    tint = colour / np.maximum(colour.sum(axis=1, keepdims=True), 1)
    off = np.abs(tint - np.median(tint[is_neck], axis=0)).max(axis=1)
    seen = is_neck & (off < NECK_TINT)
    inner = binary_erosion(seen, np.ones(2 * max(round(NECK_RIM * face.unit), 1) + 1))
    return inner if inner.any() else seen


def _close_neck(kind: UInt8[np.ndarray, " W"], face: FaceShape) -> UInt8[np.ndarray, " W"]:
    right, left = (face.outline[p, 0] for p in JAW_POINTS)
    reach = NECK_SHARE * abs(left - right)
    middle = face.outline[tp.CHIN, 0]
    sure = np.flatnonzero(kind == NECK)
    low = max(int(min([middle - reach, *sure])), 0)
    high = min(int(max([middle + reach, *sure])), len(kind) - 1)
    result = kind.copy()
    result[low : high + 1] = np.where(kind[low : high + 1] == BACKGROUND, BACKGROUND, NECK)
    return result


def _neck_colours(
    colour: Float32[np.ndarray, "W 3"],
    kind: UInt8[np.ndarray, " W"],
    seen_neck: Bool[np.ndarray, " W"],
) -> Float32[np.ndarray, "W 3"]:
    """Colours with neck columns that show no skin interpolated from those that do."""
    good = np.flatnonzero(seen_neck & (kind == NECK))
    if len(good) == 0:
        return colour
    lacking = np.flatnonzero((kind == NECK) & ~seen_neck)
    result = colour.copy()
    for channel in range(3):
        result[lacking, channel] = np.interp(lacking, good, colour[good, channel])
    return result


def time_weights(frames: float) -> Float32[np.ndarray, " N"]:
    """Gauss weights of the frames around one, odd in number; `frames` is the deviation."""
    reach = round(REACH_IN_TIME * frames)
    steps = np.arange(-reach, reach + 1)
    weights = np.exp(-0.5 * (steps / max(frames, 1e-6)) ** 2)
    return (weights / weights.sum()).astype(np.float32)


def steady_colours(
    around: Sequence[Columns], weights: Float32[np.ndarray, " N"]
) -> Float32[np.ndarray, "W 3"]:
    """Colours of the middle frame smoothed in time: skin over frames that show skin, and so on.

    Args:
        around: as many frames as weights.
        weights: of `time_weights`.
    """
    middle = around[len(around) // 2]
    same = np.stack([columns.kind == middle.kind for columns in around])
    share = same * weights[:, None]
    total = np.einsum("nw,nwc->wc", share, np.stack([columns.colour for columns in around]))
    return total / share.sum(axis=0)[:, None]


def carried_up(
    columns: Columns,
    steady: Float32[np.ndarray, "W 3"],
    shape: tuple[int, int],
    heights: dict[int, float],
    unit: float,
) -> tuple[Float32[np.ndarray, "H W 3"], Float32[np.ndarray, "H W"]]:
    """Picture and coverage of the body carried up behind the head.

    Args:
        columns: of this frame.
        steady: their colours smoothed in time: used higher up, where the head always hides them.
        shape: (height, width), px.
        heights: BODY, NECK -> px that it is carried up.
        unit: face unit, px.
    """
    rows = np.arange(shape[0], dtype=np.float32)[:, None]
    rise = columns.row[None] + 1 - rows  # px above the lower border of the hole
    reach = np.zeros(shape[1], dtype=np.float32)
    for kind, height in heights.items():
        here = columns.kind == kind
        reach[here] = np.minimum(height, columns.rise[here]) if kind == BODY else height
    coverage = np.clip(reach[None] - rise, 0, 1) * (reach > 0)
    side = steady
    for kind in heights:
        here = columns.kind == kind
        side = np.where(here[:, None], _blur_along(steady, here, SIDE_BLUR * unit), side)
    share = np.clip(rise / (4 * unit), 0, 1)[..., None]
    picture = columns.colour[None] * (1 - share) + side[None] * share
    return picture.astype(np.float32), coverage.astype(np.float32)


def _blur_along(
    colour: Float32[np.ndarray, "W 3"], body: Bool[np.ndarray, " W"], sigma: float
) -> Float32[np.ndarray, "W 3"]:
    weight = body.astype(np.float32)
    total = gaussian_filter1d(colour * weight[:, None], sigma, axis=0, mode="nearest")
    share = gaussian_filter1d(weight, sigma, mode="nearest")[:, None]
    return np.where(share > 1e-3, total / np.maximum(share, 1e-3), colour)
