"""Methods as data: from a name of the paper's tables to the parts and stages it has."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from emotalk_core.errors import ConfigError, explain

STAGES = ("mouth", "face", "emotion", "avatar")
EMOTION_KINDS = ("none", "branch", "combined")
METHODS_FILE = "methods.toml"


@dataclass(frozen=True)
class Method:
    """One row of the paper's tables.

    Attributes:
        name: key in methods.toml.
        stages: training stages in order.
        emotion: "none", "branch" (METHOD 1.1) or "combined" (ablation T4: f^F takes a, u, e).
        normals: normal losses on.
        sync: sync loss on.
    """

    name: str
    stages: tuple[str, ...]
    emotion: str
    normals: bool
    sync: bool

    def __post_init__(self) -> None:
        if self.emotion not in EMOTION_KINDS:
            raise ConfigError(
                explain(
                    f"methods.{self.name}.emotion",
                    self.emotion,
                    f"wanted one of {EMOTION_KINDS}",
                    f"correct {METHODS_FILE}",
                )
            )
        unknown = [stage for stage in self.stages if stage not in STAGES]
        if unknown:
            raise ConfigError(
                explain(
                    f"methods.{self.name}.stages",
                    unknown,
                    f"wanted some of {STAGES}",
                    f"correct {METHODS_FILE}",
                )
            )

    @property
    def has_emotion(self) -> bool:
        """Whether (valence, arousal) is an input at all."""
        return self.emotion != "none"


@lru_cache(maxsize=1)
def load_methods() -> dict[str, Method]:
    """All methods by name, in the file's order."""
    text = (Path(__file__).parent / METHODS_FILE).read_text(encoding="utf-8")
    return {
        name: Method(name=name, **{**block, "stages": tuple(block["stages"])})
        for name, block in tomllib.loads(text).items()
    }


def get_method(name: str) -> Method:
    """One method by name.

    Raises:
        ConfigError: no such method; lists those that exist.
    """
    methods = load_methods()
    if name not in methods:
        raise ConfigError(
            explain(
                "method",
                name,
                f"wanted one of {sorted(methods)}",
                "correct config.yaml (methods) or add a block to avatar/methods.toml",
            )
        )
    return methods[name]
