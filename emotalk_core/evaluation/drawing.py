"""Pictures for people: tiles on a sheet with text, label overlays, error maps."""

from __future__ import annotations

import io
from collections.abc import Sequence
from functools import lru_cache

import cv2
import numpy as np
from jaxtyping import Float, UInt8
from PIL import Image, ImageDraw, ImageFont

from emotalk_core.types.regions import REGION_NAMES

Picture = UInt8[np.ndarray, "H W 3"]
INK, FAINT, PAPER = (28, 30, 34), (110, 115, 122), (250, 250, 248)
OVERLAY_STRENGTH = 0.55  # of the label's colour; the face must stay visible below it
ERROR_FULL_SCALE = 64.0  # grey levels that are drawn as the strongest colour of an error map

# One colour a label, chosen to differ in lightness too (colour-blind readers).
REGION_COLOURS = dict(
    zip(
        REGION_NAMES,
        (
            (255, 255, 255),
            (244, 178, 131),
            (120, 72, 40),
            (43, 131, 186),
            (214, 39, 40),
            (90, 10, 30),
            (255, 250, 205),
            (240, 120, 160),
            (70, 60, 110),
            (255, 214, 90),
            (102, 194, 120),
            (60, 110, 90),
        ),
        strict=True,
    )
)


@lru_cache(maxsize=8)
def font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    """The font that travels with Pillow, so that sheets look the same everywhere."""
    return ImageFont.load_default(size)


def overlay_labels(picture: Picture, labels: UInt8[np.ndarray, "H W"]) -> Picture:
    """The picture with every label but the background tinted in its colour."""
    table = np.zeros((256, 3), dtype=np.float32)
    table[: len(REGION_NAMES)] = [REGION_COLOURS[name] for name in REGION_NAMES]
    share = np.where(labels > 0, OVERLAY_STRENGTH, 0.0)[..., None]
    return np.round(picture * (1 - share) + table[labels] * share).astype(np.uint8)


def error_map(render: Picture, truth: Picture) -> Picture:
    """Mean absolute difference over channels as a colour map, black = equal."""
    error = np.abs(render.astype(np.float32) - truth).mean(axis=2)
    levels = np.clip(error * (255 / ERROR_FULL_SCALE), 0, 255).astype(np.uint8)
    return cv2.cvtColor(cv2.applyColorMap(levels, cv2.COLORMAP_INFERNO), cv2.COLOR_BGR2RGB)


def fit(picture: Picture, side: int) -> Picture:
    """The picture scaled so that its longer side has `side` px."""
    height, width = picture.shape[:2]
    scale = side / max(height, width)
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    method = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    return cv2.resize(picture, size, interpolation=method)


def blank(height: int, width: int) -> Picture:
    """An empty sheet."""
    return np.full((height, width, 3), PAPER, dtype=np.uint8)


def put_text(
    sheet: Picture,
    text: str,
    x: float,
    y: float,
    size: int,
    colour: tuple[int, int, int] = INK,
    anchor: str = "la",
) -> Picture:
    """The sheet with one line of text; `anchor` as in Pillow (la = left, top)."""
    image = Image.fromarray(sheet)
    ImageDraw.Draw(image).text((x, y), text, fill=colour, font=font(size), anchor=anchor)
    return np.asarray(image).copy()


def grid(
    rows: Sequence[Sequence[Picture]],
    row_names: Sequence[str],
    column_names: Sequence[str],
    title: str,
    side: int = 192,
) -> Picture:
    """Tiles in rows with names at the left, names above and a title."""
    gap, left, top = 8, 116, 74
    width = left + len(column_names) * (side + gap) + gap
    sheet = blank(top + len(rows) * (side + gap) + gap, width)
    for r, tiles in enumerate(rows):
        for c, tile in enumerate(tiles):
            small = fit(tile, side)
            y, x = top + r * (side + gap), left + c * (side + gap)
            sheet[y : y + small.shape[0], x : x + small.shape[1]] = small
    sheet = put_text(sheet, title, 14, 12, 22)
    for c, name in enumerate(column_names):
        sheet = put_text(sheet, name, left + c * (side + gap) + side / 2, 66, 14, FAINT, "ms")
    for r, name in enumerate(row_names):
        middle = top + r * (side + gap) + side / 2
        sheet = put_text(sheet, name, left - 12, middle, 14, FAINT, "rm")
    return sheet


def encode(picture: Picture, kind: str = "PNG", quality: int = 88) -> bytes:
    """Bytes of a PNG or JPEG file."""
    out = io.BytesIO()
    options: dict[str, int | bool] = (
        {"quality": quality, "optimize": True} if kind == "JPEG" else {"optimize": True}
    )
    Image.fromarray(picture).save(out, kind, **options)
    return out.getvalue()


def spread(total: int, count: int) -> list[int]:
    """`count` indices spread evenly over `total` frames, ends left out."""
    count = min(count, total)
    marks: Float[np.ndarray, " N"] = (np.arange(count) + 0.5) * total / max(count, 1)
    return [int(m) for m in marks]
