"""From an identity to hair: shells of strands over the scalp, a curtain of long hair, noise."""

from __future__ import annotations

import cv2
import numpy as np
from jaxtyping import Float32, Int32

from emotalk_core.actor.face_model import AXES, DECIMETRE, FaceModel
from emotalk_core.actor.hairline import hair_cover
from emotalk_core.actor.identity import Identity
from emotalk_core.actor.layers import CURTAIN, FIRST_SHELL, Layer
from emotalk_core.actor.paint_tools import smoothstep
from emotalk_core.actor.surface_map import ATLAS, SurfaceMap

N_SHELLS = 7  # more look softer; each costs a raster pass over the scalp
STRANDS = 1024  # px: side of the strand noise
# Direction in which a style is combed (head axes before the flip: x left, y up, z front), dm per dm
COMB = {
    "buzz": (0.0, 0.0, 0.0),
    "crop": (0.0, 0.1, 0.25),
    "side": (-0.55, 0.15, 0.2),
    "long": (0.0, -0.1, -0.3),
    "curly": (0.0, 0.0, 0.0),
}
PARTING_X = 0.28  # dm: where the parting of "side" runs
CURTAIN_COLUMNS, CURTAIN_ROWS = 49, 14
CURTAIN_TOP = 0.74  # of its width: the curtain begins inside the shells, so no shelf shows
CURTAIN_HALF_ANGLE = 152.0  # degrees around the head from the back: leaves the face free


def _length(base: Float32[np.ndarray, "V 3"], style: str) -> Float32[np.ndarray, " V"]:
    """How far the outermost shell stands off the scalp, dm."""
    x, y, z = base[:, 0], base[:, 1], base[:, 2]
    top = np.clip((y - 7.6) / 0.6, 0, 1)
    if style == "buzz":
        return np.full(len(base), 0.02)
    if style == "crop":
        return 0.055 + 0.10 * top
    if style == "side":
        parting = 1 - 0.75 * np.exp(-(((x - PARTING_X) / 0.06) ** 2))
        return 0.05 + 0.20 * top * parting * (1 - 0.35 * (x > PARTING_X))
    if style == "long":
        return 0.15 + 0.05 * top - 0.10 * np.exp(-((x / 0.035) ** 2)) * top
    return 0.22 + 0.18 * top + 0.05 * np.sin(9 * x + 2) * np.sin(8 * y) * np.cos(9 * z)


def _directions(
    base: Float32[np.ndarray, "V 3"], normals: Float32[np.ndarray, "V 3"], style: str
) -> Float32[np.ndarray, "V 3"]:
    """Growth direction per vertex: the normal, combed; head axes."""
    top = np.clip((base[:, 1] - 7.6) / 0.6, 0, 1)
    comb = np.array(COMB[style], np.float32) * AXES
    side = np.where(base[:, 0] > PARTING_X, -0.6, 1.0) if style == "side" else np.ones(len(base))
    return normals + comb * (top * side)[:, None]


def hair_density(
    model: FaceModel, surface: SurfaceMap, identity: Identity
) -> Float32[np.ndarray, " V"]:
    """0 on bare skin .. 1 inside the hair, per body vertex."""
    density = hair_cover(model.base_vertices, identity, soft=(-0.03, 0.10))
    density = density * ~surface.ear_vertices
    off_head = np.ones(len(density), bool)
    off_head[np.unique(model.triangles[surface.head])] = False
    density[off_head] = 0
    return density.astype(np.float32)


def hair_shells(
    model: FaceModel,
    surface: SurfaceMap,
    identity: Identity,
    normals: Float32[np.ndarray, "V 3"],
) -> list[Layer]:
    """Copies of the scalp, pushed outwards; the renderer cuts strands out of them with noise."""
    density = hair_density(model, surface, identity)
    length = _length(model.base_vertices, identity.style) * smoothstep(density, 0, 0.9) * DECIMETRE
    grow = _directions(model.base_vertices, normals, identity.style) * length[:, None]
    chosen = surface.head & (density[model.triangles].max(axis=1) > 0.02)
    source, flat = np.unique(model.triangles[chosen], return_inverse=True)
    triangles = flat.reshape(-1, 3).astype(np.int32)
    uv = (surface.texels[chosen] / (ATLAS - 1)).astype(np.float32)
    return [
        Layer(
            part=FIRST_SHELL + k,
            source=source.astype(np.int32),
            offset=(grow[source] * ((k + 1) / N_SHELLS)).astype(np.float32),
            triangles=triangles,
            uv=uv,
            threshold=density[source],
        )
        for k in reversed(range(N_SHELLS))  # outermost first: what it hides is skipped early
    ]


def _curtain_points(
    scalp: Float32[np.ndarray, "S 3"],
    ears: Float32[np.ndarray, "E 3"],
    length: float,
) -> Float32[np.ndarray, "N 3"]:
    """A sheet that hangs around the head from below the crown, metres, head axes."""
    angle = np.radians(np.linspace(-CURTAIN_HALF_ANGLE, CURTAIN_HALF_ANGLE, CURTAIN_COLUMNS))
    down = np.linspace(0, 1, CURTAIN_ROWS)
    angle, down = (g.ravel() for g in np.meshgrid(angle, down, indexing="ij"))
    half_width = max(np.abs(scalp[:, 0]).max() + 0.010, np.abs(ears[:, 0]).max() + 0.0035)
    front, back = scalp[:, 2].min(), scalp[:, 2].max()
    middle, half_depth = (front + back) / 2 + 0.012, (back - front) / 2 + 0.010
    grow = CURTAIN_TOP + (1 - CURTAIN_TOP) * smoothstep(down, 0, 0.30)
    swell = grow * (1 + 0.10 * down - 0.05 * down**2)
    to_front = np.clip((np.abs(np.degrees(angle)) - 95) / 57, 0, 1)
    x = np.sin(angle) * half_width * swell * (1 + 0.05 * np.sin(7 * angle + 3 * down))
    ring = np.cos(angle) * half_depth * grow
    z = middle + ring * (1 + 0.02 * down) + 0.010 * down * (1 - to_front)
    z = z + to_front * (0.006 - 0.014 * down)
    top = scalp[:, 1].min() + 0.040
    return np.stack([x, top + length * down, z], axis=1).astype(np.float32)


def hair_curtain(
    model: FaceModel,
    surface: SurfaceMap,
    identity: Identity,
    vertices: Float32[np.ndarray, "V 3"],
    rng: np.random.Generator,
) -> Layer:
    """The hanging part of long hair; it rides on one vertex of the back of the head."""
    density = hair_density(model, surface, identity)
    length = 0.235 + 0.015 * rng.random()
    points = _curtain_points(vertices[density > 0.5], vertices[surface.ear_vertices], length)
    base = model.base_vertices
    anchor = int(np.argmax(density * (base[:, 1] < 7.9) * (base[:, 2] < 0)))
    grid = np.arange(CURTAIN_COLUMNS * CURTAIN_ROWS).reshape(CURTAIN_COLUMNS, CURTAIN_ROWS)
    a, b, c, d = grid[:-1, :-1], grid[1:, :-1], grid[:-1, 1:], grid[1:, 1:]
    triangles = np.stack([np.stack([a, b, c], -1), np.stack([c, b, d], -1)], axis=2)
    around = np.repeat(np.linspace(0, 1, CURTAIN_COLUMNS), CURTAIN_ROWS)
    down = np.tile(np.linspace(0, 1, CURTAIN_ROWS), CURTAIN_COLUMNS)
    edge = smoothstep(1 - np.abs(around * 2 - 1), -0.02, 0.06)
    flat: Int32[np.ndarray, "K 3"] = triangles.reshape(-1, 3).astype(np.int32)
    return Layer(
        part=CURTAIN,
        source=np.full(len(points), anchor, np.int32),
        offset=points - vertices[anchor],
        triangles=flat,
        uv=np.stack([around, down], axis=1)[flat].astype(np.float32),
        threshold=(0.02 + 0.4 * (1 - down) ** 0.7 * edge).astype(np.float32),
        follow=(1 - 0.75 * down**1.5).astype(np.float32),
    )


def strand_noise(style: str, rng: np.random.Generator) -> Float32[np.ndarray, "S S"]:
    """Rank-equalised noise (uniform in 0..1), stretched along the strands (second axis)."""
    raw = rng.standard_normal((STRANDS, STRANDS)).astype(np.float32)
    along, across = (2.6, 2.6) if style == "curly" else (14.0, 0.9)
    noise = cv2.GaussianBlur(
        raw, (0, 0), sigmaX=along, sigmaY=across, borderType=cv2.BORDER_REFLECT_101
    )
    ranks = np.empty(noise.size, np.float32)
    order = np.argsort(noise.ravel(), kind="stable")
    ranks[order] = np.linspace(0, 1, noise.size, dtype=np.float32)
    return ranks.reshape(noise.shape)
