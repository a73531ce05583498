"""Encoders, branches, conditions, crops, initial Gaussians and methods of the avatar."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import torch

from emotalk_core.avatar.branches import (
    BranchSpec,
    DeformationBranch,
    emotion_spec,
    face_spec,
    mouth_spec,
)
from emotalk_core.avatar.conditions import (
    ACTION_UNITS,
    action_unit_matrix,
    audio_window,
    emotion_matrix,
)
from emotalk_core.avatar.crops import Crop, box_corners, crop_around, crop_camera
from emotalk_core.avatar.encoders import AudioEncoder, AudioNet, InputNoise
from emotalk_core.avatar.initialise import (
    View,
    back_project_hair,
    make_gaussians,
    mesh_triangles,
    mouth_gaussians,
    sample_surface,
)
from emotalk_core.avatar.methods import get_method, load_methods
from emotalk_core.errors import ConfigError, NumericalError
from emotalk_core.gaussians.rasterize import rasterize
from emotalk_core.perception.landmarks.topology import INNER_LIPS, canonical_face
from emotalk_core.types.gaussians import Camera, GaussianSet


def test_methods_of_the_paper_are_there() -> None:
    methods = load_methods()
    assert set(methods) == {
        "emotalk",
        "emotalk_no_emotion",
        "no_normal",
        "no_sync",
        "combined_face",
        "talkinggaussian",
    }
    baseline = methods["talkinggaussian"]
    assert (baseline.emotion, baseline.normals, baseline.sync) == ("none", False, False)
    assert "emotion" not in baseline.stages
    with pytest.raises(ConfigError, match="method=tg"):
        get_method("tg")


def test_audio_net_has_the_papers_size() -> None:
    assert sum(p.numel() for p in AudioNet(29).parameters()) == 30_720  # METHOD 2.3


def test_audio_code_is_normalised_and_batches_agree() -> None:
    torch.manual_seed(0)
    encoder = AudioEncoder(5)
    features = torch.randn(3, 8, 16, 5) * 4 + 2
    encoder.set_statistics(features.reshape(-1, 16, 5))
    codes = encoder(features).detach()
    assert codes.mean(dim=1).abs().max() < 1e-5
    assert codes.std(dim=1, unbiased=False) == pytest.approx([1, 1, 1], abs=1e-2)
    torch.testing.assert_close(encoder(features[1:2])[0].detach(), codes[1])


def test_audio_window_is_zero_outside_the_clip() -> None:
    features = np.arange(1, 11, dtype=np.float32)[:, None, None] * np.ones((1, 16, 2), np.float32)
    assert audio_window(features, 5)[:, 0, 0].tolist() == [2, 3, 4, 5, 6, 7, 8, 9]
    assert audio_window(features, 1)[:, 0, 0].tolist() == [0, 0, 0, 1, 2, 3, 4, 5]
    assert audio_window(features, 9)[:, 0, 0].tolist() == [6, 7, 8, 9, 10, 0, 0, 0]
    assert not audio_window(features, 40).any()


def test_invalid_frames_take_the_last_valid_values() -> None:
    table = pd.DataFrame({name: [1.0, 9.0, 3.0] for name in ACTION_UNITS})
    table["valid"] = [True, False, True]
    table["valence"], table["arousal"] = [0.5, 7.0, -3.0], [0.0, 0.0, 0.2]
    units = action_unit_matrix(table)
    assert units[:, 0].tolist() == [1.0, 1.0, 3.0]
    assert units.shape == (3, 7)
    assert emotion_matrix(table)[:2].tolist() == [pytest.approx([0.2, 0.0])] * 2


def test_readings_within_the_readers_error_are_rest() -> None:
    table = pd.DataFrame({"valid": [True] * 3})
    table["valence"], table["arousal"] = [0.2, -0.6, -3.0], [-0.2, 0.8, 0.0]
    shortened = [[0.0, 0.0], [-0.42, 0.56], [-0.7, 0.0]]  # by .3 of lengths .28, 1 and 1
    assert emotion_matrix(table).tolist() == [pytest.approx(row) for row in shortened]


SPECS = [
    (mouth_spec(32), 3),
    (face_spec(32, 7, False), 10),
    (face_spec(32, 7, True), 10),
    (emotion_spec(), 10),
]


@pytest.mark.parametrize(("spec", "outputs"), SPECS)
def test_branches_give_offsets_of_each_condition(spec: BranchSpec, outputs: int) -> None:
    torch.manual_seed(0)
    branch = DeformationBranch(spec, "torch", 1)
    points = torch.rand(6, 3) * 0.1
    codes = {name: torch.randn(2, size) for name, size in spec.conditions.items()}
    raw = branch.raw(points, codes)
    assert raw.shape == (2, 6, outputs)
    second = {name: code[1:] for name, code in codes.items()}
    offsets = branch(points, second)
    torch.testing.assert_close(offsets.means, branch.motion(points, codes)[1])
    assert (offsets.scales is not None) == spec.with_shape
    with torch.no_grad():  # in pieces, and with the points looked at once
        drawn = branch(branch.look(points), second)
    torch.testing.assert_close(drawn.means, offsets.means)
    # METHOD 2.3: no bias, so zero codes at zero features give nothing.
    silent = {name: torch.zeros(1, size) for name, size in spec.conditions.items()}
    assert branch.motion(points, silent).abs().max() < 1e-6


def random_gaussians(count: int) -> GaussianSet:
    generator = torch.Generator().manual_seed(1)
    return GaussianSet(
        means=torch.rand(count, 3, generator=generator) * 0.1 - 0.05,
        quats=torch.randn(count, 4, generator=generator),
        scales=torch.full((count, 3), -5.0),
        opacities=torch.zeros(count),
        sh_coeffs=torch.randn(count, 1, 3, generator=generator),
    )


def camera(size: int = 64) -> Camera:
    viewmat = torch.eye(4)
    viewmat[2, 3] = 0.6
    intrinsics = torch.tensor([[200.0, 0, size / 2], [0, 200.0, size / 2], [0, 0, 1]])
    return Camera(K=intrinsics, viewmat=viewmat, width=size, height=size)


def test_a_crop_shows_the_same_pixels_as_the_frame() -> None:
    gaussians, crop = random_gaussians(60), Crop(16, 48, 8, 40)
    background = torch.zeros(3)
    whole = rasterize(gaussians, camera(), background, backend="torch")
    part = rasterize(gaussians, crop_camera(camera(), crop), background, backend="torch")
    # A Gaussian at the visibility threshold of 1/255 may fall to either side of it.
    torch.testing.assert_close(part.rgb, crop.cut(whole.rgb), atol=4e-3, rtol=0)
    assert ((part.rgb - crop.cut(whole.rgb)).abs() > 2e-5).float().mean() < 0.01


def test_drawing_over_a_picture_is_compositing() -> None:
    gaussians = random_gaussians(60)
    behind = torch.rand(3, 64, 64)
    alone = rasterize(gaussians, camera(), torch.zeros(3), backend="torch")
    together = rasterize(gaussians, camera(), behind, backend="torch")
    torch.testing.assert_close(together.rgb, alone.rgb + (1 - alone.alpha) * behind)


def test_crop_around_stays_inside_in_whole_tiles() -> None:
    crop = crop_around(torch.tensor([[30.0, 2.0], [50.0, 12.0]]), 4, camera())
    assert (crop.y0, crop.y1) == (0, 32)
    assert crop.width == 32
    assert crop.x0 <= 26
    assert crop.x1 >= 54
    corners = box_corners(torch.zeros(3), torch.tensor([1.0, 2.0, 3.0]))
    assert corners.shape == (8, 3)
    assert corners.amax(dim=0).tolist() == [1, 2, 3]


def face() -> np.ndarray:
    """The canonical face with the ten iris points at the eyes."""
    points = canonical_face()
    return np.concatenate([points, np.repeat(points[[159, 386]], 5, axis=0)]).astype(np.float32)


def view(mask: np.ndarray) -> View:
    viewmat = np.eye(4)
    viewmat[2, 3] = 0.6
    intrinsics = np.array([[200.0, 0, 32], [0, 200.0, 32], [0, 0, 1]])
    image = np.full((64, 64, 3), (255, 128, 0), np.uint8)
    return View(image=image, mask=mask, K=intrinsics, viewmat=viewmat)


def test_surface_points_leave_the_mouth_open() -> None:
    assert not np.isin(mesh_triangles(), INNER_LIPS).all(axis=1).any()
    points = sample_surface(face(), 500, np.random.default_rng(0))
    low, high = face().min(axis=0), face().max(axis=0)
    assert (points >= low - 1e-6).all()
    assert (points <= high + 1e-6).all()


def test_hair_points_project_into_the_mask() -> None:
    mask = np.zeros((64, 64), bool)
    mask[2:10, 10:50] = True
    points = back_project_hair(face(), [view(mask)], 80, np.random.default_rng(0))
    pixels = np.floor(view(mask).project(points)).astype(int)
    assert mask[pixels[:, 1], pixels[:, 0]].all()
    with pytest.raises(NumericalError, match="head masks"):
        back_project_hair(face(), [view(np.zeros_like(mask))], 80, np.random.default_rng(0))


def test_first_colours_are_the_pictures() -> None:
    mask = np.ones((64, 64), bool)
    points = sample_surface(face(), 50, np.random.default_rng(0))
    gaussians = make_gaussians(points, view(mask), 1, True, np.random.default_rng(0))
    drawn = rasterize(gaussians, camera(), torch.zeros(3), backend="torch")
    shown = drawn.rgb[:, drawn.alpha > 0.5] / drawn.alpha[drawn.alpha > 0.5]
    assert shown.mean(dim=1) == pytest.approx([1.0, 128 / 255, 0.0], abs=1e-3)
    assert gaussians.normal_residuals is not None
    assert not gaussians.normal_residuals.any()


def test_mouth_points_lie_behind_the_lips() -> None:
    gaussians = mouth_gaussians(face(), view(np.ones((64, 64), bool)), 100, 0, seed=0)
    ring = face()[list(INNER_LIPS)]
    assert gaussians.means[:, 2].min() > ring[:, 2].mean()
    assert gaussians.means[:, 0].min() >= ring[:, 0].min() - 1e-6
    again = mouth_gaussians(face(), view(np.ones((64, 64), bool)), 100, 0, seed=0)
    assert torch.equal(gaussians.means, again.means)


def test_noise_is_there_only_while_training() -> None:
    noise, values = InputNoise(), torch.zeros(4000)
    assert noise(values) is values
    noise.std = 0.5
    assert float(noise(values).std()) == pytest.approx(0.5, rel=0.1)
    assert noise.eval()(values) is values
