"""One frame with its labels and head alpha in; the same picture without the head out."""

from __future__ import annotations

import dataclasses

import cv2
import numpy as np
from jaxtyping import Bool, Float32, UInt8

from emotalk_core.perception.regions.face import FaceShape
from emotalk_core.perception.regions.filters import (
    blur,
    bounding_box,
    cell_size,
    dilate,
    in_cells,
)
from emotalk_core.perception.regions.plate import Plate
from emotalk_core.perception.torso.columns import BACKGROUND, BODY, NECK, Columns, carried_up
from emotalk_core.perception.torso.settings import TorsoSettings
from emotalk_core.types.regions import LABEL, TORSO, region_mask

HEAD_ALPHA = 0.08  # alpha above that belongs to the head: hair tips would stay in the picture
MEMBRANE_SIGMA = 4.0  # face units: exposure and compression shift the plate slowly over the picture
MEMBRANE_LIMIT = 25.0  # grey levels; larger differences are not exposure
MEMBRANE_CELLS = 2.0  # at least so many cells in the sigma: so smooth a thing needs no pixels
MEMBRANE_REACH = 4.5  # sigmas: what lies farther from the hole does not move its correction
MEMBRANE_FADE = 0.05  # share of seen background below which the correction fades away
EDGE_BLUR = 0.7  # face units: soft sides of what is carried up
EDGE_REACH = 3.0  # face units: so far does that blur reach
LONG_HAIR_RISE = 0.1  # of the face height above the ear line: how far long hair is carried up


def head_hole(
    alpha: UInt8[np.ndarray, "H W"],
    labels: UInt8[np.ndarray, "H W"],
    face: FaceShape,
    settings: TorsoSettings,
) -> Bool[np.ndarray, "H W"]:
    """What must be replaced: the head, wide against the background and tight at the jaw."""
    head = alpha > HEAD_ALPHA * 255
    tight = dilate(head, max(settings.hole_jaw * face.unit, 1.0))
    wide = dilate(head, max(settings.hole_background * face.unit, 1.0))
    body = region_mask(labels, TORSO) & (face.above_ears < 0)
    return tight | (wide & ~body)


def background_fill(
    frame: UInt8[np.ndarray, "H W 3"],
    labels: UInt8[np.ndarray, "H W"],
    hole: Bool[np.ndarray, "H W"],
    plate: Plate,
    unit: float,
) -> Float32[np.ndarray, "H W 3"]:
    """The clean plate, corrected to this frame's exposure around the hole."""
    back = plate.picture.astype(np.float32)
    seen = (labels == LABEL["background"]) & ~hole & plate.seen
    weight = seen.astype(np.float32)[..., None]
    difference = np.clip(frame - back, -MEMBRANE_LIMIT, MEMBRANE_LIMIT) * weight
    sigma = MEMBRANE_SIGMA * unit
    step = cell_size(sigma, MEMBRANE_CELLS)
    small = blur(in_cells(np.concatenate([difference, weight], axis=2), step), sigma / step)
    correction = small[..., :3] / (small[..., 3:] + MEMBRANE_FADE)
    return back + cv2.resize(correction, labels.shape[::-1], interpolation=cv2.INTER_LINEAR)


def behind_head(
    frame: UInt8[np.ndarray, "H W 3"],
    labels: UInt8[np.ndarray, "H W"],
    hole: Bool[np.ndarray, "H W"],
    columns: Columns,
    steady: Float32[np.ndarray, "W 3"],
    plate: Plate,
    face: FaceShape,
    settings: TorsoSettings,
    long_hair: bool,
) -> UInt8[np.ndarray, "H W 3"]:
    """RGB of everything behind the head: true pixels outside the hole, filled inside.

    Args:
        frame: RGB.
        labels: of the regions stage.
        hole: from `head_hole`.
        columns: what lies under the hole.
        steady: the columns' colours smoothed in time.
        plate: the clip's background.
        face: of this frame.
        settings: of the stage.
        long_hair: carry all of the body up beyond the ears.
    """
    result = frame.copy()
    if not hole.any():
        return result
    box = bounding_box(hole, int(np.ceil(MEMBRANE_REACH * MEMBRANE_SIGMA * face.unit)))
    heights = {
        NECK: settings.neck_height * face.height,
        BODY: settings.body_height * face.height,
    }
    if long_hair:
        up_to = face.outline[[132, 361], 1].min() - LONG_HAIR_RISE * face.height
        rise = float(np.maximum(columns.row[columns.kind != 0], 0).max(initial=0) - up_to)
        heights = {kind: max(height, rise) for kind, height in heights.items()}
        columns = dataclasses.replace(columns, rise=np.full_like(columns.rise, np.inf))
    near_plate = Plate(plate.picture[box], plate.seen[box])
    fill = background_fill(frame[box], labels[box], hole[box], near_plate, face.unit)
    near = columns.inside(box)
    low = _lower_part(near, max(heights.values()) + EDGE_REACH * face.unit)
    shape = (len(fill[low]), fill.shape[1])
    body = carried_up(near.inside((low, slice(None))), steady[box[1]], shape, heights, face.unit)
    fill[low] = _over(fill[low], *body, hole[box][low], face.unit)
    levels = np.round(np.clip(fill, 0, 255)).astype(np.uint8)
    np.copyto(result[box], levels, where=hole[box][..., None])
    return result


def _lower_part(columns: Columns, height: float) -> slice:
    """The rows that something carried up by at most so many px can reach."""
    rows = columns.row[columns.kind != BACKGROUND]
    if not len(rows):
        return slice(0, None)
    return slice(max(int(rows.min() - height) - 1, 0), None)


def _over(
    fill: Float32[np.ndarray, "H W 3"],
    picture: Float32[np.ndarray, "H W 3"],
    coverage: Float32[np.ndarray, "H W"],
    hole: Bool[np.ndarray, "H W"],
    unit: float,
) -> Float32[np.ndarray, "H W 3"]:
    """What is carried up over the background, with soft sides inside the hole."""
    soft = blur(coverage * hole, EDGE_BLUR * unit)
    near_border = coverage * dilate(~hole, 1)  # no softness against the true pixels below
    cover = np.maximum(soft * (coverage > 0), near_border)[..., None]
    return fill + (picture - fill) * cover
