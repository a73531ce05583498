"""Stage data: from stages.toml to checked phases with their first and last step."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from emotalk_core.avatar.methods import Method
from emotalk_core.errors import ConfigError, explain
from emotalk_core.losses.registry import get_loss
from emotalk_core.training.settings import TrainingSettings

STAGES_FILE = "stages.toml"
SAMPLINGS = ("all", "widest_mouth", "mouth_window", "eye_window")
GROUPS = (
    "gaussians",
    "appearance",
    "mouth",
    "grid",
    "networks",
    "emotion_grid",
    "emotion_networks",
    "teachers",
)
NORMAL_LOSSES = ("normal", "normal_tv", "normal_residual")


@dataclass(frozen=True)
class PhaseData:
    """One phase as written in stages.toml (see the comments there)."""

    name: str
    steps: str
    trains: tuple[str, ...]
    deform: bool
    losses: tuple[str, ...]
    sampling: str
    batch: int = 1
    densify: bool = False
    noise: bool = True
    restart: float = 0.0
    average: float = 0.0
    fades: tuple[str, ...] = ()
    must_fall: bool = False

    def __post_init__(self) -> None:
        for kind, values, known in (
            ("trains", self.trains, GROUPS),
            ("sampling", (self.sampling,), SAMPLINGS),
            ("fades", self.fades, self.losses),
        ):
            unknown = [value for value in values if value not in known]
            if unknown:
                raise ConfigError(
                    explain(
                        f"{self.name}.{kind}", unknown, f"wanted {known}", f"correct {STAGES_FILE}"
                    )
                )
        for loss in self.losses:
            get_loss(loss)


@dataclass(frozen=True)
class StageData:
    """One stage: what it draws and its phases in order."""

    layer: str
    phases: tuple[PhaseData, ...]


@dataclass(frozen=True)
class Phase:
    """A phase of one run: data with weights and its range of steps.

    Attributes:
        data: as written.
        start, stop: global steps [start, stop).
        weights: loss name -> weight at the first step, without those that are off.
    """

    data: PhaseData
    start: int
    stop: int
    weights: dict[str, float]

    @property
    def length(self) -> int:
        """Number of steps."""
        return self.stop - self.start

    def progress(self, step: int) -> float:
        """0 at the phase's first step, towards 1 at its end."""
        return (step - self.start) / max(self.length, 1)

    def weights_at(self, step: int) -> dict[str, float]:
        """Loss name -> weight at one step: losses that fade fall linearly to nothing."""
        left = 1.0 - self.progress(step)
        return {k: v * left if k in self.data.fades else v for k, v in self.weights.items()}


@lru_cache(maxsize=1)
def load_stages() -> dict[str, StageData]:
    """All stages by name."""
    text = (Path(__file__).parent / STAGES_FILE).read_text(encoding="utf-8")
    return {name: _stage(block) for name, block in tomllib.loads(text).items()}


def _stage(block: dict) -> StageData:
    lists = ("trains", "losses", "fades")
    phases = tuple(
        PhaseData(**{**p, **{name: tuple(p.get(name, ())) for name in lists}})
        for p in block["phases"]
    )
    return StageData(layer=block["layer"], phases=phases)


def plan_phases(stage: StageData, settings: TrainingSettings, method: Method) -> tuple[Phase, ...]:
    """Phases of one run with their steps and weights; those of no steps or no loss are left out.

    Normal and sync losses are off where the method says so, and what teachers say where there are
    none; in the combined ablation the emotion
    stage trains the one face branch instead of an emotion branch.
    """
    phases, start = [], 0
    for data in stage.phases:
        length = int(getattr(settings, data.steps))
        weights = {name: _weight(name, settings) for name in data.losses}
        if not method.normals:
            weights = {k: v for k, v in weights.items() if k not in NORMAL_LOSSES}
        if not method.sync:
            weights.pop("sync", None)
        if not settings.has_teachers:
            weights.pop("taught", None)
        weights = {name: value for name, value in weights.items() if value > 0}
        if method.emotion == "combined":
            trains = tuple(name.removeprefix("emotion_") for name in data.trains)
            data = PhaseData(**{**vars(data), "trains": trains})
        if length and weights:
            phases.append(Phase(data, start, start + length, weights))
            start += length
    return tuple(phases)


def _weight(name: str, settings: TrainingSettings) -> float:
    return 1.0 if name == "l1" else float(getattr(settings, f"lambda_{name}"))


def phase_at(phases: tuple[Phase, ...], step: int) -> Phase:
    """The phase that a global step belongs to."""
    for phase in phases:
        if phase.start <= step < phase.stop:
            return phase
    raise IndexError(f"step={step}: the stage has {phases[-1].stop} steps")
