"""From the face model to the layout of paint: where texels lie on the base head."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import cv2
import numpy as np
from jaxtyping import Bool, Float32

from emotalk_core.actor.build_face_model import MASK_ISLAND_U
from emotalk_core.actor.face_model import BODY, FaceModel, load_face_model
from emotalk_core.actor.kernels import fill_texture

ATLAS = 1600  # px, square: the head's island, blocks of cloth, torso skin, mouth and teeth
HEAD_WIDTH, HEAD_HEIGHT = 740, 1446  # px of the head's island at the atlas' corner
ISLAND_U, ISLAND_V, ISLAND_SCALE = 0.635, 0.86, 2048.0  # texel = (u - U, V - v) * scale
CLOTH_BLOCK = (745, 0, 710)  # x, y, side px
TORSO_BLOCK = (745, 715, 720)
MOUTH_BLOCK = (750, 1440, 90, 50)  # x, y, width, height px
MASK_SIDE = 2047  # last pixel of MakeHuman's mask textures
# Planar map of torso and cloth: base x from -2.6 dm over 5.2 dm, y from 6.7 dm down over 2.8 dm
PLANAR_X, PLANAR_WIDTH, PLANAR_Y, PLANAR_HEIGHT, PLANAR_PX = -2.6, 5.2, 6.7, 2.8, 700


@dataclass(frozen=True)
class SurfaceMap:
    """The layout of the paint; the same for every identity.

    Attributes:
        texels: [F,3,2] px in the atlas for the model's triangles.
        head, torso, cavity: [F] bool, kinds of the body's triangles (cavity: inside of the mouth).
        position: [HEAD_HEIGHT,HEAD_WIDTH,3] base coordinates (dm) of every texel of the head.
        lips, eyelids, ears: [HEAD_HEIGHT,HEAD_WIDTH] masks in 0..1.
        ear_vertices: [V] bool.
    """

    texels: Float32[np.ndarray, "F 3 2"]
    head: Bool[np.ndarray, " F"]
    torso: Bool[np.ndarray, " F"]
    cavity: Bool[np.ndarray, " F"]
    position: Float32[np.ndarray, "H W 3"]
    lips: Float32[np.ndarray, "H W"]
    eyelids: Float32[np.ndarray, "H W"]
    ears: Float32[np.ndarray, "H W"]
    ear_vertices: Bool[np.ndarray, " V"]


def planar_texels(
    points: Float32[np.ndarray, "*n 3"], block: tuple[int, int, int]
) -> Float32[np.ndarray, "*n 2"]:
    """Texels of a frontal projection of base coordinates into a block of the atlas."""
    x = block[0] + 5 + (points[..., 0] - PLANAR_X) / PLANAR_WIDTH * PLANAR_PX
    y = block[1] + 5 + (PLANAR_Y - points[..., 1]) / PLANAR_HEIGHT * PLANAR_PX
    return np.stack([x, y], axis=-1).astype(np.float32)


def planar_grid(block: tuple[int, int, int]) -> tuple[np.ndarray, np.ndarray]:
    """Base coordinates (x [S,S], y [S,S], dm) of a block's texels: the inverse of the above."""
    rows, columns = np.mgrid[0 : block[2], 0 : block[2]].astype(np.float32)
    x = (columns - 5) / PLANAR_PX * PLANAR_WIDTH + PLANAR_X
    return x, PLANAR_Y - (rows - 5) / PLANAR_PX * PLANAR_HEIGHT


def _bleed(
    values: Float32[np.ndarray, "H W 3"], covered: Bool[np.ndarray, "H W"]
) -> Float32[np.ndarray, "H W 3"]:
    """Give uncovered texels the value of the nearest covered one, so that seams do not show."""
    _, nearest = cv2.distanceTransformWithLabels(
        (~covered).astype(np.uint8), cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL
    )
    rows, columns = np.nonzero(covered)
    lookup = np.zeros(int(nearest.max()) + 1, np.int64)
    lookup[nearest[rows, columns]] = np.arange(len(rows))
    pick = lookup[nearest]
    return values[rows[pick], columns[pick]]


def _island_mask(model: FaceModel, name: str) -> Float32[np.ndarray, "H W"]:
    """One of MakeHuman's masks, resampled to the head's island, 0..1."""
    rows, columns = np.mgrid[0:HEAD_HEIGHT, 0:HEAD_WIDTH].astype(np.float32)
    first = int(MASK_ISLAND_U * (MASK_SIDE + 1))
    x = (columns / ISLAND_SCALE + ISLAND_U) * MASK_SIDE - first
    y = (1 - (ISLAND_V - rows / ISLAND_SCALE)) * MASK_SIDE
    mask = cv2.remap(model.masks[name], x.astype(np.float32), y, cv2.INTER_LINEAR)
    return mask.astype(np.float32) / 255


def _body_kinds(model: FaceModel) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(head, torso, cavity) flags of triangles, told apart by their place in the UV layout."""
    body = model.part == BODY
    uv = model.uv.mean(axis=1)
    height = model.base_vertices[model.triangles].mean(axis=1)[:, 1]
    cavity = body & (uv[:, 1] < 0.14) & (uv[:, 0] > 0.74) & (height > 6)
    head = body & ~cavity & (uv[:, 0] > 0.63) & (height > 5.6)
    return head, body & ~cavity & ~head, cavity


@cache
def load_surface_map() -> SurfaceMap:
    """Build the layout once per process (0.3 s); callers share it and must not write to it."""
    model = load_face_model()
    head, torso, cavity = _body_kinds(model)
    corners = model.base_vertices[model.triangles]
    texels = np.zeros_like(model.uv)
    texels[..., 0] = (model.uv[..., 0] - ISLAND_U) * ISLAND_SCALE
    texels[..., 1] = (ISLAND_V - model.uv[..., 1]) * ISLAND_SCALE
    texels[torso] = planar_texels(corners[torso], TORSO_BLOCK)
    texels[cavity] = (MOUTH_BLOCK[0] + 40, MOUTH_BLOCK[1] + 20)
    texels[model.part != BODY] = 0
    covered = np.zeros((HEAD_HEIGHT, HEAD_WIDTH), bool)
    position = np.zeros((HEAD_HEIGHT, HEAD_WIDTH, 3), np.float32)
    fill_texture(texels[head], corners[head], covered, position)
    masks = {name: _island_mask(model, name) for name in ("lips", "eyelids", "ears")}
    ear_vertices = np.zeros(len(model.base_vertices), bool)
    place = np.zeros((len(model.base_vertices), 2), int)
    place[model.triangles[head]] = texels[head]
    on_head = np.unique(model.triangles[head])
    at = np.clip(place[on_head], 0, [HEAD_WIDTH - 1, HEAD_HEIGHT - 1])
    ear_vertices[on_head] = masks["ears"][at[:, 1], at[:, 0]] > 0.3
    return SurfaceMap(
        texels=texels,
        head=head,
        torso=torso,
        cavity=cavity,
        position=_bleed(position, covered),
        ear_vertices=ear_vertices,
        **masks,
    )
