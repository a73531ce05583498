"""The FaceMesh surface: its triangles, its mirror symmetry and a symmetric canonical face.

Which landmarks are neighbours comes from the installed mediapipe package; where they lie on a face
at rest comes from the CC0 face model. Nothing of either is stored here.
"""

from __future__ import annotations

import importlib.util
from collections import Counter
from functools import lru_cache
from pathlib import Path

import numpy as np
from jaxtyping import Float, Int
from scipy.optimize import linear_sum_assignment

from emotalk_core.actor.face_model import landmark_basis
from emotalk_core.errors import BackendUnavailableError
from emotalk_core.types.lip_points import INNER_LIPS

N_LANDMARKS = 478  # 468 of the surface, then five of each iris
N_SURFACE = 468

# Rings round the eyes (the mouth's is INNER_LIPS), each from one corner round to it.
# fmt: off
RIGHT_EYE = (
    33, 7, 163, 144, 145, 153, 154, 155, 133, 173, 157, 158, 159, 160, 161, 246,
)
LEFT_EYE = (
    263, 249, 390, 373, 374, 380, 381, 382, 362, 398, 384, 385, 386, 387, 388, 466,
)
# fmt: on
NOSE_RIDGE = (4, 5)  # on the middle line of the face
VOTING_ROUNDS = 5  # two suffice for the packaged face
EDGES_FILE = "python/solutions/face_mesh_connections.py"

Triangle = tuple[int, int, int]


def _edges() -> frozenset[tuple[int, int]]:
    """Neighbouring landmarks, out of the installed package without importing all of it."""
    package = importlib.util.find_spec("mediapipe")
    if package is None or not package.submodule_search_locations:
        raise BackendUnavailableError(
            "package mediapipe=missing: the packaged landmark model needs it; run make install"
        )
    path = Path(package.submodule_search_locations[0]) / EDGES_FILE
    spec = importlib.util.spec_from_file_location("face_mesh_connections", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    edges: frozenset[tuple[int, int]] = module.FACEMESH_TESSELATION
    return edges


def _fill(ring: tuple[int, ...]) -> set[Triangle]:
    """Triangles that close a hole: a strip between the two halves of its ring."""
    half = len(ring) // 2
    low, high = ring[: half + 1], (ring[0], *reversed(ring[half:]))
    strip: set[Triangle] = set()
    for i in range(half):
        quad = (low[i], low[i + 1], high[i + 1], high[i])
        for corners in ((quad[0], quad[1], quad[2]), (quad[0], quad[2], quad[3])):
            if len(set(corners)) == 3:
                strip.add(corners)
    return strip


def _unoriented() -> list[Triangle]:
    """All triangles: triples of neighbours, and the closed holes."""
    near: dict[int, set[int]] = {}
    for a, b in _edges():
        near.setdefault(a, set()).add(b)
        near.setdefault(b, set()).add(a)
    cliques = {tuple(sorted((a, b, c))) for a in near for b in near[a] for c in near[a] & near[b]}
    holes = {tuple(sorted(t)) for ring in (INNER_LIPS, RIGHT_EYE, LEFT_EYE) for t in _fill(ring)}
    every = sorted((t[0], t[1], t[2]) for t in cliques | holes)
    by_edge = _by_edge(every)
    # Three neighbours round a fourth point (beside the nostrils) are no face of the surface.
    return [t for t in every if any(len(by_edge[e]) <= 2 for e in _sides(t))]


def _sides(triangle: Triangle) -> tuple[frozenset[int], ...]:
    a, b, c = triangle
    return frozenset((a, b)), frozenset((b, c)), frozenset((c, a))


def _by_edge(triangles: list[Triangle]) -> dict[frozenset[int], list[Triangle]]:
    table: dict[frozenset[int], list[Triangle]] = {}
    for triangle in triangles:
        for edge in _sides(triangle):
            table.setdefault(edge, []).append(triangle)
    return table


def _third(triangle: Triangle, edge: frozenset[int]) -> int:
    (corner,) = set(triangle) - edge
    return corner


@lru_cache(maxsize=1)
def mirrored_surface() -> tuple[int, ...]:
    """Landmark -> its mirror image, for the 468 surface points.

    The face at rest gives a first pairing, right but for crowded points; then every triangle whose
    edge has a mirror image votes for the image of its third corner (a few diagonals of the mesh
    run the other way on the other side and are outvoted).
    """
    face = _rest_face()
    flipped = face * [-1.0, 1.0, 1.0]
    pair = linear_sum_assignment(np.linalg.norm(face[:, None] - flipped[None], axis=2))[1]
    triangles = [t for t in _unoriented() if not _in_a_hole(t)]
    by_edge = _by_edge(triangles)
    for _ in range(VOTING_ROUNDS):
        votes = [Counter({int(image): 1}) for image in pair]
        for triangle in triangles:
            for edge in _sides(triangle):
                image = frozenset(int(pair[i]) for i in edge)
                votes[_third(triangle, edge)].update(
                    _third(t, image) for t in by_edge.get(image, ()) if len(image) == 2
                )
        # an edge on the middle line offers both sides: the nearer candidate of equal votes wins
        pair = np.array(
            [
                min(v, key=lambda j: (-v[j], float(np.linalg.norm(face[i] - flipped[j]))))
                for i, v in enumerate(votes)
            ]
        )
    return tuple(int(i) for i in pair)


def _in_a_hole(triangle: Triangle) -> bool:
    return any(set(triangle) <= set(ring) for ring in (INNER_LIPS, RIGHT_EYE, LEFT_EYE))


def _rest_face() -> Float[np.ndarray, "468 3"]:
    """Surface landmarks of the CC0 face model at rest, its middle at x = 0."""
    face = np.asarray(landmark_basis()[0], dtype=np.float64)[:N_SURFACE]
    ridge = face[list(NOSE_RIDGE), 0].mean()
    return face - [ridge, 0.0, 0.0]


@lru_cache(maxsize=1)
def _canonical() -> Float[np.ndarray, "468 3"]:
    face = _rest_face()
    return (face + face[list(mirrored_surface())] * [-1.0, 1.0, 1.0]) / 2


def canonical_face() -> Float[np.ndarray, "468 3"]:
    """The CC0 face model's landmarks at rest, made symmetric; metres, x right, y down, z away."""
    return _canonical().copy()


@lru_cache(maxsize=1)
def _triangles() -> Int[np.ndarray, "F 3"]:
    """Orientation spreads over shared edges from one triangle on the forehead."""
    triangles = _unoriented()
    by_edge = _by_edge(triangles)
    face = _canonical()
    first = next(t for t in triangles if 151 in t)  # 151: middle of the forehead
    a, b, c = first
    outward = np.cross(face[b] - face[a], face[c] - face[a])[2] < 0  # towards the camera
    oriented: dict[Triangle, Triangle] = {first: first if outward else (a, c, b)}
    todo = [first]
    while todo:
        done = todo.pop()
        x, y, z = oriented[done]
        for u, v in ((x, y), (y, z), (z, x)):
            for beside in by_edge[frozenset((u, v))]:
                if beside not in oriented:
                    oriented[beside] = (v, u, _third(beside, frozenset((u, v))))
                    todo.append(beside)
    return np.array([oriented[t] for t in triangles])


def surface_triangles() -> Int[np.ndarray, "F 3"]:
    """Triangles of the surface with the eyes and the inside of the mouth closed, outward winding.

    Outward: (b-a) x (c-a) points away from the head in a right-handed frame.
    """
    return _triangles().copy()
