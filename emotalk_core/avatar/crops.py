"""Rectangles of a frame: where a part lies, and the camera that sees only that."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from jaxtyping import Float
from torch import Tensor

from emotalk_core.types.gaussians import Camera

CROP_MULTIPLE = 16  # px: whole rasterizer tiles


@dataclass(frozen=True)
class Crop:
    """Rectangle y0:y1, x0:x1 in px."""

    y0: int
    y1: int
    x0: int
    x1: int

    @property
    def height(self) -> int:
        """Rows."""
        return self.y1 - self.y0

    @property
    def width(self) -> int:
        """Columns."""
        return self.x1 - self.x0

    def cut(self, image: Tensor) -> Tensor:
        """The part of an image whose last two axes are rows and columns."""
        return image[..., self.y0 : self.y1, self.x0 : self.x1]


def full_crop(camera: Camera) -> Crop:
    """The whole frame."""
    return Crop(0, camera.height, 0, camera.width)


def crop_camera(camera: Camera, crop: Crop) -> Camera:
    """The same view with the principal point moved, so that only the rectangle is drawn."""
    intrinsics = camera.K.clone()
    intrinsics[0, 2] -= crop.x0
    intrinsics[1, 2] -= crop.y0
    return replace(camera, K=intrinsics, width=crop.width, height=crop.height)


def _span(low: float, high: float, margin: int, limit: int) -> tuple[int, int]:
    """Integer interval around low..high, a multiple of CROP_MULTIPLE long, inside 0..limit."""
    wanted = int(high - low) + 2 * margin + 1
    length = min(-(-wanted // CROP_MULTIPLE) * CROP_MULTIPLE, limit)
    start = int((low + high - length) / 2)
    start = max(0, min(start, limit - length))
    return start, start + length


def crop_around(points: Float[Tensor, "N 2"], margin: int, camera: Camera) -> Crop:
    """Smallest rectangle of whole tiles around px points with a margin, inside the frame."""
    low, high = points.amin(dim=0).tolist(), points.amax(dim=0).tolist()
    x0, x1 = _span(low[0], high[0], margin, camera.width)
    y0, y1 = _span(low[1], high[1], margin, camera.height)
    return Crop(y0, y1, x0, x1)


def box_corners(low: Float[Tensor, " 3"], high: Float[Tensor, " 3"]) -> Float[Tensor, "8 3"]:
    """The eight corners of an axis-parallel box."""
    steps = torch.cartesian_prod(*[torch.tensor([0.0, 1.0], device=low.device)] * 3)
    return low + (high - low) * steps
