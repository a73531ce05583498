"""Teeth: two smooth dental arches behind the lips, painted tooth by tooth, one on the jaw."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from jaxtyping import Float32, Int32, UInt8

from emotalk_core.actor.face_model import LOWER_TEETH, UPPER_TEETH, FaceModel, HeadShape
from emotalk_core.actor.paint_tools import smoothstep
from emotalk_core.types.regions import LABEL

# Vertices of the base mesh on the midline of the lips' inner side (upper, lower): teeth stay behind
INNER_LIP_VERTICES = (554, 557)
LIP_LANDMARKS = (13, 14)  # FaceMesh's inner lip line in the middle
BEHIND_LIPS = 0.0018  # metres between lips and teeth
INCISOR_SHOW = 0.0022  # metres that the upper incisors reach below the line of the closed lips
OVERBITE = 0.0015  # metres by which the upper teeth cover the lower ones
# Half width and depth of the arch, height of band (gum and crown), metres; usual adult sizes
UPPER_ARCH = (0.0270, 0.0360, 0.0150)
LOWER_ARCH = (0.0250, 0.0340, 0.0140)
EDGE_THICKNESS = 0.0016  # metres
COLUMNS, HALF_ANGLE = 61, 82.0  # samples along the arch, degrees to each side
# Rows of the band: position from the gum (0) to the edge (1), then over the edge to the inner side
ROWS = (0.0, 0.3, 0.6, 0.85, 1.0)
# Widths of the teeth from the middle to the side, mm (mean adult crowns)
UPPER_WIDTHS = (8.6, 6.6, 7.6, 7.1, 6.8, 10.4, 9.8, 9.0)
LOWER_WIDTHS = (5.3, 5.9, 6.8, 7.0, 7.1, 11.4, 10.8, 9.0)
UPPER_BLOCK, LOWER_BLOCK = (5, 1505, 780, 44), (5, 1553, 780, 44)  # x, y, width, height px
TOOTH_COLOUR = (226, 216, 194)
GUM_COLOUR = (168, 92, 90)
GUM_SHARE = 0.36  # of the band's height at the middle of a tooth


@dataclass(frozen=True)
class Teeth:
    """Both arches: points [A,3] metres, deltas [52,A,3], triangles, texels [K,3,2], part [K]."""

    points: Float32[np.ndarray, "A 3"]
    deltas: Float32[np.ndarray, "52 A 3"]
    triangles: Int32[np.ndarray, "K 3"]
    texels: Float32[np.ndarray, "K 3 2"]
    part: UInt8[np.ndarray, " K"]


def _band(
    arch: tuple[float, float, float], front: float, edge: float, upwards: float
) -> tuple[np.ndarray, np.ndarray]:
    """Points [COLUMNS,ROWS+2,3] of one arch and their places (along in metres, row) [..,2]."""
    half_width, depth, height = arch
    angle = np.radians(np.linspace(-HALF_ANGLE, HALF_ANGLE, COLUMNS))
    centre = np.stack([half_width * np.sin(angle), front + depth * (1 - np.cos(angle))], axis=1)
    steps = np.linalg.norm(np.diff(centre, axis=0), axis=1)
    along = np.concatenate([[0], np.cumsum(steps)])
    along = along - along[COLUMNS // 2]
    inward = np.stack([-np.sin(angle) / half_width, np.cos(angle) / depth], axis=1)
    inward /= np.linalg.norm(inward, axis=1, keepdims=True)
    rows = [(share, edge - upwards * height * (1 - share), 0.0) for share in ROWS]
    rows += [
        (1.0, edge, EDGE_THICKNESS),
        (0.6, edge - upwards * height * 0.4, EDGE_THICKNESS * 2),
    ]
    points, places = [], []
    for share, y, back in rows:
        slant = back + 0.0012 * (1 - share)  # roots lean back
        ring = centre + inward * slant
        points.append(np.stack([ring[:, 0], np.full(COLUMNS, y), ring[:, 1]], axis=1))
        places.append(np.stack([along, np.full(COLUMNS, share)], axis=1))
    return np.stack(points, axis=1), np.stack(places, axis=1)


def _grid_triangles(columns: int, rows: int, flip: bool) -> np.ndarray:
    """Triangles of a grid; `flip` turns them so that the outer side is the front."""
    grid = np.arange(columns * rows).reshape(columns, rows)
    a, b, c, d = grid[:-1, :-1], grid[1:, :-1], grid[:-1, 1:], grid[1:, 1:]
    first, second = (np.stack([a, b, c], -1), np.stack([c, b, d], -1))
    triangles = np.stack([first, second], axis=2).reshape(-1, 3)
    return triangles[:, ::-1] if flip else triangles


def _rigid_deltas(model: FaceModel, part: int, scale: float, points: np.ndarray) -> np.ndarray:
    """Displacements of new points under the 52 expressions: an affine fit to the model's own teeth.

    MakeHuman's teeth move rigidly with the jaw; the fit carries that motion over without steps.
    """
    own = model.part_vertices(part)
    rest = np.concatenate([model.vertices[own], np.ones((len(own), 1))], axis=1)
    deltas = model.expression_deltas[:, own] * (scale / model.scale)
    solution = np.linalg.lstsq(rest, deltas.transpose(1, 0, 2).reshape(len(own), -1), rcond=None)[0]
    moved = np.concatenate([points, np.ones((len(points), 1))], axis=1) @ solution
    return moved.reshape(len(points), len(deltas), 3).transpose(1, 0, 2)


def build_teeth(model: FaceModel, head: HeadShape) -> Teeth:
    """Place both arches behind a person's lips."""
    lips = model.on_surface(head.vertices)[list(LIP_LANDMARKS), 1].mean()
    front = head.vertices[list(INNER_LIP_VERTICES), 2].max() + BEHIND_LIPS
    edge = lips + INCISOR_SHOW
    pieces = (
        (UPPER_TEETH, UPPER_ARCH, front, edge, 1.0, UPPER_BLOCK),
        (LOWER_TEETH, LOWER_ARCH, front + 0.002, edge - OVERBITE, -1.0, LOWER_BLOCK),
    )
    points, deltas, triangles, texels, parts = [], [], [], [], []
    for number, (part, arch, z, y, upwards, block) in enumerate(pieces):
        band, places = _band(arch, z, y, upwards)
        flat = band.reshape(-1, 3)
        faces = _grid_triangles(band.shape[0], band.shape[1], flip=upwards > 0)
        x = block[0] + (places[..., 0] / _half_length(arch) * 0.5 + 0.5) * (block[2] - 1)
        row = block[1] + 1 + places[..., 1] * (block[3] - 3)
        points.append(flat)
        deltas.append(_rigid_deltas(model, part, head.scale, flat))
        triangles.append(faces + number * len(flat))
        texels.append(np.stack([x, row], axis=-1).reshape(-1, 2)[faces])
        parts.append(np.full(len(faces), part, np.uint8))
    return Teeth(
        points=np.concatenate(points).astype(np.float32),
        deltas=np.concatenate(deltas, axis=1).astype(np.float32),
        triangles=np.concatenate(triangles).astype(np.int32),
        texels=np.concatenate(texels).astype(np.float32),
        part=np.concatenate(parts),
    )


def _half_length(arch: tuple[float, float, float]) -> float:
    """Length of half an arch along its curve, metres."""
    angle = np.radians(np.linspace(0, HALF_ANGLE, COLUMNS))
    curve = np.stack([arch[0] * np.sin(angle), arch[1] * (1 - np.cos(angle))], axis=1)
    return float(np.linalg.norm(np.diff(curve, axis=0), axis=1).sum())


def paint_teeth(texture: np.ndarray, labels: np.ndarray, rng: np.random.Generator) -> None:
    """Paint both arches into the atlas (sRGB [A,A,3], labels [A,A]), in place."""
    for arch, widths, block in (
        (UPPER_ARCH, UPPER_WIDTHS, UPPER_BLOCK),
        (LOWER_ARCH, LOWER_WIDTHS, LOWER_BLOCK),
    ):
        x0, y0, width, height = block
        along = np.abs(np.linspace(-1, 1, width)) * _half_length(arch) * 1000  # mm
        borders = np.concatenate([[0], np.cumsum(widths)])
        tooth = np.clip(np.searchsorted(borders, along, side="right") - 1, 0, len(widths) - 1)
        inside = (along - borders[tooth]) / np.array(widths)[tooth]  # 0..1 across the tooth
        row = np.linspace(0, 1, height)[:, None]
        arc = 4 * inside * (1 - inside)  # 1 in the middle of a tooth, 0 at its borders
        gum = row < GUM_SHARE + 0.16 * (1 - arc**0.6)[None]
        gap = smoothstep(arc, 0.0, 0.22)[None]
        tone = 1 + 0.03 * rng.standard_normal(len(widths))[tooth]
        shade = (0.62 + 0.38 * gap) * tone * (1 - 0.16 * np.clip(along / 35, 0, 1))
        body = 0.86 + 0.14 * smoothstep(row, GUM_SHARE, 0.8)
        colour = np.array(TOOTH_COLOUR) * (shade * body)[..., None]
        colour[gum] = GUM_COLOUR
        colour = cv2.GaussianBlur(colour.astype(np.float32), (0, 0), 1.0)
        area = (slice(y0, y0 + height), slice(x0, x0 + width))
        texture[area] = colour
        labels[area] = np.where(gum, LABEL["inner_mouth"], LABEL["teeth"])
