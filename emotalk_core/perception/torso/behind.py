"""One frame with its labels and head alpha in; the same picture without the head out."""

from __future__ import annotations

import dataclasses

import numpy as np
from jaxtyping import Bool, Float32, UInt8

from emotalk_core.perception.regions.face import FaceShape
from emotalk_core.perception.regions.filters import blur, dilate
from emotalk_core.perception.regions.plate import Plate
from emotalk_core.perception.torso.columns import BODY, NECK, Columns, carried_up
from emotalk_core.perception.torso.settings import TorsoSettings
from emotalk_core.types.regions import LABEL, TORSO, region_mask

HEAD_ALPHA = 0.08  # alpha above that belongs to the head: hair tips would stay in the picture
MEMBRANE_SIGMA = 4.0  # face units: exposure and compression shift the plate slowly over the picture
MEMBRANE_LIMIT = 25.0  # grey levels; larger differences are not exposure
MEMBRANE_FADE = 0.05  # share of seen background below which the correction fades away
EDGE_BLUR = 0.7  # face units: soft sides of what is carried up
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
    weight = seen.astype(np.float32)
    difference = np.clip(frame - back, -MEMBRANE_LIMIT, MEMBRANE_LIMIT) * weight[..., None]
    sigma = MEMBRANE_SIGMA * unit
    share = blur(weight, sigma)[..., None] + MEMBRANE_FADE
    return back + blur(difference, sigma) / share


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
    fill = background_fill(frame, labels, hole, plate, face.unit)
    heights = {
        NECK: settings.neck_height * face.height,
        BODY: settings.body_height * face.height,
    }
    if long_hair:
        up_to = face.outline[[132, 361], 1].min() - LONG_HAIR_RISE * face.height
        rise = float(np.maximum(columns.row[columns.kind != 0], 0).max(initial=0) - up_to)
        heights = {kind: max(height, rise) for kind, height in heights.items()}
        columns = dataclasses.replace(columns, rise=np.full_like(columns.rise, np.inf))
    picture, coverage = carried_up(columns, steady, face.size, heights, face.unit)
    soft = blur(coverage * hole, EDGE_BLUR * face.unit)
    near_border = coverage * dilate(~hole, 1)  # no softness against the true pixels below
    cover = np.maximum(soft * (coverage > 0), near_border)[..., None]
    fill = fill * (1 - cover) + picture * cover
    result = np.where(hole[..., None], fill, frame)
    return np.round(np.clip(result, 0, 255)).astype(np.uint8)
