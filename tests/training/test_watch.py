"""The watch shows a frame that no step samples, and names dead lips."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import pytest
import torch

from emotalk_core.errors import NumericalError
from emotalk_core.losses.context import LossContext
from emotalk_core.training.layers.base import Step
from emotalk_core.training.sampling import Sample
from emotalk_core.training.stages import Phase, load_stages
from emotalk_core.training.targets import inside_mouth
from emotalk_core.training.watch import Watch
from emotalk_core.types.regions import LABEL

FRAMES = np.arange(30)


class MadeUpLayer:
    """Draws half grey beside a lighter truth; its lips move `amplitude` times as far as those."""

    prefix = ""

    def __init__(self, amplitude: float | None) -> None:
        self.module: torch.nn.Module = torch.nn.Linear(1, 1)
        self.gaussians = torch.nn.ParameterDict()
        self.amplitude = amplitude
        self.sampled: list[int] = []

    def lip_amplitude(self, frames: np.ndarray) -> float | None:
        assert set(frames) <= set(FRAMES)
        return self.amplitude

    def step(self, phase: Phase, sample: Sample) -> Step:
        self.sampled.append(sample.frame)
        image, target = torch.full((3, 4, 4), 0.5), torch.full((3, 4, 4), 0.6)
        return Step(LossContext(image=image, target=target))

    def batch(self, phase: Phase, samples: list[Sample]) -> Step:
        raise AssertionError("nothing to compare here")


def motion_phase(steps: int = 300) -> Phase:
    (motion,) = (phase for phase in load_stages()["face"].phases if phase.name == "motion")
    return Phase(motion, 100, 100 + steps, {"l1": 1.0})


def test_held_out_frame_and_lips_are_shown(tmp_path: Path) -> None:
    layer = MadeUpLayer(0.8)
    numbers = Watch("face", layer, 7, FRAMES, tmp_path / "log").look(motion_phase(), 200, 0.1)
    assert layer.sampled == [7]
    assert numbers == {"psnr": pytest.approx(20.0, abs=1e-4), "lips": 0.8}
    assert len(list((tmp_path / "log").iterdir())) == 1


@pytest.mark.parametrize(("amplitude", "outcome"), [(0.02, "stop"), (0.3, "warn"), (0.9, "fine")])
def test_dead_lips_are_named(
    amplitude: float, outcome: str, caplog: pytest.LogCaptureFixture
) -> None:
    watch = Watch("face", MadeUpLayer(amplitude), 7, FRAMES, None)
    caplog.set_level(logging.WARNING)
    if outcome == "stop":
        with pytest.raises(NumericalError, match=r"lips move 0\.02 times"):
            watch.look(motion_phase(), 399, 0.1)
        return
    watch.look(motion_phase(), 399, 0.1)
    assert ("lips move" in caplog.text) == (outcome == "warn")


def test_a_phase_too_short_for_lips_says_so(caplog: pytest.LogCaptureFixture) -> None:
    """Preset smoke ends in dead lips: a first look, and nobody should take it for more."""
    caplog.set_level(logging.WARNING)
    Watch("face", MadeUpLayer(0.02), 7, FRAMES, None).look(motion_phase(120), 219, 0.1)
    assert "lips move 0.02 times" in caplog.text and "use preset small" in caplog.text


@pytest.mark.parametrize(("nearest", "named"), [(19.0, False), (21.0, True), (None, False)])
def test_no_better_than_an_old_frame_is_named(
    nearest: float | None, named: bool, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    watch = Watch("face", MadeUpLayer(0.9), 7, FRAMES, None, nearest)
    watch.look(motion_phase(), 200, 0.1)
    assert not caplog.text
    watch.look(motion_phase(), 399, 0.1)
    assert ("no improvement over nearest_pose" in caplog.text) == named


def test_noise_of_a_step_is_not_in_what_is_shown() -> None:
    layer = MadeUpLayer(0.9)
    seen = []
    layer.lip_amplitude = lambda frames: seen.append(layer.module.training) or 0.9  # type: ignore
    Watch("face", layer, 7, FRAMES, None).look(motion_phase(), 200, 0.1)
    assert seen == [False]
    assert layer.module.training


def test_inside_of_the_mouth_is_the_label_without_its_edge() -> None:
    labels = np.full((256, 256), LABEL["skin"], np.uint8)
    labels[100:108, 90:120] = LABEL["teeth"]
    assert inside_mouth(labels).sum() == 6 * 28
