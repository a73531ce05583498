"""Visibility kernel: screen vertices in, nearest triangle and inverse depth per sample out."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit

from emotalk_core.actor.face_model import LASHES
from emotalk_core.actor.hair import N_SHELLS
from emotalk_core.actor.kernels import INNER, LAST_OPAQUE_PART, OPTIONS
from emotalk_core.actor.layers import CLOTH, CURTAIN, FIRST_BEARD, FIRST_SHELL, FRAME, N_BEARD

NEAREST = 0.05  # metres: triangles closer to the camera are dropped whole


class MeshArrays(NamedTuple):
    """The arrays of a mesh that kernels read.

    triangles [F,3] int32; part [F] uint8; uv [F,3,2] float32 (px of the atlas; 0..1 on hair and
    lashes); threshold [V] float32; strands [S,S] float32 in 0..1; attributes [V,5] float32: ambient
    visibility, change of the crease cue, three rest coordinates (base dm; eyes: from their centre).
    """

    triangles: np.ndarray
    part: np.ndarray
    uv: np.ndarray
    threshold: np.ndarray
    strands: np.ndarray
    attributes: np.ndarray


@njit(**INNER)
def strand_at(strands, part, tu, tv):
    """Strand noise at a place of a lash, curtain or shell."""
    size = strands.shape[0]
    if part == LASHES:
        return strands[int(abs(tu) * 9000) % size, int(abs(tv) * 90) % size]
    if part == CURTAIN:
        return strands[int(abs(tu) * size * 1.2) % size, int(abs(tv) * 140) % size]
    return strands[int(abs(tv) * size) % size, int(abs(tu) * size) % size]


@njit(**INNER)
def is_hole(mesh, t, part, q, r, s):
    """True where a cut-out part (lash, hair, cloth) has no material at the weights q, r, s."""
    if part == FRAME:
        return False
    a, b, c = mesh.triangles[t, 0], mesh.triangles[t, 1], mesh.triangles[t, 2]
    threshold = mesh.threshold[a] * q + mesh.threshold[b] * r + mesh.threshold[c] * s
    if part == CLOTH:
        return threshold < 0
    if part == CURTAIN and threshold < 0:
        return True
    tu = mesh.uv[t, 0, 0] * q + mesh.uv[t, 1, 0] * r + mesh.uv[t, 2, 0] * s
    tv = mesh.uv[t, 0, 1] * q + mesh.uv[t, 1, 1] * r + mesh.uv[t, 2, 1] * s
    noise = strand_at(mesh.strands, part, tu, tv)
    if part == LASHES:
        return noise > threshold
    if part == CURTAIN:
        return noise > threshold * 6
    if part >= FIRST_BEARD:
        layer = (part - FIRST_BEARD) / N_BEARD
    else:
        layer = (part - FIRST_SHELL) / N_SHELLS
    return noise > threshold * (1.15 - layer) * 1.25


@njit(**OPTIONS)
def rasterize(screen, mesh, triangle_id, inverse_depth):
    """Fill the buffers of samples (pixel centres at +0.5).

    Args:
        screen: [V,3] x px, y px, z metres.
        mesh: `MeshArrays`.
        triangle_id: [H,W] int32, overwritten, -1 = background.
        inverse_depth: [H,W] float32, overwritten, 1/metre.
    """
    triangle_id[:] = -1
    inverse_depth[:] = 0
    for t in range(mesh.triangles.shape[0]):
        a, b, c = mesh.triangles[t, 0], mesh.triangles[t, 1], mesh.triangles[t, 2]
        ax, ay, az = screen[a, 0], screen[a, 1], screen[a, 2]
        bx, by, bz = screen[b, 0], screen[b, 1], screen[b, 2]
        cx, cy, cz = screen[c, 0], screen[c, 1], screen[c, 2]
        if az < NEAREST or bz < NEAREST or cz < NEAREST:
            continue
        area = (by - cy) * (ax - cx) + (cx - bx) * (ay - cy)
        closed = mesh.part[t] <= LAST_OPAQUE_PART
        if abs(area) < 1e-9 or (closed and area > 0):
            continue  # back faces of closed parts are never seen
        corners = (ax, ay, az, bx, by, bz, cx, cy, cz)
        _fill(corners, area, t, mesh, triangle_id, inverse_depth)


@njit(**INNER)
def _fill(corners, area, t, mesh, triangle_id, inverse_depth):
    """Samples of one triangle; the weights change by a constant from sample to sample."""
    height, width = triangle_id.shape
    part = mesh.part[t]
    ax, ay, az, bx, by, bz, cx, cy, cz = corners
    x0 = max(0, int(np.ceil(min(ax, bx, cx) - 0.5)))
    x1 = min(width - 1, int(np.floor(max(ax, bx, cx) - 0.5)))
    y0 = max(0, int(np.ceil(min(ay, by, cy) - 0.5)))
    y1 = min(height - 1, int(np.floor(max(ay, by, cy) - 0.5)))
    ux, uy = (by - cy) / area, (cx - bx) / area
    vx, vy = (cy - ay) / area, (ax - cx) / area
    za, zb, zc = 1 / az, 1 / bz, 1 / cz
    for y in range(y0, y1 + 1):
        py = y + 0.5 - cy
        for x in range(x0, x1 + 1):
            px = x + 0.5 - cx
            u = ux * px + uy * py
            v = vx * px + vy * py
            w = 1 - u - v
            if u < 0 or v < 0 or w < 0:
                continue
            near = u * za + v * zb + w * zc
            if near <= inverse_depth[y, x]:
                continue
            if part > LAST_OPAQUE_PART:
                q, r = u * za / near, v * zb / near
                if is_hole(mesh, t, part, q, r, 1 - q - r):
                    continue
            inverse_depth[y, x] = near
            triangle_id[y, x] = t
