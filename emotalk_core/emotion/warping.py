"""Carry what belongs to a frame (colours, labels, normals) along the flow of its edit."""

from __future__ import annotations

import cv2
import numpy as np
from jaxtyping import Float, UInt8

# normal code of docs/artifacts.md: round((n * 0.5 + 0.5) * 255), (0,0,0) where there is none
_HALF = 127.5
MAX_SLOPE = 6.0  # tan of the steepest surface kept while re-tilting (80 degrees): edges stay finite


def sample_positions(
    flow: Float[np.ndarray, "H W 2"],
) -> tuple[Float[np.ndarray, "H W"], Float[np.ndarray, "H W"]]:
    """Source position (x, y) of every output pixel, as pixel indices for cv2.remap."""
    height, width = flow.shape[:2]
    xs = flow[..., 0] + np.arange(width, dtype=np.float32)
    ys = flow[..., 1] + np.arange(height, dtype=np.float32)[:, None]
    return xs, ys


def warp_image(
    image: UInt8[np.ndarray, "H W 3"], flow: Float[np.ndarray, "H W 2"]
) -> UInt8[np.ndarray, "H W 3"]:
    """Colours along the flow, cubic."""
    xs, ys = sample_positions(flow)
    return cv2.remap(image, xs, ys, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)


def warp_labels(
    labels: UInt8[np.ndarray, "H W"], flow: Float[np.ndarray, "H W 2"]
) -> UInt8[np.ndarray, "H W"]:
    """Labels along the flow, nearest: no label that was not there appears."""
    xs, ys = sample_positions(flow)
    return cv2.remap(labels, xs, ys, cv2.INTER_NEAREST, borderMode=cv2.BORDER_REPLICATE)


def warp_normals(
    normals: UInt8[np.ndarray, "H W 3"],
    flow: Float[np.ndarray, "H W 2"],
    depth: Float[np.ndarray, "H W"],
    smoothing: float,
) -> UInt8[np.ndarray, "H W 3"]:
    """Coded normals along the flow, tilted as the surface under them was stretched and lifted.

    A surface z(x, y) seen through the backward map p -> p + f(p) and lifted by d has the slope
    grad z'(p) = (I + grad f)^T grad z(p + f) + grad d, and normals are (z_x, z_y, -1) normalised
    (towards the camera, OpenCV axes, weak perspective).

    Args:
        normals: coded camera-space unit normals, (0,0,0) where there is none.
        flow: backward flow, px.
        depth: shift away from the camera, px.
        smoothing: sigma of the blur of flow and depth before their slopes are taken, px: the tilt
            is that of the skin's patches, not of the ripples between neighbouring landmarks.
    """
    xs, ys = sample_positions(flow)
    result = cv2.remap(normals, xs, ys, cv2.INTER_NEAREST, borderMode=cv2.BORDER_REPLICATE)
    present = np.bitwise_or(np.bitwise_or(result[..., 0], result[..., 1]), result[..., 2]) > 0
    motion = cv2.GaussianBlur(np.dstack([flow, depth]), (0, 0), smoothing)
    stretch_x, stretch_y, lift = (_gradient(motion[..., i]) for i in range(3))
    # where all slopes are zero the surface only moved: its normals are right as they are
    tilted_there = sum(abs(part) for pair in (stretch_x, stretch_y, lift) for part in pair) > 0
    moving = present & tilted_there
    if not moving.any():
        return result
    slope = _slopes(result[moving].astype(np.float32) / _HALF - 1)
    fx_x, fx_y = stretch_x[0][moving], stretch_x[1][moving]
    fy_x, fy_y = stretch_y[0][moving], stretch_y[1][moving]
    new_x = (1 + fx_x) * slope[:, 0] + fy_x * slope[:, 1] + lift[0][moving]
    new_y = fx_y * slope[:, 0] + (1 + fy_y) * slope[:, 1] + lift[1][moving]
    tilted = np.stack([new_x, new_y, -np.ones_like(new_x)], axis=1)
    tilted /= np.linalg.norm(tilted, axis=1, keepdims=True)
    result[moving] = np.rint((tilted * 0.5 + 0.5) * 255).astype(np.uint8)
    return result


def _slopes(normals: Float[np.ndarray, "N 3"]) -> Float[np.ndarray, "N 2"]:
    """Surface slopes (z_x, z_y) of normals that face the camera (z < 0)."""
    towards = np.minimum(normals[:, 2:], -1e-3)
    slopes = -normals[:, :2] / towards
    steep = np.linalg.norm(slopes, axis=1, keepdims=True)
    return slopes * np.minimum(1.0, MAX_SLOPE / np.maximum(steep, 1e-6))


def _gradient(
    field: Float[np.ndarray, "H W"],
) -> tuple[Float[np.ndarray, "H W"], Float[np.ndarray, "H W"]]:
    """(d/dx, d/dy) by central differences."""
    kernel = np.array([-0.5, 0.0, 0.5], np.float32)
    one = np.ones(1, np.float32)
    dx = cv2.sepFilter2D(field, cv2.CV_32F, kernel, one, borderType=cv2.BORDER_REPLICATE)
    dy = cv2.sepFilter2D(field, cv2.CV_32F, one, kernel, borderType=cv2.BORDER_REPLICATE)
    return dx, dy
