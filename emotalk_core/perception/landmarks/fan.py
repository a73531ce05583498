"""Face alignment network FAN-4: a 256x256 face crop in, 68 heatmaps and points out.

Parameter names and shapes are those of the published state dicts of 1adrianb/face-alignment
(`2DFAN4-*.pth.tar`); its newer releases are TorchScript archives, which load as they are.
"""

from __future__ import annotations

import cv2
import numpy as np
import torch.nn.functional as F
from jaxtyping import Float, Float32, UInt8
from torch import Tensor

from emotalk_core.perception.backbones.hourglass import HourGlassStack

CROP_SIZE = 256  # px, side of the network's input
HEATMAP_SIZE = 64  # px
UNIT = 200.0  # px: a crop shows 200 * scale px of the picture
REFERENCE_SCALE = 195.0  # of the SFD detector whose boxes the network was trained with
RAISE = 0.12  # of the box's height by which the crop's centre lies above the box's


class FAN(HourGlassStack):
    """Face alignment network (Bulat and Tzimiropoulos 2017).

    Args:
        num_modules: hourglasses; 4 in 2DFAN-4.
    """

    def __init__(self, num_modules: int = 4) -> None:
        super().__init__(num_modules, F.avg_pool2d)

    def forward(self, picture: Float[Tensor, "B 3 256 256"]) -> list[Float[Tensor, "B 68 64 64"]]:
        """Heatmaps of every hourglass, the answer last; RGB in [0,1]."""
        return self.stack(picture)[2]


def crop_of_box(
    box: tuple[float, float, float, float],
) -> tuple[Float[np.ndarray, " 2"], float]:
    """(centre px, scale) of the crop for a face box (x0, y0, x1, y1) as SFD gives it."""
    x0, y0, x1, y1 = box
    centre = np.array([(x0 + x1) / 2, (y0 + y1) / 2 - RAISE * (y1 - y0)])
    return centre, (x1 - x0 + y1 - y0) / REFERENCE_SCALE


def _to_picture(
    points: Float[np.ndarray, "N 2"], centre: Float[np.ndarray, " 2"], scale: float, size: float
) -> Float[np.ndarray, "N 2"]:
    """Crop coordinates (crop of `size` px) to picture px, cut to whole px as the original does."""
    return np.trunc(points * (UNIT * scale / size) + centre - UNIT * scale / 2)


def crop_face(
    frame: UInt8[np.ndarray, "H W 3"], centre: Float[np.ndarray, " 2"], scale: float
) -> UInt8[np.ndarray, "256 256 3"]:
    """The square of 200 * scale px around the centre, black outside the frame."""
    low, high = (
        _to_picture(np.array([[p, p]]), centre, scale, CROP_SIZE)[0].astype(int)
        for p in (1.0, float(CROP_SIZE))
    )
    height, width = frame.shape[:2]
    square = np.zeros((high[1] - low[1], high[0] - low[0], 3), np.uint8)
    x0, y0 = max(low[0], 0), max(low[1], 0)
    x1, y1 = min(high[0], width), min(high[1], height)
    if x1 > x0 and y1 > y0:
        square[y0 - low[1] : y1 - low[1], x0 - low[0] : x1 - low[0]] = frame[y0:y1, x0:x1]
    return cv2.resize(square, (CROP_SIZE, CROP_SIZE), interpolation=cv2.INTER_LINEAR)


def points_from_heatmaps(
    heatmaps: Float32[np.ndarray, "68 64 64"], centre: Float[np.ndarray, " 2"], scale: float
) -> tuple[Float[np.ndarray, "68 2"], Float[np.ndarray, " 68"]]:
    """(points in picture px, height of each maximum).

    The maximum is moved a quarter of a heatmap pixel towards its higher neighbour; picture
    coordinates are whole px, both as in the original.
    """
    side = heatmaps.shape[-1]
    flat = heatmaps.reshape(len(heatmaps), -1)
    best = flat.argmax(axis=1)
    rows, columns = best // side, best % side
    points = np.stack([columns, rows], axis=1).astype(np.float64) + 1
    for i, (x, y) in enumerate(zip(columns, rows)):
        if 0 < x < side - 1 and 0 < y < side - 1:
            slope = (
                heatmaps[i, y, x + 1] - heatmaps[i, y, x - 1],
                heatmaps[i, y + 1, x] - heatmaps[i, y - 1, x],
            )
            points[i] += 0.25 * np.sign(slope)
    return _to_picture(points - 0.5, centre, scale, side), flat.max(axis=1)
