"""Stage data, growth, frame store, state file and landmark targets."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from emotalk_core.avatar.methods import get_method
from emotalk_core.avatar.model import as_parameters
from emotalk_core.errors import ConfigError
from emotalk_core.media.video import write_video
from emotalk_core.training.average import RunningMean
from emotalk_core.training.frames import MIB, FrameStore
from emotalk_core.training.growth import SPLIT_SIGMA, Growth
from emotalk_core.training.inputs import landmark_motion
from emotalk_core.training.loop import rate_factors
from emotalk_core.training.optimiser import NamedAdam
from emotalk_core.training.prepare import nearest_pose_psnr
from emotalk_core.training.settings import TrainingSettings
from emotalk_core.training.stages import load_stages, phase_at, plan_phases
from emotalk_core.training.state import RunState, fingerprint, load_state, save_state
from emotalk_core.types.camera import CameraPath
from emotalk_core.types.gaussians import GaussianSet


def test_phases_follow_each_other_without_gaps() -> None:
    settings = TrainingSettings(steps=50, canonical_steps=20, landmark_steps=10)
    phases = plan_phases(load_stages()["face"], settings, get_method("emotalk"))
    assert [(p.data.name, p.start, p.stop) for p in phases] == [
        ("landmarks", 0, 10),
        ("canonical", 10, 30),
        ("motion", 30, 80),
    ]
    assert phase_at(phases, 29).data.name == "canonical"
    assert phases[2].weights["dssim"] == 0.2


def test_teachers_learn_first_and_say_nothing_where_there_are_none() -> None:
    stage, method = load_stages()["face"], get_method("talkinggaussian")
    for teacher_steps in (0, 7):
        settings = TrainingSettings(steps=50, teacher_steps=teacher_steps, landmark_steps=10)
        phases = {phase.data.name: phase for phase in plan_phases(stage, settings, method)}
        taught = bool(teacher_steps)
        assert ("teachers" in phases) == taught
        assert phases["landmarks"].start == teacher_steps
        assert all(("taught" in phases[name].weights) == taught for name in ("landmarks", "motion"))


def test_phases_that_lose_their_only_loss_are_left_out() -> None:
    """`lambda_landmark: 0` turns the landmark motion off wherever it is the only thing to learn."""
    settings = TrainingSettings(
        steps=50, teacher_steps=7, landmark_steps=10, canonical_steps=5, lambda_landmark=0.0
    )
    for name in ("mouth", "face", "emotion"):
        phases = plan_phases(load_stages()[name], settings, get_method("emotalk"))
        assert phases and all(phase.weights for phase in phases)
        assert [p.start for p in phases] == [0, *(p.stop for p in phases[:-1])]
        assert not any({"landmark", "taught"} & set(phase.weights) for phase in phases)


def test_settling_starts_its_own_decay() -> None:
    steps = {"landmark_steps": 10, "canonical_steps": 100, "steps": 100, "settle_steps": 50}
    phases = plan_phases(load_stages()["face"], TrainingSettings(**steps), get_method("emotalk"))
    assert [phase.data.noise for phase in phases] == [True, True, True, False]
    assert "normal" in phases[2].weights
    assert not any(name.startswith("normal") for name in phases[3].weights)
    names = ["gaussians.means", "gaussians.sh_dc"]
    for step, means, others in (
        (0, 1, 1),
        (10, 1, 1),
        (110, 0.1, 0.1**0.5),
        (210, 0.3, 0.3),
        (235, 0.03, 0.3 * 0.1**0.5),
    ):
        factors = rate_factors(names, phases, step)
        assert factors == {names[0]: pytest.approx(means), names[1]: pytest.approx(others)}


def test_normal_losses_fade_over_the_motion_phase() -> None:
    settings = TrainingSettings(steps=50, canonical_steps=20, landmark_steps=10)
    motion = plan_phases(load_stages()["face"], settings, get_method("emotalk"))[2]
    first, late = motion.weights_at(30), motion.weights_at(70)
    assert first == motion.weights
    assert late["normal"] == pytest.approx(0.2 * first["normal"])
    assert {k for k in first if late[k] != first[k]} == {"normal", "normal_tv"}
    with pytest.raises(ConfigError, match=r"motion\.fades"):
        replace(motion.data, fades=("detail",))


def test_running_mean_takes_the_parameters_place_and_survives_a_restart() -> None:
    value = torch.nn.Parameter(torch.zeros(2))
    means = RunningMean()
    means.observe({"a": value}, keep=0.5)
    with torch.no_grad():
        value.fill_(1.0)
    means.observe({"a": value}, keep=0.5)
    again = RunningMean()
    again.load(means.tensors(), torch.device("cpu"))
    again.settle({"a": value})
    assert value.tolist() == [0.5, 0.5]
    assert again.tensors() == {}


def test_methods_turn_losses_off() -> None:
    settings = TrainingSettings(steps=5)
    with_normals = plan_phases(load_stages()["face"], settings, get_method("emotalk"))
    without = plan_phases(load_stages()["face"], settings, get_method("no_normal"))
    removed = set(with_normals[-1].weights) - set(without[-1].weights)
    assert removed == {"normal", "normal_tv", "normal_residual"}
    no_alpha = plan_phases(
        load_stages()["face"], replace(settings, lambda_alpha=0.0), get_method("emotalk")
    )
    assert "alpha" not in no_alpha[-1].weights


def test_bad_settings_are_all_named() -> None:
    with pytest.raises(ConfigError) as error:
        TrainingSettings(steps=0, sh_degree=4, bank_share=2.0)
    assert all(name in str(error.value) for name in ("steps=0", "sh_degree=4", "bank_share=2.0"))
    with pytest.raises(ConfigError, match="lambda_dsim"):
        TrainingSettings.from_dict({"steps": 3, "lambda_dsim": 0.1})


def gaussians(count: int) -> GaussianSet:
    generator = torch.Generator().manual_seed(0)
    return GaussianSet(
        means=torch.randn(count, 3, generator=generator) * 0.05,
        quats=torch.tensor([1.0, 0, 0, 0]).repeat(count, 1),
        scales=torch.full((count, 3), SPLIT_SIGMA).log() + 0.1,
        opacities=torch.zeros(count),
        sh_coeffs=torch.zeros(count, 1, 3),
    )


def grow(count: int, cap: int) -> tuple[torch.nn.ParameterDict, GaussianSet]:
    start = gaussians(count)
    start.opacities[0] = -20.0  # invisible: to be pruned
    start.scales[2] -= 1.0  # small: to be cloned, not split
    parameters = as_parameters(start)
    names = {f"gaussians.{k}": v for k, v in parameters.items()}
    adam = NamedAdam(names, dict.fromkeys(names, 1e-3), set())
    settings = TrainingSettings(
        steps=10, max_gaussians=cap, densify_from=1, densify_every=1, densify_share=0.3
    )
    growth = Growth(parameters, adam, settings, seed=4)
    probe = torch.zeros(count, 2, requires_grad=True)
    probe.grad = torch.zeros(count, 2)
    probe.grad[:3, 0] = torch.tensor([9.0, 2.0, 1.0])
    growth.observe(probe)
    phase = plan_phases(load_stages()["mouth"], settings, get_method("emotalk"))[-1]
    growth.grow(phase, 0)
    return parameters, start


def test_growth_prunes_splits_and_clones() -> None:
    parameters, start = grow(10, cap=100)
    # 10 - pruned 1 - split 1 + clone 1 + two halves
    assert len(parameters["means"]) == 11
    assert torch.equal(parameters["means"][8], start.means[2])
    halves = parameters["means"][9:11]
    assert (halves - start.means[1]).norm(dim=1).max() < 5 * start.scales[1].exp().max()
    assert torch.allclose(parameters["scales"][9:11], start.scales[1] - np.log(1.6))
    again, _ = grow(10, cap=100)
    assert torch.equal(parameters["means"], again["means"])


def test_growth_respects_the_cap() -> None:
    parameters, _ = grow(10, cap=10)
    assert len(parameters["means"]) == 10


def test_frame_store_keeps_its_budget_and_tells_the_truth(tmp_path: Path) -> None:
    frames = np.random.default_rng(0).integers(0, 255, (12, 256, 256, 3), dtype=np.uint8)
    write_video(tmp_path / "a.mkv", frames)
    store = FrameStore({"a": tmp_path / "a.mkv"}, budget_mib=1)
    for index in (3, 11, 0, 3, 7, 3, 11):
        assert np.array_equal(store.get("a", index), frames[index])
        assert store.used_bytes <= MIB
    store.close()


def test_state_round_trip_and_refusal(tmp_path: Path) -> None:
    path = tmp_path / "state.safetensors"
    state = RunState(7, {"model:x": torch.arange(3.0)}, {"first": 0.1 + 0.2})
    save_state(path, state, "abc")
    back = load_state(path, "abc")
    assert back is not None
    assert back.step == 7
    assert back.numbers == {"first": 0.1 + 0.2}
    assert torch.equal(back.part("model")["x"], torch.arange(3.0))
    assert load_state(path, "other") is None
    path.write_bytes(path.read_bytes()[:40])
    assert load_state(path, "abc") is None


def test_fingerprint_follows_settings_and_bytes(tmp_path: Path) -> None:
    data = tmp_path / "x"
    data.write_bytes(b"1")
    first = fingerprint({"seed": 0}, {"x": data})
    assert first == fingerprint({"seed": 0}, {"x": data})
    assert first != fingerprint({"seed": 1}, {"x": data})
    data.write_bytes(b"2")
    assert first != fingerprint({"seed": 0}, {"x": data})


def test_landmark_motion_is_zero_for_the_neutral_face_and_exact_for_a_shift() -> None:
    angle = 0.2
    rotation = np.array(
        [[np.cos(angle), 0, np.sin(angle)], [0, 1, 0], [-np.sin(angle), 0, np.cos(angle)]]
    )
    viewmat = np.eye(4)
    viewmat[:3, :3], viewmat[:3, 3] = rotation, (0.01, -0.02, 0.9)
    intrinsics = np.array([[300.0, 0, 64], [0, 300.0, 64], [0, 0, 1]])
    cameras = CameraPath(128, 128, 25, intrinsics[None], viewmat[None])
    neutral = np.random.default_rng(1).uniform(-0.08, 0.08, (478, 3))
    world = neutral + np.array([0.0, 0.004, 0.0])
    flat = (world @ rotation.T + viewmat[:3, 3]) @ intrinsics.T
    landmarks = (flat[:, :2] / flat[:, 2:])[None]
    motion = landmark_motion(landmarks, world[None], neutral, cameras)
    assert np.allclose(motion[..., 0], 0.0, atol=1e-6)
    assert np.allclose(motion[..., 1], 0.004, atol=1e-6)


class GreyFrames:
    """Frame 60 is a fifth brighter than all others; the head is everywhere."""

    def get(self, name: str, index: int) -> np.ndarray:
        shape = (8, 8) if name == "alpha" else (8, 8, 3)
        return np.full(shape, 255 if name == "alpha" or index == 60 else 204, np.uint8)


def test_nearest_pose_is_a_frame_of_another_moment() -> None:
    landmarks = np.arange(80.0)[:, None, None] * np.ones((1, 478, 2))
    landmarks[60] = landmarks[11]  # the same pose much later; 10 and 12 are the same moment
    clip: Any = SimpleNamespace(landmarks=landmarks, manifest=SimpleNamespace(height=8, width=8))
    store: Any = GreyFrames()
    frames = np.delete(np.arange(80), 11)
    for stage in ("face", "avatar"):
        psnr = nearest_pose_psnr(clip, store, stage, 11, frames)
        assert psnr == pytest.approx(-20 * np.log10(0.2))
    assert nearest_pose_psnr(clip, store, "mouth", 11, frames) is None
    assert nearest_pose_psnr(clip, store, "face", 11, frames[:30]) is None
