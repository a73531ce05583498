"""Clothes: a layer around the torso cut by a collar line, and its painted cloth."""

from __future__ import annotations

import cv2
import numpy as np
from jaxtyping import Float32

from emotalk_core.actor.face_model import BODY, DECIMETRE, FaceModel
from emotalk_core.actor.identity import Identity
from emotalk_core.actor.layers import CLOTH, Layer
from emotalk_core.actor.paint_tools import fractal_noise, smoothstep
from emotalk_core.actor.surface_map import (
    CLOTH_BLOCK,
    PLANAR_PX,
    PLANAR_WIDTH,
    SurfaceMap,
    planar_grid,
    planar_texels,
)

COLLAR_HEIGHT = {
    "tee": 5.80,
    "jacket": 5.98,
    "turtle": 6.04,
    "shirt": 5.96,
}  # base dm, at the front
NECK_RISE = 0.22  # dm that a collar stands higher at the back
V_NECK = 0.34  # depth of the open collar of shirts and jackets, dm
WHITE = (226, 226, 222)


def collar_line(base: Float32[np.ndarray, "V 3"], clothes: str) -> Float32[np.ndarray, " V"]:
    """Height of the collar (base dm) in the direction of each vertex."""
    line = np.full(len(base), COLLAR_HEIGHT[clothes], np.float32)
    if clothes != "turtle":
        line += NECK_RISE * smoothstep(-base[:, 2], -0.55, 0.1)
    if clothes in ("jacket", "shirt"):
        line -= V_NECK * np.exp(-((base[:, 0] / 0.16) ** 2)) * (base[:, 2] > 0.3)
    return line


def dress(
    model: FaceModel,
    surface: SurfaceMap,
    identity: Identity,
    normals: Float32[np.ndarray, "V 3"],
) -> Layer:
    """Build the clothes around a person's body; normals: [V,3] of the neutral body, outwards.

    The layer is a copy of the torso; the renderer drops what lies above the collar line, so
    that the edge follows the line and not the triangles.
    """
    base = model.base_vertices
    below = collar_line(base, identity.clothes) - base[:, 1]
    corners = base[model.triangles]
    chosen = (model.part == BODY) & ~surface.cavity
    chosen &= (corners[:, :, 1].min(axis=1) < 6.5) & (below[model.triangles].max(axis=1) > -0.02)
    triangles = model.triangles[chosen]
    source, flat = np.unique(triangles, return_inverse=True)
    thickness = 0.05 + 0.05 * np.clip(below[source], 0, 0.6) / 0.6  # dm: hems lie close to the skin
    return Layer(
        part=CLOTH,
        source=source.astype(np.int32),
        offset=(normals[source] * (thickness * DECIMETRE)[:, None]).astype(np.float32),
        threshold=below[source].astype(np.float32),
        triangles=flat.reshape(triangles.shape).astype(np.int32),
        uv=planar_texels(corners[chosen], CLOTH_BLOCK),
    )


def _paint_jacket(colour: np.ndarray, x: np.ndarray, y: np.ndarray, cloth: np.ndarray) -> None:
    """Shirt front, tie and lapels, in place."""
    side = np.abs(x)
    edge = (y - 4.35) * 0.34
    front = side < edge
    colour[front] = WHITE
    tie = (side < 0.075 + 0.03 * (5.6 - y)) & front & (y < 5.74)
    colour[tie] = cloth[::-1] * 0.8
    colour[np.abs(side - edge) < 0.014] *= 0.45
    lapel = np.abs(side - (edge + 0.30 - 0.12 * np.clip(5.4 - y, 0, 1)))
    colour[(lapel < 0.012) & ~front] *= 0.6


def _paint_buttons(colour: np.ndarray, x: np.ndarray, cloth: np.ndarray) -> None:
    """The placket of a shirt with its buttons, in place."""
    colour[np.abs(x - 0.05) < 0.008] *= 0.7
    for height in np.arange(4.2, 5.6, 0.32):
        column = int(5 + 2.6 / PLANAR_WIDTH * PLANAR_PX)
        row = int(5 + (6.7 - height) / 2.8 * PLANAR_PX)
        button = tuple(float(v) for v in cloth * 0.6 + 60)
        cv2.circle(colour, (column, row), 3, button, -1, cv2.LINE_AA)


def paint_cloth(
    identity: Identity, block: tuple[int, int, int], rng: np.random.Generator
) -> Float32[np.ndarray, "S S 3"]:
    """The block of cloth: weave, folds, collar, tie or buttons, sRGB."""
    x, y = planar_grid(block)
    side = block[2]
    cloth = np.array(identity.cloth_colour, np.float32)
    colour = np.tile(cloth, (side, side, 1))
    weave = 1 + 0.05 * np.sin(x * 190) * np.sin(y * 190) + 0.05 * fractal_noise(side, side, rng)
    if identity.clothes == "jacket":
        _paint_jacket(colour, x, y, cloth)
    if identity.clothes in ("jacket", "shirt"):
        collar_bottom = 5.72 - 0.5 * np.abs(x)
        collar = (y > collar_bottom) & (y < 6.2) & (np.abs(x) < 0.75)
        own = np.array(WHITE, np.float32) if identity.clothes == "jacket" else cloth
        colour[collar] = own * 0.98
        colour[(np.abs(y - collar_bottom) < 0.012) & (np.abs(x) < 0.42)] *= 0.72
    if identity.clothes == "shirt":
        _paint_buttons(colour, x, cloth)
    return colour * weave[..., None]
