"""The avatar draws, emotion off is the face branch bit for bit, checkpoints come back equal."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from emotalk_core.avatar.checkpoint import load_avatar, load_parts, save_parts
from emotalk_core.avatar.conditions import FrameCondition
from emotalk_core.avatar.model import Avatar, Compute, FaceModel, MouthModel, as_gaussians, grid_box
from emotalk_core.errors import ArtifactError
from emotalk_core.types.gaussians import Camera, GaussianSet

COMPUTE = Compute("torch", 1)
HEADER = {"method": "emotalk", "stage": "avatar", "feature_dim": 4, "extractor": "made-up"}


def gaussians(count: int, seed: int, centre: tuple[float, float, float], bands: int) -> GaussianSet:
    generator = torch.Generator().manual_seed(seed)
    return GaussianSet(
        means=torch.randn(count, 3, generator=generator) * 0.02 + torch.tensor(centre),
        quats=torch.randn(count, 4, generator=generator),
        scales=torch.full((count, 3), -4.5),
        opacities=torch.ones(count),
        sh_coeffs=torch.randn(count, bands, 3, generator=generator) * 0.3,
        normal_residuals=torch.zeros(count, 3),
    )


def face_model(emotion: str, seed: int = 0) -> FaceModel:
    torch.manual_seed(seed)
    model = FaceModel(gaussians(50, 1, (0, 0, 0), 4), 4, emotion, COMPUTE)
    model.set_statistics(torch.rand(20, 7))
    return model


def mouth_model() -> MouthModel:
    torch.manual_seed(1)
    start = gaussians(20, 2, (0, 0.03, 0.02), 1)
    start = GaussianSet(**{k: v for k, v in start.tensors().items() if k != "normal_residuals"})
    return MouthModel(start, 4, grid_box(start.means), COMPUTE)


def camera() -> Camera:
    viewmat = torch.eye(4)
    viewmat[2, 3] = 0.5
    intrinsics = torch.tensor([[160.0, 0, 24], [0, 160.0, 24], [0, 0, 1]])
    return Camera(K=intrinsics, viewmat=viewmat, width=48, height=48)


def condition(emotion: tuple[float, float] | None) -> FrameCondition:
    generator = torch.Generator().manual_seed(3)
    return FrameCondition(
        audio=torch.randn(8, 16, 4, generator=generator),
        action_units=torch.rand(7, generator=generator),
        emotion=None if emotion is None else torch.tensor(emotion),
    )


def test_emotion_off_is_the_face_branch_bit_for_bit() -> None:
    with_branch, without = face_model("branch"), face_model("none")
    without.load_state_dict(
        {k: v for k, v in with_branch.state_dict().items() if not k.startswith("emotion.")}
    )
    behind = torch.rand(3, 48, 48)

    def picture(model: FaceModel, emotion: tuple[float, float] | None) -> torch.Tensor:
        return model.draw(model.deform(condition(emotion)), camera(), behind).rgb

    off = picture(with_branch, None)
    assert torch.equal(off, picture(without, None))
    assert torch.equal(off, picture(without, (0.8, 0.3)))
    assert not torch.equal(off, picture(with_branch, (0.8, 0.3)))


def test_emotion_branch_sees_the_moved_position() -> None:
    model = face_model("branch")
    offsets = model.deform(condition((0.5, 0.5)))
    assert offsets.emotion is not None
    moved = model.gaussians["means"] + offsets.face.means
    expected = model.emotion(moved, {"emotion": torch.tensor([[0.5, 0.5]])})
    assert torch.equal(offsets.emotion.means, expected.means)
    posed = model.pose(offsets)
    torch.testing.assert_close(posed.means, moved + offsets.emotion.means)


def test_emotion_branch_leaves_the_resting_face_alone() -> None:
    model = face_model("branch")
    resting, offsets = model.deform(condition((0.0, 0.0))), model.deform(condition((0.5, 0.5)))
    assert resting.emotion is not None and offsets.emotion is not None
    assert float(resting.emotion.means.detach().abs().max()) == 0.0
    assert float(offsets.emotion.means.detach().abs().max()) > 0.0


def test_neighbours_on_the_circle_differ_smoothly() -> None:
    model = face_model("branch")
    angles = torch.linspace(0, 2 * torch.pi, 25)[:-1]
    ring = []
    for angle in angles:
        point = (0.8 * float(torch.cos(angle)), 0.8 * float(torch.sin(angle)))
        offsets = model.deform(condition(point)).emotion
        assert offsets is not None
        ring.append(offsets.means.detach())
    steps = torch.stack([(a - b).norm() for a, b in zip(ring, [*ring[1:], ring[0]])])
    assert float(steps.max()) < 3 * float(steps.median())
    assert float(steps.min()) > 0


def test_combined_branch_takes_emotion_itself() -> None:
    model = face_model("combined")
    happy, sad = model.deform(condition((0.7, 0.3))), model.deform(condition((-0.7, -0.3)))
    assert happy.emotion is None
    assert not torch.equal(happy.face.means, sad.face.means)


def test_parameters_hold_the_same_gaussians() -> None:
    start = gaussians(50, 1, (0, 0, 0), 4)
    back = as_gaussians(dict(face_model("none").gaussians.items()))
    assert all(torch.equal(value, back.tensors()[name]) for name, value in start.tensors().items())


def test_mouth_is_drawn_only_in_its_rectangle() -> None:
    avatar = Avatar(mouth_model(), face_model("none"))
    behind = torch.rand(3, 48, 48)
    inside = avatar.behind_face(condition(None), camera(), behind)
    crop = avatar.mouth.crop(camera())
    outside = torch.ones(48, 48, dtype=torch.bool)
    outside[crop.y0 : crop.y1, crop.x0 : crop.x1] = False
    assert torch.equal(inside[:, outside], behind[:, outside])
    assert not torch.equal(crop.cut(inside), crop.cut(behind))


def test_checkpoint_brings_the_avatar_back(tmp_path: Path) -> None:
    avatar = Avatar(mouth_model(), face_model("branch"))
    path = tmp_path / "avatar.safetensors"
    save_parts(path, {"mouth": avatar.mouth, "face": avatar.face}, HEADER)
    back, header = load_avatar(path, COMPUTE, "cpu")
    assert header["extractor"] == "made-up"
    behind = torch.rand(3, 48, 48)
    drivers = condition((0.3, -0.2))
    assert torch.equal(avatar(drivers, camera(), behind), back(drivers, camera(), behind))


def test_parts_of_different_methods_do_not_mix(tmp_path: Path) -> None:
    save_parts(tmp_path / "mouth.safetensors", {"mouth": mouth_model()}, HEADER)
    other = {**HEADER, "method": "talkinggaussian"}
    save_parts(tmp_path / "face.safetensors", {"face": face_model("none")}, other)
    with pytest.raises(ArtifactError, match="method=talkinggaussian: the other parts have emotalk"):
        load_parts([tmp_path / "mouth.safetensors", tmp_path / "face.safetensors"])
    with pytest.raises(ArtifactError, match="no part 'face'"):
        load_avatar(tmp_path / "mouth.safetensors", COMPUTE, "cpu")
