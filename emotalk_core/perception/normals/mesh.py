"""A camera-space surface in; smooth normals for every covered pixel out."""

from __future__ import annotations

import numba
import numpy as np
from jaxtyping import Bool, Float, Float32, Int

from emotalk_core.perception.regions.filters import bounding_box

EDGE = 1e-6  # barycentric slack: pixels on a shared edge belong to one of the triangles


def vertex_normals(
    points: Float[np.ndarray, "V 3"], triangles: Int[np.ndarray, "F 3"]
) -> Float[np.ndarray, "V 3"]:
    """Unit normals on the winding's side, area-weighted over the triangles around a vertex.

    Args:
        points: camera space (x right, y down, z forward).
        triangles: corners; outward winding gives outward normals.
    """
    a, b, c = points[triangles].transpose(1, 0, 2)
    faces = np.cross(b - a, c - a)
    normals = np.stack(
        [
            sum(np.bincount(corner, faces[:, axis], len(points)) for corner in triangles.T)
            for axis in range(3)
        ],
        axis=1,
    )
    return normals / (np.linalg.norm(normals, axis=1, keepdims=True) + 1e-12)


def interpolate_normals(
    pixels: Float[np.ndarray, "V 2"],
    depth: Float[np.ndarray, " V"],
    normals: Float[np.ndarray, "V 3"],
    triangles: Int[np.ndarray, "F 3"],
    wanted: Bool[np.ndarray, "H W"],
) -> Float32[np.ndarray, "H W 3"]:
    """Normals interpolated over the mesh, unit length, zero where no triangle covers a pixel.

    Args:
        pixels: projected vertices, px (pixel centres at +0.5).
        depth: camera-space z of the vertices: the nearest triangle wins.
        normals: of the vertices.
        triangles: corners, outward winding: those that turn away are not looked at.
        wanted: pixels that are asked for; the others stay zero.
    """
    found = np.zeros((*wanted.shape, 3), np.float32)
    if wanted.any():
        rows, columns = box = bounding_box(wanted)
        nearest = np.full(wanted[box].shape, np.inf)
        origin = np.array([columns.start, rows.start]) + 0.5
        _raster(pixels - origin, depth, normals, triangles, wanted[box], found[box], nearest)
        _to_unit_length(found[box])
    return found


@numba.njit(cache=True, nogil=True)
def _to_unit_length(canvas: np.ndarray) -> None:
    """In place; zeros stay."""
    for y in range(canvas.shape[0]):
        for x in range(canvas.shape[1]):
            a, b, c = canvas[y, x]
            length = np.sqrt(a * a + b * b + c * c)
            if length > 0:
                canvas[y, x, 0] = a / length
                canvas[y, x, 1] = b / length
                canvas[y, x, 2] = c / length


@numba.njit(cache=True, nogil=True)
def _raster(
    pixels: np.ndarray,
    depth: np.ndarray,
    normals: np.ndarray,
    triangles: np.ndarray,
    wanted: np.ndarray,
    canvas: np.ndarray,
    nearest: np.ndarray,
) -> None:
    """Fill `canvas` with interpolated normals by a depth buffer, in place."""
    height, width = nearest.shape
    for t in range(triangles.shape[0]):
        i, j, k = triangles[t]
        x0, y0 = pixels[i]
        x1, y1 = pixels[j]
        x2, y2 = pixels[k]
        area = (x1 - x0) * (y2 - y0) - (x2 - x0) * (y1 - y0)
        if area > -1e-9:  # turns away from the camera, or is seen from its edge
            continue
        inverse = 1.0 / area
        left, right = max(int(np.floor(min(x0, x1, x2))), 0), int(np.ceil(max(x0, x1, x2)))
        top, bottom = max(int(np.floor(min(y0, y1, y2))), 0), int(np.ceil(max(y0, y1, y2)))
        for y in range(top, min(bottom, height - 1) + 1):
            for x in range(left, min(right, width - 1) + 1):
                u = ((x1 - x) * (y2 - y) - (x2 - x) * (y1 - y)) * inverse
                if u < -EDGE or not wanted[y, x]:
                    continue
                v = ((x2 - x) * (y0 - y) - (x0 - x) * (y2 - y)) * inverse
                w = 1.0 - u - v
                if v < -EDGE or w < -EDGE:
                    continue
                z = u * depth[i] + v * depth[j] + w * depth[k]
                if z < nearest[y, x]:
                    nearest[y, x] = z
                    for channel in range(3):
                        canvas[y, x, channel] = (
                            u * normals[i, channel]
                            + v * normals[j, channel]
                            + w * normals[k, channel]
                        )
