"""Frames and head cameras in, pictures of the mouth free of head pose and size out.

A picture is a square of the plane through the neutral lips, as the head's front shows it: it is
sampled where the tracked head puts that plane, so that it does not follow the lips themselves.
"""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Float, Float32, UInt8
from torch import Tensor
from torch.nn import functional

from emotalk_core.geometry.projection import project_points
from emotalk_core.speech.sync.lip_shapes import LIP_POINTS
from emotalk_core.types.camera import CameraPath
from emotalk_core.types.lip_points import OUTER_EYE_CORNERS

SIDE = 40  # px of a picture
HALF = 0.45  # of its side, outer eye distances: lips are about half an eye distance wide
BELOW = 0.06  # outer eye distances from the lips' middle to the picture's: the jaw opens downwards


def mouth_square(neutral: Float32[np.ndarray, "478 3"]) -> Float[Tensor, "P 3"]:
    """World points of the picture's pixels, P = SIDE * SIDE, row by row."""
    right, left = (neutral[corner] for corner in OUTER_EYE_CORNERS)
    eyes = float(np.linalg.norm(right - left))
    x, y, z = neutral[list(LIP_POINTS)].mean(axis=0).tolist()
    steps = ((torch.arange(SIDE) + 0.5) / SIDE * 2 - 1) * (HALF * eyes)
    down, across = torch.meshgrid(y + BELOW * eyes + steps, x + steps, indexing="ij")
    return torch.stack([across, down, torch.full_like(down, z)], dim=-1).reshape(-1, 3)


def pixel_positions(
    square: Float[Tensor, "P 3"], cameras: CameraPath, frames: range
) -> Float32[np.ndarray, "R P 2"]:
    """Where the picture's pixels lie in each frame, px."""
    places = []
    for frame in frames:
        intrinsics = torch.tensor(cameras.Ks[frame], dtype=torch.float32)
        viewmat = torch.tensor(cameras.viewmats[frame], dtype=torch.float32)
        places.append(project_points(square, intrinsics, viewmat)[0].numpy())
    return np.stack(places)


def look(
    frames: Float[Tensor, "R 3 h w"], positions: Float[Tensor, "R P 2"]
) -> Float[Tensor, "R 3 S S"]:
    """Pictures of the mouth, differentiable.

    Args:
        frames: whole or cut.
        positions: px of these frames.
    """
    size = torch.tensor([frames.shape[3], frames.shape[2]], device=frames.device)
    grid = (2 * positions / size - 1).reshape(len(frames), SIDE, SIDE, 2)
    return functional.grid_sample(frames, grid, padding_mode="border", align_corners=False)


def look_at_frame(
    frame: UInt8[np.ndarray, "H W 3"], positions: Float32[np.ndarray, "P 2"]
) -> UInt8[np.ndarray, "3 S S"]:
    """The picture of one RGB frame."""
    colours = torch.from_numpy(np.ascontiguousarray(frame.transpose(2, 0, 1)))[None].float()
    seen = look(colours, torch.from_numpy(positions)[None])[0]
    return seen.round().clamp(0, 255).to(torch.uint8).numpy()
