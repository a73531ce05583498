"""Mixed sound, and branches of other seeds that say what it means for the lips."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from emotalk_core.avatar.conditions import ACTION_UNITS, FrameCondition
from emotalk_core.avatar.encoders import NEIGHBOURS, WINDOW
from emotalk_core.avatar.model import Compute, FaceModel
from emotalk_core.training.teachers import LARGEST_SHARE, TEACHERS, Teachers, mixed_conditions
from emotalk_core.types.gaussians import GaussianSet

DIM = 4


def _condition(frame: int) -> FrameCondition:
    """Sound and action units that are the frame's number everywhere."""
    audio = torch.full((NEIGHBOURS, WINDOW, DIM), float(frame))
    return FrameCondition(audio, torch.full((len(ACTION_UNITS),), float(frame)))


def _model() -> FaceModel:
    gaussians = GaussianSet(
        means=torch.zeros(2, 3),
        quats=torch.tensor([[1.0, 0, 0, 0]] * 2),
        scales=torch.zeros(2, 3),
        opacities=torch.zeros(2),
        sh_coeffs=torch.zeros(2, 4, 3),
        normal_residuals=torch.zeros(2, 3),
    )
    model = FaceModel(gaussians, DIM, "none", Compute("torch", 1))
    model.audio.noise.std = 0.5
    return model


def test_mixed_sound_is_a_function_of_the_seed_and_of_training_frames_alone() -> None:
    frames = np.array([3, 10, 40])
    drawn = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        drawn.append(mixed_conditions(frames, 50, _condition))
    sounds = [torch.stack([c.audio for c in some]) for some in drawn]
    assert torch.equal(sounds[0], sounds[1])
    assert not torch.equal(sounds[0], sounds[2])
    assert {int(c.action_units[0]) for c in drawn[0]} == {3, 10, 40}
    values = sounds[0][:, 0, 0, 0]
    nearest = torch.tensor(frames, dtype=torch.float32)
    reach = LARGEST_SHARE * (40 - 3)
    assert float((values[:, None] - nearest).abs().min(dim=1).values.max()) <= reach
    assert 3 < float(values.mean()) < 40


def test_teachers_differ_and_their_mean_knows_no_noise() -> None:
    torch.manual_seed(0)
    model = _model()
    teachers = Teachers(model)
    points = torch.rand(5, 3) * 0.1
    audio = torch.randn(3, NEIGHBOURS, WINDOW, DIM)
    codes = model.codes(audio, torch.zeros(3, len(ACTION_UNITS)), None)
    with torch.no_grad():
        teachers.eval()
        said = teachers(points, audio, codes)
    teachers.train()
    assert said.shape == (TEACHERS, 3, 5, 3)
    assert float((said[0] - said[1]).abs().max()) > 1e-3 * float(said.abs().max())
    mean = teachers.mean(points, audio, codes)
    assert mean.numpy() == pytest.approx(said.mean(dim=0).numpy(), abs=1e-9)
    assert teachers.training and not mean.requires_grad
