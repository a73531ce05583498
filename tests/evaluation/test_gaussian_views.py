"""The avatar from inside: colours, single Gaussians and normals of a small head."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from emotalk_core.avatar.checkpoint import save_parts
from emotalk_core.avatar.model import Compute, FaceModel, MouthModel, grid_box
from emotalk_core.evaluation.report.gaussian_views import gaussian_views, stage_strips
from emotalk_core.media.tables import write_cameras
from emotalk_core.types.camera import CameraPath
from emotalk_core.types.gaussians import GaussianSet

SIZE, COUNT = 32, 40


def red_ball() -> GaussianSet:
    torch.manual_seed(0)
    return GaussianSet(
        means=torch.randn(COUNT, 3) * 0.02,
        quats=torch.randn(COUNT, 4),
        scales=torch.full((COUNT, 3), -4.5),
        opacities=torch.full((COUNT,), 4.0),
        sh_coeffs=torch.tensor([1.5, -1.5, -1.5]).expand(COUNT, 1, 3).clone(),
    )


def test_three_views_in_a_row(tmp_path: Path) -> None:
    ball, compute = red_ball(), Compute("torch", 1)
    parts = {
        "mouth": MouthModel(ball, 4, grid_box(ball.means), compute),
        "face": FaceModel(ball, 4, "branch", compute),
    }
    header: dict[str, object] = {
        "method": "emotalk",
        "stage": "avatar",
        "feature_dim": 4,
        "extractor": "x",
    }
    header |= {"width": SIZE, "height": SIZE, "previews": {"avatar": "Yg==", "mouth": "YQ=="}}
    save_parts(tmp_path / "avatar.safetensors", parts, header)
    K = np.array([[60.0, 0, SIZE / 2], [0, 60.0, SIZE / 2], [0, 0, 1]])
    viewmat = np.eye(4)
    viewmat[2, 3] = 0.3
    cameras = CameraPath(SIZE, SIZE, 25, np.stack([K, K]), np.stack([viewmat, viewmat]))
    write_cameras(tmp_path / "cameras.json", cameras)

    row, count = gaussian_views(tmp_path / "avatar.safetensors", tmp_path / "cameras.json", 1, SIZE)
    assert row.shape == (SIZE, 3 * SIZE, 3) and count == COUNT
    whole, dots, normals = (row[:, k * SIZE : (k + 1) * SIZE].astype(int) for k in range(3))
    red = [(view[..., 0] - view[..., 1] > 60).sum() for view in (whole, dots)]
    assert red[0] > red[1] > 0, "smaller Gaussians cover less"
    assert (whole[0, 0] > 240).all() and (normals[0, 0] > 240).all(), "paper behind the head"
    assert normals[SIZE // 2, SIZE // 2].std() > 5
    strips = stage_strips(tmp_path / "avatar.safetensors")
    assert strips == [
        (s, f"data:image/jpeg;base64,{t}") for s, t in (("mouth", "YQ=="), ("avatar", "Yg=="))
    ]
