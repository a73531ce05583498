"""The kernels' branches against torch, and live frames against the avatar's own."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from emotalk_core.avatar.branches import BranchSpec, DeformationBranch, emotion_spec, face_spec
from emotalk_core.avatar.encoders import AudioEncoder
from emotalk_core.avatar.live import (
    LEAST_LIGHT,
    LiveAvatar,
    LiveBranch,
    LiveEncoder,
    lit_gaussians,
    live_avatar,
)
from emotalk_core.avatar.model import Avatar, Compute, FaceModel
from emotalk_core.errors import NumericalError
from emotalk_core.gaussians import kernels
from emotalk_core.gaussians.raster_cpu import paint_cpu
from emotalk_core.gaussians.rasterize import rasterize
from emotalk_core.types.gaussians import GaussianOffsets, GaussianSet
from tests.avatar.test_avatar_model import camera, condition, gaussians, mouth_model

pytestmark = pytest.mark.skipif(
    bool(kernels.why_missing()), reason=f"compiled kernels: {kernels.why_missing()}"
)
SPECS = {
    "face": face_spec(32, 7, with_emotion=False),
    "combined": face_spec(32, 7, with_emotion=True),
    "emotion": emotion_spec(),
    "plain": BranchSpec({"audio": 5}, {}, (), 16, 64, 30, (0.2, 1.0, 0.2), with_shape=False),
}


def trained(spec: BranchSpec) -> DeformationBranch:
    """A branch whose every part matters, as after training."""
    torch.manual_seed(4)
    branch = DeformationBranch(spec, "auto", 1).eval().requires_grad_(False)
    branch.grid.tables.normal_()
    return branch


def codes_of(spec: BranchSpec, scale: float = 0.5) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(5)
    return {
        name: scale * torch.randn(1, size, generator=generator)
        for name, size in spec.conditions.items()
    }


def own_copy(start: GaussianSet) -> GaussianSet:
    """A set of its own memory, to be moved in place."""
    return replace(start, **{name: value.clone() for name, value in start.tensors().items()})


@pytest.mark.parametrize("isa", kernels.runnable())
@pytest.mark.parametrize("name", SPECS)
@pytest.mark.parametrize("count", [1, 64, 203])
@pytest.mark.parametrize("moving", [False, True])
def test_branch_gives_what_torch_gives(
    isa: str, name: str, count: int, moving: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("emotalk_core.avatar.live.load", lambda: kernels.load(isa))
    branch, start = trained(SPECS[name]), gaussians(count, 1, (0, 0, 0), 1)
    codes = codes_of(SPECS[name])
    expected: GaussianOffsets = branch(start.means, codes)
    moved = own_copy(start)
    LiveBranch(branch, None if moving else start.means).move(moved, codes, threads=2)
    wanted = start.deformed(expected)
    torch.testing.assert_close(moved.means, wanted.means, atol=1e-7, rtol=1e-5)
    torch.testing.assert_close(moved.quats, wanted.quats, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(moved.scales, wanted.scales, atol=1e-5, rtol=1e-5)
    assert not torch.equal(moved.means, start.means)


@pytest.mark.skipif(
    not kernels.why_missing() and not kernels.load().has_half(),
    reason="this processor has no bfloat16 products",
)
@pytest.mark.parametrize("name", SPECS)
@pytest.mark.parametrize("count", [1, 203])
@pytest.mark.parametrize("moving", [False, True])
def test_half_precision_stays_near(name: str, count: int, moving: bool) -> None:
    branch, start = trained(SPECS[name]), gaussians(count, 1, (0, 0, 0), 1)
    exact, near = own_copy(start), own_copy(start)
    still = None if moving else start.means
    for copy, half in ((exact, False), (near, True)):
        LiveBranch(branch, still, half).move(copy, codes_of(SPECS[name]), threads=1)
    for field in ("means", "quats", "scales"):
        offsets = getattr(exact, field) - getattr(start, field)
        error = getattr(near, field) - getattr(exact, field)
        # Numbers of 8 bits, sums of some hundred products of them: about 1 % of the offsets.
        assert float(error.norm()) <= 0.02 * float(offsets.norm())
    assert not torch.equal(near.means, exact.means)


def test_number_of_threads_changes_no_byte() -> None:
    branch, start = trained(SPECS["face"]), gaussians(1000, 1, (0, 0, 0), 1)
    live = LiveBranch(branch, start.means)

    def moved(threads: int) -> GaussianSet:
        copy = own_copy(start)
        live.move(copy, codes_of(SPECS["face"]), threads)
        return copy

    one, three = moved(1), moved(3)
    assert all(torch.equal(v, three.tensors()[k]) for k, v in one.tensors().items())


def test_no_emotion_moves_nothing() -> None:
    start = gaussians(50, 1, (0, 0, 0), 1)
    copy = replace(start, means=start.means.clone())
    LiveBranch(trained(SPECS["emotion"]), None).move(copy, {"emotion": torch.zeros(1, 2)}, 1)
    assert torch.equal(copy.means, start.means)


def test_position_that_is_not_a_number_is_named() -> None:
    start = gaussians(70, 1, (0, 0, 0), 1)
    start.means[66, 1] = float("nan")
    with pytest.raises(NumericalError, match="means"):
        LiveBranch(trained(SPECS["emotion"]), start.means)
    moving = LiveBranch(trained(SPECS["emotion"]), None)
    with pytest.raises(NumericalError, match="means"):
        moving.move(start, {"emotion": torch.ones(1, 2)}, 1)


def test_wrong_sizes_are_refused() -> None:
    start = gaussians(50, 1, (0, 0, 0), 1)
    live = LiveBranch(trained(SPECS["face"]), start.means[:40].contiguous())
    with pytest.raises(ValueError, match="settled points"):
        live.move(start, codes_of(SPECS["face"]), 1)
    with pytest.raises(ValueError, match="code"):
        live.move(start, {name: torch.zeros(1, 1) for name in SPECS["face"].conditions}, 1)


def test_encoders_at_once_give_what_each_gives() -> None:
    torch.manual_seed(6)
    encoders = [AudioEncoder(5).eval().requires_grad_(False) for _ in range(2)]
    for encoder in encoders:
        encoder.set_statistics(3 + 2 * torch.randn(20, 16, 5))
    audio = torch.randn(8, 16, 5)
    audio[0] = 0  # before the clip
    expected = torch.cat([encoder(audio[None]) for encoder in encoders])
    torch.testing.assert_close(LiveEncoder(encoders)(audio), expected, atol=2e-5, rtol=1e-4)


def test_painting_over_a_picture_is_drawing_before_it() -> None:
    picture = torch.rand(3, 48, 48, generator=torch.Generator().manual_seed(2))
    drawn = gaussians(300, 1, (0, 0, 0), 4)
    wanted = rasterize(drawn, camera(), picture, with_normals=False, backend="cpu").rgb
    paint_cpu(drawn, camera(), picture, threads=2)
    assert torch.equal(picture, wanted)
    drawn.quats[7] = float("inf")
    with pytest.raises(NumericalError, match="quats"):
        paint_cpu(drawn, camera(), picture, threads=1)


def avatar_of(emotion: str, backend: str) -> Avatar:
    """A made-up avatar whose branches move it visibly."""
    torch.manual_seed(0)
    face = FaceModel(gaussians(300, 1, (0, 0, 0), 4), 4, emotion, Compute(backend, 1))
    face.set_statistics(torch.rand(20, 7))
    avatar = Avatar(mouth_model(), face).eval().requires_grad_(False)
    for branch in (avatar.mouth.branch, face.branch, face.emotion):
        if branch is not None:
            branch.grid.tables.normal_(std=0.1)
    return avatar.settle()


@pytest.mark.parametrize("emotion", ["branch", "none", "combined"])
@pytest.mark.parametrize("drivers", [None, (0.0, 0.0), (0.6, -0.4)])
def test_live_frame_is_the_avatars_frame(emotion: str, drivers: tuple[float, float] | None) -> None:
    avatar = avatar_of(emotion, "auto")
    behind = torch.rand(3, 48, 48, generator=torch.Generator().manual_seed(2))
    wanted = avatar(condition(drivers), camera(), behind)
    got = LiveAvatar(avatar)(condition(drivers), camera(), behind)
    # A Gaussian may cross the threshold of 1/255 by rounding: one pixel, below one grey step.
    assert float((got - wanted).abs().max()) < 1 / 255
    assert float((got - wanted).abs().median()) < 1e-6


def test_unseen_gaussians_are_left_out() -> None:
    avatar = avatar_of("branch", "auto")
    means = avatar.face.gaussians["means"]
    means[:100] = torch.tensor([5.0, 0.0, 0.0])  # never in the picture
    avatar.settle()
    view = (condition((0.6, -0.4)), camera())
    kept = lit_gaussians(avatar, [view])
    assert not kept[:100].any() and kept[100:].sum() > 100
    live = live_avatar(avatar, [view])
    assert isinstance(live, LiveAvatar) and len(live.face_set) == int(kept.sum())
    behind = torch.rand(3, 48, 48, generator=torch.Generator().manual_seed(2))
    difference = live(*view, behind) - avatar(*view, behind)
    # What a Gaussian leaves is lit by those behind it: colours here lie within 0..2.
    unseen = int((~kept[100:]).sum())
    assert float(difference.abs().mean()) < 2 * LEAST_LIGHT * unseen / (48 * 48)


def test_without_kernels_the_avatar_draws_itself() -> None:
    avatar = avatar_of("branch", "torch")
    assert live_avatar(avatar) is avatar
    assert isinstance(live_avatar(avatar_of("branch", "auto")), LiveAvatar)
