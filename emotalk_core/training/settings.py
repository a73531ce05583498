"""Settings of one training stage: a config block in, a checked dataclass out; three presets."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

from emotalk_core.errors import ConfigError, explain


@dataclass(frozen=True)
class SyncLossSettings:
    """Config block `sync_loss`.

    Attributes:
        expert: who compares lips and sound in the stages face and emotion: landmarks or pixels (the
            subject's own experts), wav2lip or syncnet (published networks, on pixels).
    """

    expert: str = "landmarks"


@dataclass(frozen=True)
class TrainingSettings:
    """Numbers of one stage; a stage ignores those that it has no use for.

    Attributes:
        steps: steps of the stage's last phase (motion, emotion, border fix).
        canonical_steps: steps of the static warm-up (mouth, face).
        teacher_steps: steps in which branches of other seeds learn the landmark motion, whose mean
            then teaches the avatar's own (face); 0: nobody teaches.
        landmark_steps: steps of the landmark-motion warm start (mouth: of its jaw; face).
        settle_steps: steps in which the Gaussians settle under the finished motion (face).
        n_gaussians, max_gaussians: count at the start and the cap of densification.
        sh_degree: bands of the view-dependent colour, 0..3.
        lambda_*: weights of the losses; 0 turns one off.
        sync_every: every n-th step the sync loss sees a run of frames; sync_frames: length of it.
        lip_weight, eye_weight: extra weight of pixels in the lip and eye boxes.
        lr_means: metres per step at the start; it falls to 1 % of it.
        lr_*: the other rates; they fall to 10 %.
        densify_from, densify_every: steps of the motion phase; densify_until: share of it.
        densify_share: share of the Gaussians that may be split or cloned at once.
        prune_opacity: Gaussians below are removed.
        audio_noise, unit_noise: standard deviation of noise on standardised speech features and
            action units; code_dropout: share of the audio code's numbers that a step sets to zero.
        curriculum_every: every n-th step draws from the AU window (METHOD 2.5: 7 mouth, 15 face).
        bank_share: share of steps that see an emotion image (emotion stage).
        cache_mib: byte budget of decoded frames, MiB.
        save_every_seconds: wall time between two states.
        backend: "auto", "torch", "cpu" or "cuda".
    """

    steps: int
    canonical_steps: int = 0
    teacher_steps: int = 0
    landmark_steps: int = 0
    settle_steps: int = 0
    n_gaussians: int = 9_000
    max_gaussians: int = 10_600
    sh_degree: int = 1
    lambda_dssim: float = 0.2
    lambda_detail: float = 0.0
    lambda_alpha: float = 0.05
    lambda_normal: float = 0.05
    lambda_normal_tv: float = 0.005
    lambda_normal_residual: float = 0.001
    lambda_landmark: float = 0.2
    lambda_taught: float = 0.6
    lambda_offset: float = 1e-5
    lambda_sync: float = 0.0
    sync_every: int = 4
    sync_frames: int = 12
    lip_weight: float = 3.0
    eye_weight: float = 1.0
    lr_means: float = 1.5e-4
    lr_quats: float = 2e-3
    lr_scales: float = 5e-3
    lr_opacities: float = 3e-2
    lr_colours: float = 1e-2
    lr_normals: float = 1e-3
    lr_grid: float = 5e-3
    lr_networks: float = 1e-3
    densify_from: int = 250
    densify_every: int = 250
    densify_until: float = 0.6
    densify_share: float = 0.06
    prune_opacity: float = 0.02
    audio_noise: float = 0.0
    unit_noise: float = 0.0
    code_dropout: float = 0.0
    curriculum_every: int = 7
    bank_share: float = 0.75
    cache_mib: int = 1024
    save_every_seconds: float = 30.0
    backend: str = "auto"

    @property
    def has_teachers(self) -> bool:
        """Whether branches of other seeds teach: for some steps, by the landmarks' motion."""
        return self.teacher_steps > 0 and self.lambda_landmark > 0

    def __post_init__(self) -> None:
        mistakes = [
            explain(name, getattr(self, name), "wanted a number >= 0", "correct config.yaml")
            for name in (f.name for f in fields(self))
            if isinstance(getattr(self, name), int | float) and getattr(self, name) < 0
        ]
        if self.steps < 1:
            mistakes.append(explain("steps", self.steps, "wanted >= 1", "correct config.yaml"))
        for name, least in (("sync_every", 1), ("sync_frames", 5)):
            if getattr(self, name) < least:
                mistakes.append(
                    explain(name, getattr(self, name), f"wanted >= {least}", "correct config.yaml")
                )
        if not 0 <= self.sh_degree <= 3:
            mistakes.append(
                explain("sh_degree", self.sh_degree, "wanted 0..3", "correct config.yaml")
            )
        for name in ("bank_share", "code_dropout"):
            if getattr(self, name) > 1:
                mistakes.append(
                    explain(name, getattr(self, name), "wanted 0..1", "correct config.yaml")
                )
        if mistakes:
            raise ConfigError("\n".join(mistakes))

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> TrainingSettings:
        """Settings of a config block; ConfigError names unknown keys."""
        known = {f.name for f in fields(cls)}
        unknown = sorted(set(data) - known)
        if unknown:
            raise ConfigError(
                explain(
                    "training settings",
                    unknown,
                    f"wanted some of {sorted(known)}",
                    "correct config.yaml",
                )
            )
        return cls(**data)

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready dictionary."""
        return asdict(self)
