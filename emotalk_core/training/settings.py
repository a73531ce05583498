"""Settings of one training stage: a config block in, a checked dataclass out; three presets."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from typing import Any

from emotalk_core.errors import ConfigError, explain


@dataclass(frozen=True)
class TrainingSettings:
    """Numbers of one stage; a stage ignores those that it has no use for.

    Attributes:
        steps: steps of the stage's last phase (motion, emotion, border fix).
        canonical_steps: steps of the static warm-up (mouth, face).
        landmark_steps: steps of the landmark-motion warm start (mouth: of its jaw; face).
        n_gaussians, max_gaussians: count at the start and the cap of densification.
        sh_degree: bands of the view-dependent colour, 0..3.
        lambda_*: weights of the losses; 0 turns one off.
        lip_weight, eye_weight: extra weight of pixels in the lip and eye boxes.
        lr_means: metres per step at the start; it falls to 1 % of it.
        lr_*: the other rates; they fall to 10 %.
        densify_from, densify_every: steps of the motion phase; densify_until: share of it.
        densify_share: share of the Gaussians that may be split or cloned at once.
        prune_opacity: Gaussians below are removed.
        curriculum_every: every n-th step draws from the AU window (METHOD 2.5: 7 mouth, 15 face).
        bank_share: share of steps that see an emotion image (emotion stage).
        cache_mib: byte budget of decoded frames, MiB.
        save_every_seconds: wall time between two states.
        backend: "auto", "torch", "cpu" or "cuda".
    """

    steps: int
    canonical_steps: int = 0
    landmark_steps: int = 0
    n_gaussians: int = 9_000
    max_gaussians: int = 10_600
    sh_degree: int = 1
    lambda_dssim: float = 0.2
    lambda_alpha: float = 0.05
    lambda_normal: float = 0.05
    lambda_normal_tv: float = 0.005
    lambda_normal_residual: float = 0.001
    lambda_landmark: float = 0.2
    lambda_offset: float = 1e-5
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
    curriculum_every: int = 7
    bank_share: float = 0.75
    cache_mib: int = 1024
    save_every_seconds: float = 30.0
    backend: str = "auto"

    def __post_init__(self) -> None:
        mistakes = [
            explain(name, getattr(self, name), "wanted a number >= 0", "correct config.yaml")
            for name in (f.name for f in fields(self))
            if isinstance(getattr(self, name), int | float) and getattr(self, name) < 0
        ]
        if self.steps < 1:
            mistakes.append(explain("steps", self.steps, "wanted >= 1", "correct config.yaml"))
        if not 0 <= self.sh_degree <= 3:
            mistakes.append(
                explain("sh_degree", self.sh_degree, "wanted 0..3", "correct config.yaml")
            )
        if self.bank_share > 1:
            mistakes.append(
                explain("bank_share", self.bank_share, "wanted 0..1", "correct config.yaml")
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


_SMALL = {
    "mouth": TrainingSettings(
        steps=1500,
        canonical_steps=250,
        landmark_steps=600,
        n_gaussians=1500,
        max_gaussians=2000,
        sh_degree=0,
        lambda_alpha=0.1,
        lambda_landmark=0.5,
        lr_networks=2e-3,
        curriculum_every=2,
        lip_weight=0.0,
        eye_weight=0.0,
    ),
    "face": TrainingSettings(
        steps=2400, canonical_steps=250, landmark_steps=800, curriculum_every=15
    ),
    "emotion": TrainingSettings(steps=1100, lr_grid=1e-2, lr_networks=3e-3),
    "avatar": TrainingSettings(steps=500, lr_opacities=1e-2, lr_colours=3e-3),
}
_SMOKE_STEPS: dict[str, dict[str, Any]] = {
    "mouth": {
        "steps": 100,
        "canonical_steps": 40,
        "landmark_steps": 60,
        "n_gaussians": 600,
        "max_gaussians": 700,
    },
    "face": {
        "steps": 120,
        "canonical_steps": 40,
        "landmark_steps": 100,
        "n_gaussians": 3000,
        "max_gaussians": 3300,
        "densify_from": 50,
        "densify_every": 50,
    },
    "emotion": {"steps": 80},
    "avatar": {"steps": 40},
}
# METHOD 1.3, 2.4, 2.5: 50,000 iterations each and 20,000 for the border fix, at 512 px on a GPU.
_PAPER_RATES: dict[str, Any] = {
    "sh_degree": 2,
    "lr_means": 1.6e-4,
    "lr_quats": 1e-3,
    "lr_scales": 3e-3,
    "lr_opacities": 5e-2,
    "lr_colours": 2.5e-3,
    "lr_normals": 2e-4,
    "lr_networks": 5e-4,
    "densify_from": 500,
    "densify_every": 100,
    "cache_mib": 6144,
}
_PAPER_STEPS: dict[str, dict[str, Any]] = {
    "mouth": {
        "steps": 47_000,
        "canonical_steps": 3_000,
        "landmark_steps": 1_000,
        "n_gaussians": 10_000,
        "max_gaussians": 20_000,
    },
    "face": {
        "steps": 47_000,
        "canonical_steps": 3_000,
        "landmark_steps": 2_000,
        "n_gaussians": 20_000,
        "max_gaussians": 60_000,
    },
    "emotion": {"steps": 50_000},
    "avatar": {"steps": 20_000},
}

# preset -> stage -> settings
PRESETS: dict[str, dict[str, TrainingSettings]] = {
    "smoke": {s: replace(_SMALL[s], **_SMOKE_STEPS[s]) for s in _SMALL},
    "small": _SMALL,
    "paper": {s: replace(_SMALL[s], **{**_PAPER_RATES, **_PAPER_STEPS[s]}) for s in _SMALL},
}
