"""Time and peak memory of every stage, out of the logs that the stages leave."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

# How a stage ends its log: "emotalk.train_face: done in 92.3 s, peak memory 900 MiB"
DONE = re.compile(r"emotalk\.\w+: done in ([\d.]+) s, peak memory (\d+) MiB")


@dataclass(frozen=True)
class StageTime:
    """What one job took: wall seconds and the largest resident memory in MiB."""

    stage: str
    seconds: float
    memory: int


def stage_times(logs: Path | None) -> list[StageTime]:
    """One entry per log in a folder, slowest first; logs without an end are left out."""
    found = []
    for log in sorted(logs.glob("*.log")) if logs is not None else []:
        ends = DONE.findall(log.read_text(encoding="utf-8", errors="replace"))
        if ends:
            seconds, memory = ends[-1]
            found.append(StageTime(log.stem, float(seconds), int(memory)))
    return sorted(found, key=lambda s: -s.seconds)
