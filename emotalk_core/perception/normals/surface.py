"""The CC0 head as a fine surface that 468 landmarks bend: a fixed matrix from points to vertices.

The landmark mesh is coarse (no nostrils, flat eye sockets) and ends below the hairline. The face
model's head has ten times the vertices; bent by the landmarks it keeps its own shape where they say
nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from jaxtyping import Float, Float32, Int
from scipy.spatial.distance import cdist
from threadpoolctl import threadpool_limits

from emotalk_core.actor.face_model import BODY, LEFT_EYE, RIGHT_EYE, load_face_model
from emotalk_core.perception.landmarks.topology import N_SURFACE, rigid_points

REACH = 0.1  # metres: how far a landmark's own displacement bends the surface around it
NECK_END = 0.2  # metres below the head's origin: what lies lower is never looked at
# The surface is tied to the landmarks with the mouth a little open: with closed lips the points of
# both lips fall together and could not be pulled apart.
OPEN_JAW = 0.2
MOVING_WEIGHT = 0.05  # of points that expressions move: the jaw may not stretch the skull


@dataclass(frozen=True)
class HeadSurface:
    """A surface that landmarks bend.

    Attributes:
        triangles: [F,3], outward winding. weights: [V,468]; rows sum to 1: any affine motion of the
            landmarks is the surface's too.
    """

    triangles: Int[np.ndarray, "F 3"]
    weights: Float32[np.ndarray, "V 468"]

    def bend(self, points: Float[np.ndarray, "468 3"]) -> Float[np.ndarray, "V 3"]:
        """Vertices for these landmarks, in their axes and unit."""
        # around their middle single precision is far finer than the landmarks
        middle = points.mean(axis=0)
        return self.weights @ (points - middle).astype(np.float32) + middle


@lru_cache(maxsize=2)
@threadpool_limits.wrap(limits=1)  # more round by their number
def head_surface(stiffness: float) -> HeadSurface:
    """Skin and eyeballs of the face model's head, tied to its landmarks.

    Args:
        stiffness: see `NormalSettings`.
    """
    model = load_face_model()
    opening = model.expression_deltas[model.expression_names.index("jawOpen")]
    shape = model.vertices + np.float32(OPEN_JAW) * opening
    landmarks = model.on_surface(shape)[:N_SURFACE].astype(np.float64)
    triangles = model.triangles[np.isin(model.part, (BODY, LEFT_EYE, RIGHT_EYE))]
    triangles = triangles[(shape[triangles, 1] < NECK_END).all(axis=1)]
    used, flat = np.unique(triangles, return_inverse=True)
    vertices = shape[used].astype(np.float64)
    ties = _ties(vertices, landmarks, stiffness)
    return HeadSurface(flat.reshape(-1, 3), ties.astype(np.float32))


def _ties(
    vertices: Float[np.ndarray, "V 3"], landmarks: Float[np.ndarray, "468 3"], stiffness: float
) -> Float[np.ndarray, "V 468"]:
    """Best affine motion of all landmarks, then smoothed interpolation of what it leaves."""
    ones = np.ones((len(landmarks), 1))
    base = np.concatenate([landmarks, ones], axis=1)
    trust = np.full(len(landmarks), MOVING_WEIGHT)
    trust[list(rigid_points())] = 1
    affine = np.linalg.pinv(base * trust[:, None]) * trust
    rest = np.eye(len(landmarks)) - base @ affine
    kernel = np.exp(-cdist(landmarks, landmarks) / REACH) + stiffness * np.eye(len(landmarks))
    near = np.exp(-cdist(vertices, landmarks) / REACH)
    place = np.concatenate([vertices, np.ones((len(vertices), 1))], axis=1)
    return place @ affine + near @ np.linalg.solve(kernel, rest)
