"""Face boxes of sampled frames in, one static square crop around the head out (pure functions)."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from jaxtyping import Float, UInt8

# The head beyond the FaceMesh outline (which ends at the hairline and at the chin), as shares of
# the face's height or width; measured on the two development clips, hair of short to middle length.
HAIR_ABOVE = 0.30
CHIN_BELOW = 0.08
SIDES = 0.22

Crop = tuple[int, int, int, int]  # y0, y1, x0, x1 in px

FACE_CENTRE_HEIGHT = 0.54  # the face's middle lies here in the crop: leaves room for the shoulders
MAX_FACE_SHARE = 0.66  # a tighter crop than wanted is accepted up to here when it avoids padding
MAX_SHIFT = 0.08  # share of the side that the crop moves to stay inside the picture
SNAP = 0.06  # a source that is already framed like this is taken whole: no needless resampling
OUTLIERS = (2.0, 98.0)  # percentiles of the head's reach: one wild detection must not zoom out

BLACK = 32  # of 255; compressed black bars stay below
STRAY_SHARE = 0.05  # of a bar's pixels may be brighter (ringing, a small logo)
FILLED_SHARE = 0.5  # of the pixels just inside a bar's edge are brighter: not so in a black room
EDGE = 4  # px in which a bar's edge is looked for
INSET = 2  # px that are cut off with a bar: its edge is blurred by compression


@dataclass(frozen=True)
class Box:
    """A rectangle in px; rows y0:y1, columns x0:x1; may lie outside the picture."""

    y0: float
    y1: float
    x0: float
    x1: float

    @property
    def height(self) -> float:
        """Rows."""
        return self.y1 - self.y0

    @property
    def width(self) -> float:
        """Columns."""
        return self.x1 - self.x0


def face_box(landmarks: Float[np.ndarray, "L 3"]) -> Box:
    """Tight box of the landmarks, hairline to chin."""
    low, high = landmarks[:, :2].min(axis=0), landmarks[:, :2].max(axis=0)
    return Box(float(low[1]), float(high[1]), float(low[0]), float(high[0]))


def picture_inside_bars(brightest: UInt8[np.ndarray, "H W"]) -> Crop:
    """The picture without black bars (letterbox, pillarbox), px; the whole where there are none.

    Args:
        brightest: the brightest value that each pixel shows in the sampled frames, any channel.

    Returns:
        (y0, y1, x0, x1) inside the picture.
    """
    bright = brightest > BLACK
    rows, columns = (np.flatnonzero(bright.mean(axis=axis) > STRAY_SHARE) for axis in (1, 0))
    height, width = bright.shape
    if not rows.size or not columns.size:
        return 0, height, 0, width
    y0, y1, x0, x1 = rows[0], rows[-1] + 1, columns[0], columns[-1] + 1
    seen = bright[y0:y1, x0:x1]
    strips = (seen[:EDGE].T, seen[-EDGE:].T, seen[:, :EDGE], seen[:, -EDGE:])
    edged = [strip.any(axis=1).mean() >= FILLED_SHARE for strip in strips]
    return (
        int(y0) + INSET if y0 and edged[0] else 0,
        int(y1) - INSET if y1 < height and edged[1] else height,
        int(x0) + INSET if x0 and edged[2] else 0,
        int(x1) - INSET if x1 < width and edged[3] else width,
    )


def square_crop(faces: list[Box], height: int, width: int, face_share: float) -> Crop:
    """The static square in which the head stays during the whole clip.

    Args:
        faces: boxes of the face in sampled frames, px.
        height: rows of the upright picture, px.
        width: columns of the upright picture, px.
        face_share: wanted median face height over the side.

    Returns:
        (y0, y1, x0, x1), y1-y0 == x1-x0; may reach outside the picture (padded there).
    """
    table = np.array([[f.y0, f.y1, f.x0, f.x1] for f in faces])
    tall, wide = table[:, 1] - table[:, 0], table[:, 3] - table[:, 2]
    reach = Box(
        float(np.percentile(table[:, 0] - HAIR_ABOVE * tall, OUTLIERS[0])),
        float(np.percentile(table[:, 1] + CHIN_BELOW * tall, OUTLIERS[1])),
        float(np.percentile(table[:, 2] - SIDES * wide, OUTLIERS[0])),
        float(np.percentile(table[:, 3] + SIDES * wide, OUTLIERS[1])),
    )
    face = float(np.median(tall))
    wanted = face / face_share
    inside = float(np.clip(min(height, width), face / MAX_FACE_SHARE, wanted))
    side = max(inside, reach.height, reach.width)
    middle_y = float(np.median(table[:, :2].mean(axis=1)))
    y0 = middle_y - FACE_CENTRE_HEIGHT * side
    y0 = min(max(y0, reach.y1 - side), reach.y0)  # hair and chin before the wanted height
    x0 = (reach.x0 + reach.x1) / 2 - side / 2
    y0, x0 = _move_inside(y0, side, height), _move_inside(x0, side, width)
    if _is_whole(y0, x0, side, height, width):
        side = min(height, width)
        y0, x0 = (height - side) / 2, (width - side) / 2
    size = round(side)
    return round(y0), round(y0) + size, round(x0), round(x0) + size


def head_crop(faces: list[Box], picture: Crop, face_share: float) -> Crop:
    """`square_crop` inside the part of the source that is picture, in px of the source."""
    top, bottom, left, right = picture
    moved = [Box(f.y0 - top, f.y1 - top, f.x0 - left, f.x1 - left) for f in faces]
    y0, y1, x0, x1 = square_crop(moved, bottom - top, right - left, face_share)
    return y0 + top, y1 + top, x0 + left, x1 + left


def outside_share(crop: Crop, picture: Crop) -> float:
    """Share of the crop's area that lies outside the picture, 0..1."""
    rows = max(min(crop[1], picture[1]) - max(crop[0], picture[0]), 0)
    columns = max(min(crop[3], picture[3]) - max(crop[2], picture[2]), 0)
    return 1 - rows * columns / ((crop[1] - crop[0]) * (crop[3] - crop[2]))


def _move_inside(start: float, side: float, length: int) -> float:
    """Shift an interval towards [0,length], by MAX_SHIFT of its length at most."""
    centred = (length - side) / 2
    wanted = centred if side >= length else min(max(start, 0.0), length - side)
    return start + float(np.clip(wanted - start, -MAX_SHIFT * side, MAX_SHIFT * side))


def _is_whole(y0: float, x0: float, side: float, height: int, width: int) -> bool:
    """True when the crop nearly equals a nearly square picture."""
    edges = (y0, x0, y0 + side - height, x0 + side - width)
    return max(abs(edge) for edge in edges) <= SNAP * side


def crop_and_resize(
    image: UInt8[np.ndarray, "H W 3"], crop: Crop, size: int
) -> UInt8[np.ndarray, "S S 3"]:
    """Cut a square (the border's pixels are repeated outside) and scale it to `size` px.

    Shrinking averages areas (no aliasing), enlarging is cubic.
    """
    y0, y1, x0, x1 = crop
    height, width = image.shape[:2]
    if y0 >= 0 and x0 >= 0 and y1 <= height and x1 <= width:
        part = image[y0:y1, x0:x1]
    else:
        rows = np.clip(np.arange(y0, y1), 0, height - 1)
        columns = np.clip(np.arange(x0, x1), 0, width - 1)
        part = image[rows[:, None], columns[None, :]]
    if part.shape[0] == size:
        return np.ascontiguousarray(part)
    method = cv2.INTER_AREA if part.shape[0] > size else cv2.INTER_CUBIC
    return cv2.resize(part, (size, size), interpolation=method)
