"""Still pictures of a subject: the emotion circle, truth beside render, the README sheet."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from jaxtyping import UInt8

from emotalk_core.evaluation.drawing import FAINT, INK, blank, error_map, fit, put_text

Picture = UInt8[np.ndarray, "H W 3"]
AXIS = (214, 214, 208)
# Geometry of the circle in units of a tile: the outer ring is as tight as eight tiles allow.
RING = 2.35  # tiles between the centre and radius 0.8
CAPTION = 0.16  # tiles of height below a picture
OUTER_RADIUS = 0.8  # of the outer evaluation points


@dataclass(frozen=True)
class EmotionTile:
    """One picture on the circle."""

    picture: Picture
    valence: float
    arousal: float
    label: str


def _paste(sheet: Picture, tile: Picture, x: float, y: float) -> None:
    """Put a tile's middle at (x, y) px."""
    top, left = round(y - tile.shape[0] / 2), round(x - tile.shape[1] / 2)
    sheet[top : top + tile.shape[0], left : left + tile.shape[1]] = tile


def _axes(sheet: Picture, middle: float, ring: float) -> Picture:
    for radius in (ring, ring * 0.5 / OUTER_RADIUS):
        centre = (round(middle), round(middle))
        cv2.circle(sheet, centre, round(radius), AXIS, 1, cv2.LINE_AA)
    end = round(middle + ring * 1.28)
    start = round(middle - ring * 1.28)
    cv2.line(sheet, (start, round(middle)), (end, round(middle)), AXIS, 1, cv2.LINE_AA)
    cv2.line(sheet, (round(middle), start), (round(middle), end), AXIS, 1, cv2.LINE_AA)
    return sheet


def emotion_circle(tiles: Sequence[EmotionTile], neutral: Picture | None, tile: int) -> Picture:
    """The 12 renders at their places in the valence-arousal plane, the source in the middle."""
    ring = RING * tile
    half = ring * math.cos(math.pi / 8) + tile * (0.5 + CAPTION) + 0.18 * tile
    sheet = _axes(blank(round(2 * half), round(2 * half)), half, ring)
    text = max(11, round(tile * 0.095))
    places = [(t.picture, t.valence, t.arousal, t.label) for t in tiles]
    if neutral is not None:
        places.append((neutral, 0.0, 0.0, "source"))
    for picture, valence, arousal, _ in places:
        _paste(sheet, fit(picture, tile), half + valence * ring / 0.8, half - arousal * ring / 0.8)
    for _, valence, arousal, label in places:
        x, y = half + valence * ring / 0.8, half - arousal * ring / 0.8 + tile / 2
        name = label if label == "source" else f"{label}  {valence:+.2f} {arousal:+.2f}"
        sheet = put_text(sheet, name, x, y + 0.03 * tile, text, INK, "ma")
    sheet = put_text(sheet, "valence", 2 * half - 6, half - 4, text, FAINT, "rd")
    return put_text(sheet, "arousal", half + 5, 4, text, FAINT, "la")


def reconstruction_rows(
    pairs: Sequence[tuple[int, Picture, Picture]], side: int, title: str
) -> Picture:
    """Rows of truth, render and error map with the frame's number."""
    gap, top = max(4, side // 24), round(side * 0.36)
    text = max(12, round(side * 0.1))
    height = top + len(pairs) * (side + gap)
    sheet = blank(height, 3 * side + 7 * gap)
    for row, (_, truth, render) in enumerate(pairs):
        y = top + row * (side + gap)
        for column, picture in enumerate((truth, render, error_map(render, truth))):
            small = fit(picture, side)
            x = gap + column * (side + gap)
            sheet[y : y + small.shape[0], x : x + small.shape[1]] = small
    sheet = put_text(sheet, title, gap, round(side * 0.05), round(text * 1.2))
    for column, name in enumerate(("truth", "render", "error")):
        middle = gap + column * (side + gap) + side / 2
        sheet = put_text(sheet, name, middle, top - 5, text, FAINT, "md")
    return sheet


def stack(left: Picture, right: Picture) -> Picture:
    """Two sheets beside each other, both centred in height."""
    height = max(left.shape[0], right.shape[0])
    out = blank(height, left.shape[1] + right.shape[1])
    for picture, x in ((left, 0), (right, left.shape[1])):
        y = (height - picture.shape[0]) // 2
        out[y : y + picture.shape[0], x : x + picture.shape[1]] = picture
    return out


def labelled(picture: Picture, text: str, size: int) -> Picture:
    """The picture with a caption on a dark strip at its lower edge."""
    strip = round(size * 1.7)
    out = picture.copy()
    out[-strip:] = (out[-strip:] * 0.35).astype(np.uint8)
    return put_text(
        out, text, picture.shape[1] / 2, picture.shape[0] - strip / 2, size, (255, 255, 255), "mm"
    )
