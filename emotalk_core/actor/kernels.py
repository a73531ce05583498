"""Numba kernels over the mesh: normals, creases, light-space depth, visibility, texture fill."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

# No fastmath anywhere in the actor: its pixels are compared by sha256 between machines' builds.
OPTIONS: dict[str, Any] = {"cache": True, "error_model": "numpy"}
INNER = {
    **OPTIONS,
    "forceinline": True,
}
EMPTY = -1e9  # depth of a light-space pixel that nothing covers
LAST_OPAQUE_PART = 5  # body, eyes, teeth, tongue: closed and without holes


@njit(**OPTIONS)
def vertex_normals(points, triangles, normals):
    """Area-weighted unit normals [V,3] of points [V,3], written into `normals`."""
    normals[:] = 0
    for t in range(triangles.shape[0]):
        a, b, c = triangles[t, 0], triangles[t, 1], triangles[t, 2]
        ux = points[b, 0] - points[a, 0]
        uy = points[b, 1] - points[a, 1]
        uz = points[b, 2] - points[a, 2]
        vx = points[c, 0] - points[a, 0]
        vy = points[c, 1] - points[a, 1]
        vz = points[c, 2] - points[a, 2]
        x, y, z = uy * vz - uz * vy, uz * vx - ux * vz, ux * vy - uy * vx
        for k in (a, b, c):
            normals[k, 0] += x
            normals[k, 1] += y
            normals[k, 2] += z
    for i in range(normals.shape[0]):
        x, y, z = normals[i, 0], normals[i, 1], normals[i, 2]
        length = 1 / (np.sqrt(x * x + y * y + z * z) + 1e-20)
        normals[i, 0] = x * length
        normals[i, 1] = y * length
        normals[i, 2] = z * length


@njit(**OPTIONS)
def creases(points, normals, triangles, total, count, out):
    """A cue of mean curvature per vertex: > 0 where the neighbours lie above the tangent plane."""
    total[:] = 0
    count[:] = 0
    for t in range(triangles.shape[0]):
        for k in range(3):
            i, j = triangles[t, k], triangles[t, (k + 1) % 3]
            dx = points[j, 0] - points[i, 0]
            dy = points[j, 1] - points[i, 1]
            dz = points[j, 2] - points[i, 2]
            length = np.sqrt(dx * dx + dy * dy + dz * dz) + 1e-9
            total[i] += (dx * normals[i, 0] + dy * normals[i, 1] + dz * normals[i, 2]) / length
            total[j] -= (dx * normals[j, 0] + dy * normals[j, 1] + dz * normals[j, 2]) / length
            count[i] += 1
            count[j] += 1
    for i in range(out.shape[0]):
        out[i] = total[i] / max(count[i], 1)


@njit(**OPTIONS)
def light_depth(points, triangles, casts, depth):
    """Orthographic depth map seen from a light: larger z is nearer to it.

    Args:
        points: [V,3] pixels of the map (x, y) and distance towards the light.
        triangles: [F,3].
        casts: [F] bool, which triangles throw shadows.
        depth: [S,S], overwritten; `EMPTY` where nothing is.
    """
    depth[:] = EMPTY
    height, width = depth.shape
    for t in range(triangles.shape[0]):
        if not casts[t]:
            continue
        a, b, c = points[triangles[t, 0]], points[triangles[t, 1]], points[triangles[t, 2]]
        area = (b[1] - c[1]) * (a[0] - c[0]) + (c[0] - b[0]) * (a[1] - c[1])
        if abs(area) < 1e-9:
            continue
        x0 = max(0, int(np.ceil(min(a[0], b[0], c[0]) - 0.5)))
        x1 = min(width - 1, int(np.floor(max(a[0], b[0], c[0]) - 0.5)))
        y0 = max(0, int(np.ceil(min(a[1], b[1], c[1]) - 0.5)))
        y1 = min(height - 1, int(np.floor(max(a[1], b[1], c[1]) - 0.5)))
        inverse = 1 / area
        for y in range(y0, y1 + 1):
            for x in range(x0, x1 + 1):
                px, py = x + 0.5 - c[0], y + 0.5 - c[1]
                u = ((b[1] - c[1]) * px + (c[0] - b[0]) * py) * inverse
                v = ((c[1] - a[1]) * px + (a[0] - c[0]) * py) * inverse
                if u < 0 or v < 0 or u + v > 1:
                    continue
                z = u * a[2] + v * b[2] + (1 - u - v) * c[2]
                if z > depth[y, x]:
                    depth[y, x] = z


@njit(**OPTIONS)
def light_visibility(points, depth, bias, out):
    """1 where a vertex sees the light of a depth map, falling to 0 over `bias` behind it; [V]."""
    size = depth.shape[0]
    for i in range(out.shape[0]):
        x, y = int(points[i, 0]), int(points[i, 1])
        if x < 0 or y < 0 or x >= size or y >= size:
            out[i] = 1.0
        else:
            behind = depth[y, x] - points[i, 2]
            out[i] = 1.0 if behind < bias else max(0.0, 1 - (behind - bias) / bias)


@njit(**OPTIONS)
def fill_texture(texels, values, covered, out):
    """Interpolate corner values over the texture: the table "texel -> position on the mesh".

    Args:
        texels: [F,3,2] px.
        values: [F,3,3].
        covered: [H,W] bool, written.
        out: [H,W,3], written where covered.
    """
    height, width = covered.shape
    for t in range(texels.shape[0]):
        a, b, c = texels[t, 0], texels[t, 1], texels[t, 2]
        area = (b[1] - c[1]) * (a[0] - c[0]) + (c[0] - b[0]) * (a[1] - c[1])
        if abs(area) < 1e-9:
            continue
        x0 = max(0, int(np.ceil(min(a[0], b[0], c[0]) - 0.5)))
        x1 = min(width - 1, int(np.floor(max(a[0], b[0], c[0]) - 0.5)))
        y0 = max(0, int(np.ceil(min(a[1], b[1], c[1]) - 0.5)))
        y1 = min(height - 1, int(np.floor(max(a[1], b[1], c[1]) - 0.5)))
        inverse = 1 / area
        for y in range(y0, y1 + 1):
            for x in range(x0, x1 + 1):
                px, py = x + 0.5 - c[0], y + 0.5 - c[1]
                u = ((b[1] - c[1]) * px + (c[0] - b[0]) * py) * inverse
                v = ((c[1] - a[1]) * px + (a[0] - c[0]) * py) * inverse
                if u < 0 or v < 0 or u + v > 1:
                    continue
                covered[y, x] = True
                for k in range(3):
                    out[y, x, k] = u * values[t, 0, k] + v * values[t, 1, k]
                    out[y, x, k] += (1 - u - v) * values[t, 2, k]
