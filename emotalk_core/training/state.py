"""A run's state on disk: all that the next step needs, written whole, read only if it fits."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from emotalk_core.errors import ArtifactError
from emotalk_core.media.atomic import sha256_file
from emotalk_core.media.checkpoints import load_checkpoint, save_checkpoint

logger = logging.getLogger(__name__)

KIND = "training_state"


@dataclass(frozen=True)
class RunState:
    """What an interrupted run continues from.

    Attributes:
        step: the next global step.
        tensors: model, optimiser and densification tensors by "part:name".
        numbers: guards' running means.
    """

    step: int
    tensors: Mapping[str, Tensor]
    numbers: Mapping[str, float]

    def part(self, name: str) -> dict[str, Tensor]:
        """Tensors of one part without its prefix."""
        prefix = f"{name}:"
        return {k.removeprefix(prefix): v for k, v in self.tensors.items() if k.startswith(prefix)}


def fingerprint(facts: Mapping[str, Any], inputs: Mapping[str, Path]) -> str:
    """Hex sha256 over settings, seed, code version and the bytes of every input file."""
    hashes = {name: sha256_file(path) for name, path in sorted(inputs.items())}
    text = json.dumps({"facts": dict(facts), "inputs": hashes}, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def save_state(path: Path, state: RunState, run: str) -> None:
    """Write the state of run `run` (its fingerprint)."""
    # repr keeps every bit of a float; the guards must see the same numbers after a restart.
    numbers = {name: repr(value) for name, value in state.numbers.items()}
    save_checkpoint(path, state.tensors, KIND, {"step": state.step, "run": run, "numbers": numbers})


def load_state(path: Path, run: str) -> RunState | None:
    """The state to continue from, or None when there is none for this run.

    A file of another run (changed settings, code or inputs) or a broken one is set aside with a log
    line: starting anew is always right.
    """
    if not Path(path).exists():
        return None
    try:
        tensors, header = load_checkpoint(path, KIND)
    except ArtifactError as error:
        logger.warning("state not used, starting from step 0: %s", error)
        return None
    if header["run"] != run:
        logger.info("%s belongs to other settings, code or inputs; starting from step 0", path.name)
        return None
    numbers = {name: float(value) for name, value in header["numbers"].items()}
    return RunState(step=int(header["step"]), tensors=tensors, numbers=numbers)
