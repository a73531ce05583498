"""The evaluation block of the config as a record with defaults."""

from __future__ import annotations

from dataclasses import dataclass

from emotalk_core.errors import ConfigError, explain
from emotalk_core.evaluation.intervals import BootstrapSettings


@dataclass(frozen=True)
class EvaluationSettings:
    """How scores are made.

    Attributes:
        block_frames: frames of a bootstrap block (25 = one second; our choice).
        resamples: bootstrap draws of an interval; 0 leaves low and high empty.
    """

    block_frames: int = 25
    resamples: int = 400

    def __post_init__(self) -> None:
        if self.block_frames < 1:
            raise ConfigError(
                explain(
                    "evaluation.block_frames", self.block_frames, "wanted 1 or more", "correct it"
                )
            )
        if self.resamples < 0:
            raise ConfigError(
                explain("resamples", self.resamples, "wanted 0 or more", "correct it")
            )

    @property
    def bootstrap(self) -> BootstrapSettings:
        """The interval's part."""
        return BootstrapSettings(self.block_frames, self.resamples)
