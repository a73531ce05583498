"""Spectacle frames: two rims, a bridge and temples as thin tubes that ride on the head."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float32, Int32

from emotalk_core.actor.face_model import LEFT_EYE, RIGHT_EYE, FaceModel
from emotalk_core.actor.identity import Identity
from emotalk_core.actor.layers import FRAME, Layer
from emotalk_core.actor.surface_map import SurfaceMap

# Shape of a rim: half width, half height in metres, exponent of the superellipse (2 = ellipse)
RIMS = {"round": (0.0235, 0.0215, 2.0), "square": (0.0265, 0.0180, 3.4)}
THICKNESS = {"round": 0.0009, "square": 0.0017}  # metres, radius of the tube
BEFORE_EYE = 0.0125  # metres from the cornea to the rims: the usual vertex distance
WRAP = 2.6  # per metre: the outer edges lie further back, as on the face
LOWER = 0.0015  # metres: the pupil sits a little above the middle of the lens
BRIDGE_HEIGHT, BRIDGE_BOW = 0.006, 0.003  # metres above the middle of the rims; forward
RIM_POINTS, BRIDGE_POINTS, TEMPLE_POINTS, AROUND = 40, 9, 14, 6
EAR_CLEARANCE = 0.002  # metres between temple and ear


def _tube(
    path: Float32[np.ndarray, "P 3"], radius: float, closed: bool
) -> tuple[Float32[np.ndarray, "N 3"], Int32[np.ndarray, "K 3"]]:
    """Points and triangles of a tube around a path."""
    ahead = np.roll(path, -1, axis=0) - np.roll(path, 1, axis=0) if closed else np.gradient(path)[0]
    ahead = ahead / np.linalg.norm(ahead, axis=1, keepdims=True)
    helper = np.array([0.0, 0.0, 1.0]) if closed else np.array([0.0, 1.0, 0.0])
    across = np.cross(ahead, helper)
    across /= np.linalg.norm(across, axis=1, keepdims=True)
    other = np.cross(ahead, across)
    turn = 2 * np.pi * np.arange(AROUND) / AROUND
    ring = (
        np.cos(turn)[None, :, None] * across[:, None] + np.sin(turn)[None, :, None] * other[:, None]
    )
    points = (path[:, None] + radius * ring).reshape(-1, 3)
    grid = np.arange(len(points)).reshape(len(path), AROUND)
    if closed:
        grid = np.concatenate([grid, grid[:1]])
    grid = np.concatenate([grid, grid[:, :1]], axis=1)
    a, b, c, d = grid[:-1, :-1], grid[1:, :-1], grid[:-1, 1:], grid[1:, 1:]
    triangles = np.concatenate([np.stack([a, b, c], -1), np.stack([c, b, d], -1)]).reshape(-1, 3)
    return points.astype(np.float32), triangles.astype(np.int32)


def _rim(centre: np.ndarray, style: str) -> Float32[np.ndarray, "P 3"]:
    """A rim around a lens' middle, bent around the face."""
    half_width, half_height, power = RIMS[style]
    turn = 2 * np.pi * np.arange(RIM_POINTS) / RIM_POINTS
    cos, sin = np.cos(turn), np.sin(turn)
    radius = (np.abs(cos) ** power + np.abs(sin) ** power) ** (-1 / power)
    x = centre[0] + half_width * radius * cos
    y = centre[1] + half_height * radius * sin
    return np.stack([x, y, centre[2] + WRAP * x**2], axis=1).astype(np.float32)


def wear_glasses(
    model: FaceModel,
    surface: SurfaceMap,
    identity: Identity,
    vertices: Float32[np.ndarray, "V 3"],
) -> Layer:
    """The frame of a person's glasses; metres, head axes (x right, y down, z into the head).

    It rides on the vertex between the brows and ears that expressions move least, so that the
    frame stays where it is while the face moves.
    """
    style = identity.glasses
    eyes = [vertices[model.part_vertices(part)] for part in (LEFT_EYE, RIGHT_EYE)]
    ears = vertices[surface.ear_vertices]
    front = min(float(eye[:, 2].min()) for eye in eyes) - BEFORE_EYE
    tubes = []
    rims = []
    for eye in eyes:
        middle = eye.mean(axis=0)
        flat = front - WRAP * middle[0] ** 2  # so that the lens' middle has the vertex distance
        rims.append(_rim(np.array([middle[0], middle[1] + LOWER, flat]), style))
        tubes.append(_tube(rims[-1], THICKNESS[style], closed=True))
    level = np.mean([rim[:, 1].mean() for rim in rims]) - BRIDGE_HEIGHT
    inner = [rim[np.argmin(np.abs(rim[:, 0]) + 2 * np.abs(rim[:, 1] - level))] for rim in rims]
    share = np.linspace(0, 1, BRIDGE_POINTS)[:, None]
    bridge = inner[0] * (1 - share) + inner[1] * share
    bridge[:, 2] -= BRIDGE_BOW * np.sin(np.pi * share[:, 0])
    tubes.append(_tube(bridge.astype(np.float32), THICKNESS[style], closed=False))
    for rim in rims:
        side = np.sign(rim[:, 0].mean())
        start = rim[np.argmax(side * rim[:, 0] - 2 * np.abs(rim[:, 1] - level))]
        here = ears[np.sign(ears[:, 0]) == side]
        end_x = side * (np.abs(here[:, 0]).min() + EAR_CLEARANCE)
        end = np.array([end_x, here[:, 1].min() + 0.008, here[:, 2].mean()])
        share = np.linspace(0, 1, TEMPLE_POINTS)[:, None]
        temple = start * (1 - share) + end * share
        # First straight back from the hinge, then along the head
        temple[:, 0] = start[0] + (end[0] - start[0]) * share[:, 0] ** 1.5
        tubes.append(_tube(temple.astype(np.float32), THICKNESS[style], closed=False))
    points = np.concatenate([p for p, _ in tubes])
    first = np.cumsum([0] + [len(p) for p, _ in tubes[:-1]])
    triangles = np.concatenate([t + k for (_, t), k in zip(tubes, first)]).astype(np.int32)
    anchor = _still_vertex(model, surface, vertices, points)
    return Layer(
        part=FRAME,
        source=np.full(len(points), anchor, np.int32),
        offset=points - vertices[anchor],
        triangles=triangles,
        uv=np.zeros((len(triangles), 3, 2), np.float32),
        threshold=np.ones(len(points), np.float32),
        follow=np.ones(len(points), np.float32),
    )


def _still_vertex(
    model: FaceModel, surface: SurfaceMap, vertices: np.ndarray, points: np.ndarray
) -> int:
    """The head's vertex near the glasses that no expression moves, or hardly any."""
    on_head = np.unique(model.triangles[surface.head])
    moved = np.abs(model.expression_deltas[:, on_head]).max(axis=(0, 2))
    distance = np.linalg.norm(vertices[on_head] - points.mean(axis=0), axis=1)
    return int(on_head[np.argmin(1e3 * moved + distance)])
