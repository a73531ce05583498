"""From a person, an expression and a pose to a picture with labels, normals, landmarks."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from jaxtyping import Float32, UInt8

from emotalk_core.actor.background import paint_background
from emotalk_core.actor.face_model import load_face_model
from emotalk_core.actor.identity import (
    HAIR_COLOURS,
    IRIS_COLOURS,
    SKIN_TONES,
    Identity,
    identity_head,
)
from emotalk_core.actor.kernels import EMPTY, creases, light_depth, vertex_normals
from emotalk_core.actor.lighting import random_lights
from emotalk_core.actor.mesh import build_mesh, light_axes
from emotalk_core.actor.paint_tools import to_linear
from emotalk_core.actor.painting import paint_person
from emotalk_core.actor.pose import Pose, camera_offset, project, to_camera
from emotalk_core.actor.raster import rasterize
from emotalk_core.actor.shading import (
    SAMPLES,
    SCREEN,
    FrameState,
    PaintArrays,
    Targets,
    shade,
    tone_table,
)
from emotalk_core.actor.surface_map import load_surface_map
from emotalk_core.actor.wrinkles import wrinkle_depths

SHADOW_SIZE, SHADOW_SCALE = 256, 560.0  # px, px per metre: covers head and shoulders
SHADOW_BLUR = 1.3  # px of the shadow map: a softbox' penumbra
SHADOW_FAR = -0.35  # metres towards the light: depth of "nothing" in the map
SHADOW_CENTRE = np.array([0.0, 0.05, 0.0])  # metres from the head's origin
HALF_TEXTURE_SIZE = 640  # px: up to this size a texel of half the resolution is below a pixel
CREASE_REST = 0.02  # change of the crease cue that is still no fold
FULL_OPENING = 0.014  # metres between the lips at which the mouth is fully lit
INNER_LIPS = (13, 14)
# Hair and irises are seen in thin layers that pass light on: brighter than their albedo
HAIR_GAIN, IRIS_GAIN = 1.6, 1.6


@dataclass(frozen=True)
class Rendered:
    """One picture and its truth.

    Attributes:
        rgb: [S,S,3]. labels: [S,S] numbers of `types.regions`.
        normals: [S,S,3] camera axes, unit, 0 on the background; depth: [S,S] metres, 0 there.
        landmarks: [478,2] px; landmarks_camera: [478,3] metres, camera axes.
        landmarks_head: [478,3] metres, head axes (with the expression).
    """

    rgb: UInt8[np.ndarray, "S S 3"]
    labels: UInt8[np.ndarray, "S S"]
    normals: Float32[np.ndarray, "S S 3"]
    depth: Float32[np.ndarray, "S S"]
    landmarks: Float32[np.ndarray, "478 2"]
    landmarks_camera: Float32[np.ndarray, "478 3"]
    landmarks_head: Float32[np.ndarray, "478 3"]


class Actor:
    """A person in a room, ready to be rendered; building takes about a second."""

    def __init__(self, identity: Identity, size: int) -> None:
        self.identity, self.size = identity, size
        self._model, surface = load_face_model(), load_surface_map()
        # One generator for everything that is painted: its own stream, apart from the identity's
        rng = np.random.default_rng([identity.seed, 1])
        head = identity_head(self._model, identity)
        self._mesh = build_mesh(self._model, surface, identity, head, rng)
        paint = paint_person(identity, surface, rng)
        texture = paint.texture
        if size <= HALF_TEXTURE_SIZE:
            half = (texture.shape[1] // 2, texture.shape[0] // 2)
            texture = cv2.resize(texture, half, interpolation=cv2.INTER_AREA)
        self._paint = PaintArrays(
            texture=texture,
            texture_scale=texture.shape[0] / paint.texture.shape[0],
            labels=paint.labels,
            wrinkles=paint.wrinkles,
            iris=to_linear(IRIS_COLOURS[identity.iris]) * np.float32(IRIS_GAIN),
            hair=to_linear(HAIR_COLOURS[identity.hair]) * np.float32(HAIR_GAIN),
            gloss=paint.gloss,
            frame=to_linear(identity.frame_colour),
        )
        self._background = paint_background(size, rng)
        self._lights = random_lights(rng, float(to_linear(SKIN_TONES[identity.skin]).mean()))
        self._tones = tone_table()
        side = size * SAMPLES
        self._triangle_id = np.empty((side, side), np.int32)
        self._inverse_depth = np.empty((side, side), np.float32)

    @property
    def expression_names(self) -> tuple[str, ...]:
        """Names of the 52 weights, in order."""
        return self._model.expression_names

    def _carriers(self, expression: Float32[np.ndarray, " 52"]) -> Float32[np.ndarray, "C 3"]:
        """Body and teeth with an expression, metres, head axes."""
        active = np.flatnonzero(expression)
        moved = self._mesh.carriers.reshape(-1).copy()
        for index in active:  # a fixed order of sums: the same bytes on every machine
            moved += expression[index] * self._mesh.deltas[index]
        return moved.reshape(-1, 3)

    def _fold(self, points: np.ndarray, normals: np.ndarray) -> None:
        """Update the attributes: how much deeper than at rest each vertex is folded."""
        n = self._mesh.n_body
        total, count = np.empty(n, np.float32), np.empty(n, np.float32)
        now = np.empty(n, np.float32)
        creases(points[:n], normals[:n], self._mesh.body, total, count, now)
        change = now - self._mesh.rest_crease - CREASE_REST
        self._mesh.arrays.attributes[:n, 1] = np.clip(change, -0.5, 1)

    def _shadow_map(self, points: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """(moments [S,S,2], axes [3,3], origin [3]) of depth towards the key light."""
        axes = light_axes(self._lights.directions[0], SHADOW_SCALE)
        origin = (camera_offset() + SHADOW_CENTRE).astype(np.float32)
        across = (points - origin) @ axes
        across[:, :2] += SHADOW_SIZE / 2
        depth = np.empty((SHADOW_SIZE, SHADOW_SIZE), np.float32)
        light_depth(across, self._mesh.arrays.triangles, self._mesh.casts, depth)
        depth[depth == EMPTY] = SHADOW_FAR
        moments = np.stack([depth, depth * depth], axis=-1)
        blurred = cv2.GaussianBlur(moments, (0, 0), SHADOW_BLUR)
        return np.ascontiguousarray(blurred), axes, origin

    def _state(self, expression: np.ndarray, carriers: np.ndarray, pose: Pose) -> FrameState:
        """Everything that the kernels need to know about one frame."""
        mesh = self._mesh
        rest = carriers[mesh.source] + mesh.offset
        points = to_camera(rest, mesh.follow, pose)
        normals = np.empty_like(points)
        vertex_normals(points, mesh.arrays.triangles, normals)
        self._fold(points, normals)
        shadow, axes, origin = self._shadow_map(points)
        lips = self._model.on_surface(carriers[: mesh.n_body])[list(INNER_LIPS), 1]
        opening = float(lips[1] - lips[0]) / FULL_OPENING
        return FrameState(
            vertices=np.concatenate(
                [points, normals, project(points, self.size, SAMPLES), mesh.arrays.attributes],
                axis=1,
            ),
            eyes=np.stack([points[eye].mean(axis=0) for eye in mesh.eyes]),
            wrinkle_depths=wrinkle_depths(
                expression, self._model.expression_names, self.identity.age
            ),
            inner_light=float(np.clip(0.12 + 0.88 * opening, 0.12, 1.0)),
            shadow=shadow,
            shadow_axes=axes,
            shadow_origin=origin,
        )

    def render(self, expression: Float32[np.ndarray, " 52"], pose: Pose) -> Rendered:
        """Draw one frame.

        Args:
            expression: weights of `expression_names`, clipped to 0..1.
            pose: of head and torso.
        """
        weights = np.clip(np.asarray(expression, np.float32), 0, 1)
        carriers = self._carriers(weights)
        state = self._state(weights, carriers, pose)
        rasterize(
            np.ascontiguousarray(state.vertices[:, SCREEN : SCREEN + 3]),
            self._mesh.arrays,
            self._triangle_id,
            self._inverse_depth,
        )
        side = self.size
        targets = Targets(
            rgb=np.empty((side, side, 3), np.uint8),
            labels=np.empty((side, side), np.uint8),
            normals=np.empty((side, side, 3), np.float32),
            depth=np.empty((side, side), np.float32),
        )
        shade(
            self._mesh.arrays,
            self._paint,
            state,
            self._lights.directions,
            self._lights.colours,
            self._background,
            self._tones,
            self._triangle_id,
            self._inverse_depth,
            targets,
        )
        n = self._mesh.n_body
        on_face = self._model.on_surface(np.ascontiguousarray(state.vertices[:n, :3]))
        return Rendered(
            rgb=targets.rgb,
            labels=targets.labels,
            normals=targets.normals,
            depth=targets.depth,
            landmarks=np.ascontiguousarray(project(on_face, side)[:, :2]),
            landmarks_camera=on_face,
            landmarks_head=self._model.on_surface(carriers[:n]),
        )
