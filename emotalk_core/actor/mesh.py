"""From an identity to an actor's mesh: body, teeth, hair, clothes, with baked ambient light."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float32, Int32

from emotalk_core.actor.beard import beard_shells
from emotalk_core.actor.clothing import dress
from emotalk_core.actor.face_model import (
    BODY,
    LASHES,
    LEFT_EYE,
    LOWER_TEETH,
    RIGHT_EYE,
    UPPER_TEETH,
    FaceModel,
    HeadShape,
)
from emotalk_core.actor.glasses import wear_glasses
from emotalk_core.actor.hair import hair_curtain, hair_shells, strand_noise
from emotalk_core.actor.identity import NO_GLASSES, Identity
from emotalk_core.actor.kernels import (
    LAST_OPAQUE_PART,
    creases,
    light_depth,
    light_visibility,
    vertex_normals,
)
from emotalk_core.actor.layers import CLOTH, CURTAIN, FIRST_BEARD, FIRST_SHELL, FRAME, Layer
from emotalk_core.actor.mouth import Teeth, build_teeth
from emotalk_core.actor.paint_tools import smoothstep
from emotalk_core.actor.raster import MeshArrays
from emotalk_core.actor.surface_map import SurfaceMap

NECK_STILL, NECK_TURNS = 5.75, 6.35  # base heights (dm) between which the neck follows the head
CHIN_FRONT, CHIN_RISE = 0.85, 0.9  # base dm; dm of height per dm of depth
SHADOW_SHELL = FIRST_SHELL + 3  # of the hair's shells only one in the middle throws shadows
LOWER_LASH_HEIGHT = 7.27  # base dm: below it lie the lower lashes, left out: they read as dirt
LASH_DENSITY = 0.52  # share of the lash strip's root that is hair
BAKE_DIRECTIONS, BAKE_SIZE, BAKE_SCALE = 72, 160, 420.0  # number, px, px per metre
BAKE_BIAS = 0.003  # metres
BAKE_CENTRE = np.array([0.0, 0.04, 0.05], np.float32)  # metres: the middle of head and shoulders
AMBIENT_GAIN = 1.12  # the open face reads as fully lit


@dataclass(frozen=True)
class ActorMesh:
    """A person's mesh: carriers (body and teeth) move with expressions, all vertices ride on them.

    Attributes:
        carriers: [C,3] neutral, metres, head axes. deltas: [52,C*3] metres.
        source: [V] carrier of each vertex; offset: [V,3] metres.
        follow: [V] 1 = turns with the head, 0 = stays with the body.
        arrays: what kernels read; casts: [F] bool, which triangles throw shadows.
        body: [B,3] the body's triangles; n_body: its vertices, the first ones.
        rest_crease: [n_body] the crease cue of the neutral head.
        eyes: vertices of the left and of the right eyeball.
    """

    carriers: Float32[np.ndarray, "C 3"]
    deltas: Float32[np.ndarray, "52 D"]
    source: Int32[np.ndarray, " V"]
    offset: Float32[np.ndarray, "V 3"]
    follow: Float32[np.ndarray, " V"]
    arrays: MeshArrays
    casts: Bool[np.ndarray, " F"]
    body: Int32[np.ndarray, "B 3"]
    n_body: int
    rest_crease: Float32[np.ndarray, " N"]
    eyes: tuple[Int32[np.ndarray, " E"], Int32[np.ndarray, " G"]]


def _lash_thresholds(model: FaceModel) -> Float32[np.ndarray, " V"]:
    """Density of the lash strips: dense at the lid, none at the tips."""
    threshold = np.zeros(len(model.base_vertices), np.float32)
    lashes = model.part_vertices(LASHES)
    for eye in (LEFT_EYE, RIGHT_EYE):
        centre = model.base_vertices[model.part_vertices(eye)].mean(axis=0)
        here = lashes[model.base_vertices[lashes, 0] * centre[0] > 0]
        distance = np.linalg.norm(model.base_vertices[here] - centre, axis=1)
        low, high = distance.min(), distance.max()
        tip = smoothstep(distance, low + 0.005, high * 0.82 + low * 0.18)
        threshold[here] = LASH_DENSITY * (1 - tip)
    return threshold


def _base_layer(model: FaceModel, surface: SurfaceMap) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(triangles, uv, part) of the face model without its own teeth and the lower lashes."""
    height = model.base_vertices[model.triangles][:, :, 1].mean(axis=1)
    keep = ~np.isin(model.part, (UPPER_TEETH, LOWER_TEETH))
    keep &= (model.part != LASHES) | (height > LOWER_LASH_HEIGHT)
    uv = surface.texels.copy()
    uv[model.part == LASHES] = model.uv[model.part == LASHES]
    return model.triangles[keep], uv[keep], model.part[keep]


def _rest_coordinates(model: FaceModel, source: np.ndarray) -> Float32[np.ndarray, "V 3"]:
    """Base coordinates of every vertex; on the eyes relative to the eyeball's centre; teeth: 0."""
    rest = model.base_vertices.copy()
    for eye in (LEFT_EYE, RIGHT_EYE):
        index = model.part_vertices(eye)
        rest[index] -= rest[index].mean(axis=0)
    extra = np.zeros((int(source.max()) + 1 - len(rest), 3), np.float32)
    return np.concatenate([rest, extra])[source]


def _directions() -> Float32[np.ndarray, "D 3"]:
    """Even directions (Fibonacci spiral) without those from straight below; y down."""
    k = np.arange(BAKE_DIRECTIONS) + 0.5
    polar, turn = np.arccos(1 - 2 * k / BAKE_DIRECTIONS), np.pi * (1 + 5**0.5) * k
    xyz = [np.cos(turn) * np.sin(polar), -np.cos(polar), np.sin(turn) * np.sin(polar)]
    directions = np.stack(xyz, axis=1).astype(np.float32)
    return directions[directions[:, 1] < 0.75]


def light_axes(direction: Float32[np.ndarray, "3"], scale: float) -> Float32[np.ndarray, "3 3"]:
    """Columns: two axes across a light (px per metre = scale) and the one towards it."""
    helper = np.array([0, 0, 1.0]) if abs(direction[2]) < 0.9 else np.array([0, 1.0, 0])
    first = np.cross(direction, helper)
    first /= np.linalg.norm(first)
    second = np.cross(direction, first)
    return np.stack([first * scale, second * scale, direction], axis=1).astype(np.float32)


def _bake_ambient(
    points: Float32[np.ndarray, "V 3"],
    triangles: Int32[np.ndarray, "F 3"],
    part: np.ndarray,
    casts: Bool[np.ndarray, " F"],
) -> Float32[np.ndarray, " V"]:
    """Share of the sky that each vertex of the neutral pose sees, cosine-weighted, 0..1."""
    normals = np.empty_like(points)
    vertex_normals(points, triangles, normals)
    depth = np.empty((BAKE_SIZE, BAKE_SIZE), np.float32)
    seen = np.empty(len(points), np.float32)
    total, weight = np.zeros(len(points)), np.zeros(len(points))
    for direction in _directions():
        across = (points - BAKE_CENTRE) @ light_axes(direction, BAKE_SCALE)
        across[:, :2] += BAKE_SIZE / 2
        light_depth(across, triangles, casts, depth)
        light_visibility(across, depth, BAKE_BIAS, seen)
        share = np.clip(normals @ direction, 0, 1) * (0.6 + 0.4 * max(-direction[1], 0.0))
        total += share * seen
        weight += share
    ambient = (total / np.maximum(weight, 1e-6)).astype(np.float32)
    hair = np.unique(triangles[(part == CURTAIN) | ((part >= FIRST_SHELL) & (part != FRAME))])
    ambient[hair] = 0.45 + 0.55 * ambient[hair]  # strands let light through
    return np.clip(ambient * AMBIENT_GAIN, 0, 1)


def _join(layers: list[Layer], first: int) -> tuple[np.ndarray, ...]:
    """Stack layers behind `first` vertices: triangles, uv, part, source, offset, threshold."""
    triangles, uv, part = [], [], []
    for layer in layers:
        triangles.append(layer.triangles + first)
        uv.append(layer.uv)
        part.append(np.full(len(layer.triangles), layer.part, np.uint8))
        first += len(layer.source)
    return (
        np.concatenate(triangles),
        np.concatenate(uv),
        np.concatenate(part),
        np.concatenate([layer.source for layer in layers]),
        np.concatenate([layer.offset for layer in layers]),
        np.concatenate([layer.threshold for layer in layers]),
    )


def _follow(
    model: FaceModel, source: np.ndarray, layers: list[Layer], first: int
) -> Float32[np.ndarray, " V"]:
    """How far every vertex turns with the head."""
    height = np.full(int(source.max()) + 1, 7.0, np.float32)  # teeth belong to the head
    base = model.base_vertices
    # The chin hangs lower than the top of the neck: what lies in front counts as higher
    height[: len(base)] = base[:, 1] + CHIN_RISE * np.clip(base[:, 2] - CHIN_FRONT, 0, 0.4)
    follow = smoothstep(height[source], NECK_STILL, NECK_TURNS).astype(np.float32)
    for layer in layers:
        if layer.follow is not None:
            follow[first : first + len(layer.source)] = layer.follow
        first += len(layer.source)
    return follow


def build_mesh(
    model: FaceModel,
    surface: SurfaceMap,
    identity: Identity,
    head: HeadShape,
    rng: np.random.Generator,
) -> ActorMesh:
    """Put a person together; `rng` is consumed in a fixed order."""
    n_body = len(head.vertices)
    teeth: Teeth = build_teeth(model, head)
    triangles, uv, part = _base_layer(model, surface)
    body = np.ascontiguousarray(triangles[part == BODY])
    normals = np.empty_like(head.vertices)
    vertex_normals(head.vertices, body, normals)
    layers = hair_shells(model, surface, identity, normals)
    layers.append(dress(model, surface, identity, normals))
    if identity.style == "long":
        layers.append(hair_curtain(model, surface, identity, head.vertices, rng))
    if identity.full_beard > 0:
        layers += beard_shells(model, surface, identity, normals)
    if identity.glasses != NO_GLASSES:
        layers.append(wear_glasses(model, surface, identity, head.vertices))
    first = n_body + len(teeth.points)
    joined = _join(layers, first)
    triangles = np.concatenate([triangles, teeth.triangles + n_body, joined[0]]).astype(np.int32)
    part = np.concatenate([part, teeth.part, joined[2]]).astype(np.uint8)
    source = np.concatenate([np.arange(first), joined[3]]).astype(np.int32)
    offset = np.concatenate([np.zeros((first, 3)), joined[4]]).astype(np.float32)
    threshold = np.zeros(first, np.float32)
    threshold[:n_body] = _lash_thresholds(model)
    carriers = np.concatenate([head.vertices, teeth.points]).astype(np.float32)
    own = model.expression_deltas * np.float32(head.scale / model.scale)
    deltas = np.concatenate([own, teeth.deltas], axis=1).reshape(len(own), -1)
    casts = (part <= LAST_OPAQUE_PART) | np.isin(
        part, (CURTAIN, CLOTH, SHADOW_SHELL, FRAME, FIRST_BEARD)
    )
    points = carriers[source] + offset
    attributes = np.zeros((len(source), 5), np.float32)
    attributes[:, 0] = _bake_ambient(points, triangles, part, casts)
    attributes[:, 2:] = _rest_coordinates(model, source)
    rest_crease = np.zeros(n_body, np.float32)
    total, count = np.zeros(n_body, np.float32), np.zeros(n_body, np.float32)
    creases(head.vertices, normals, body, total, count, rest_crease)
    arrays = MeshArrays(
        triangles=np.ascontiguousarray(triangles),
        part=part,
        uv=np.ascontiguousarray(np.concatenate([uv, teeth.texels, joined[1]]), dtype=np.float32),
        threshold=np.concatenate([threshold, joined[5]]).astype(np.float32),
        strands=strand_noise(identity.style, rng),
        attributes=attributes,
    )
    return ActorMesh(
        carriers=carriers,
        deltas=np.ascontiguousarray(deltas, dtype=np.float32),
        source=source,
        offset=offset,
        follow=_follow(model, source, layers, first),
        arrays=arrays,
        casts=casts,
        body=body,
        n_body=n_body,
        rest_crease=rest_crease,
        eyes=(model.part_vertices(LEFT_EYE), model.part_vertices(RIGHT_EYE)),
    )
