"""The avatar from inside: its face Gaussians, small, their normals, and how its stages went."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from jaxtyping import UInt8
from torch import Tensor

from emotalk_core.avatar.checkpoint import load_avatar, load_parts
from emotalk_core.avatar.methods import STAGES
from emotalk_core.avatar.model import Compute
from emotalk_core.evaluation.drawing import fit
from emotalk_core.gaussians.rasterize import rasterize
from emotalk_core.media.tables import read_cameras
from emotalk_core.types.gaussians import Camera

Picture = UInt8[np.ndarray, "H W 3"]
SHRINK = 1.1  # taken from the log scales: Gaussians a third as wide show as separate dots
PAPER = 0.98  # grey level behind the head


def gaussian_views(checkpoint: Path, cameras: Path, frame: int, side: int) -> tuple[Picture, int]:
    """At rest, in the camera of one frame: colours, single Gaussians, normals, in one row.

    Args:
        checkpoint: the avatar after its last stage.
        cameras: cameras.json of the subject.
        frame: whose camera looks.
        side: px of one picture.

    Returns:
        The row of three pictures, and the number of face Gaussians.
    """
    avatar, _ = load_avatar(checkpoint, Compute("auto", 1), "cpu")
    camera = Camera.of_frame(read_cameras(cameras), frame)
    gaussians = avatar.face.pose(None)
    paper = torch.full((3,), PAPER)
    with torch.no_grad():
        whole = rasterize(gaussians, camera, paper)
        small = replace(gaussians, scales=gaussians.scales - SHRINK)
        dots = rasterize(small, camera, paper, with_normals=False).rgb
    # Normals show as colours, faded to paper where nothing is.
    normals = (0.5 + 0.5 * whole.normals) * whole.alpha + PAPER * (1 - whole.alpha)
    pictures = [fit(_pixels(image), side) for image in (whole.rgb, dots, normals)]
    return np.concatenate(pictures, axis=1), len(gaussians)


def stage_strips(checkpoint: Path) -> list[tuple[str, str]]:
    """(stage, address) of the strips that the training left in an avatar, in order of training."""
    strips = load_parts([checkpoint])[1].get("previews", {})
    return [(s, f"data:image/jpeg;base64,{strips[s]}") for s in STAGES if s in strips]


def _pixels(image: Tensor) -> Picture:
    """[3,H,W] in 0..1 to RGB uint8."""
    planes = (image.clamp(0, 1) * 255).round().to(torch.uint8).permute(1, 2, 0)
    return np.ascontiguousarray(planes.numpy())
