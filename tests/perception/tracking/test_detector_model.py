"""The measured detector: whom its people stand for, and whom they do not."""

from __future__ import annotations

import numpy as np
import pytest
from jaxtyping import Float
from scipy.spatial.transform import Rotation

from emotalk_core.perception.tracking.bundle import solve_person
from emotalk_core.perception.tracking.detector_model import (
    RIGID_MISFIT,
    DetectorModel,
    detector_model,
)

FRAMES = 40


def like_the_measured(model: DetectorModel, seed: int) -> Float[np.ndarray, "478 3"]:
    """A person drawn from how the measured people differ."""
    weights = np.random.default_rng(seed).normal(0, 1, len(model.person_modes))
    return model.person + np.tensordot(weights, model.person_modes, axes=1)


def foreign(model: DetectorModel) -> Float[np.ndarray, "478 3"]:
    """A person with a chin 25 mm and brows 6 mm farther forward, as another maker built one."""
    height = (model.person[:, 1] - model.person[1, 1]) / 0.08
    forward = 0.025 * np.clip(height, 0, 1) ** 2 + 0.006 * np.clip(-height, 0, 1)
    return model.person - forward[:, None] * np.array([0, 0, 1])


def axes_error(model: DetectorModel, shape: Float[np.ndarray, "478 3"]) -> float:
    """Degrees between the axes of a nodding head and those that the tracker finds."""
    t = np.arange(FRAMES) / 25
    turns = np.stack([0.08 * np.sin(3 * t), 0.15 * np.sin(2 * t), 0.03 * np.sin(4 * t)], axis=1)
    rotations = Rotation.from_rotvec(turns).as_matrix()
    seen = (shape + model.pose_error(rotations)) @ rotations.transpose(0, 2, 1)
    seen = seen + np.array([0, 0, 1.1])
    _, found = solve_person(seen, np.ones(FRAMES, bool), rotations, model)
    off = Rotation.from_matrix(rotations.transpose(0, 2, 1) @ found).mean()
    return float(np.degrees(off.magnitude()))


@pytest.mark.parametrize("seed", range(3))
def test_measured_people_are_trusted(seed: int) -> None:
    model = detector_model("facemesh")
    assert model.likeness(like_the_measured(model, seed)) == 1


def test_axes_of_a_foreign_head_follow_its_face_not_the_measured_people() -> None:
    """Where features lie tells nothing about the pose of a head that is built in another way."""
    model = detector_model("facemesh")
    share = model.likeness(foreign(model))
    assert share < 0.5
    assert axes_error(model, like_the_measured(model, 0)) < 1
    assert axes_error(model, foreign(model)) > 2 * axes_error(model.trusted(share), foreign(model))


def test_trust_changes_nothing_where_no_people_were_measured() -> None:
    model = detector_model("none")
    assert model.likeness(foreign(model)) == 1
    assert model.trusted(0.3).person_misfit == pytest.approx(RIGID_MISFIT)
    assert detector_model("facemesh").trusted(1).person_misfit == pytest.approx(0.0005)
