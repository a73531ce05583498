"""How far the whole run is: one line when a stage starts or ends, with the time that is left."""

from __future__ import annotations

import logging
import sys
import time
from collections import Counter
from typing import TextIO

# Seconds of a 27 s clip at preset small on one thread; only their ratios are used.
COST = {
    "ingest": 20.0,
    "demo_actor": 60.0,
    "track_head": 24.0,
    "segment_regions": 80.0,
    "estimate_normals": 17.0,
    "separate_torso": 70.0,
    "read_face": 14.0,
    "refine_cameras": 40.0,
    "adapt_sync_expert": 20.0,
    "adapt_pixel_sync_expert": 60.0,
    "extract_speech_features": 5.0,
    "make_emotion_bank": 110.0,
    "check_quality": 22.0,
    "train_mouth": 200.0,
    "train_face": 510.0,
    "train_emotion": 210.0,
    "train_avatar": 66.0,
    "render_scenarios": 100.0,
    "score_method": 90.0,
    "collect_metrics": 75.0,
    "write_report": 40.0,
}
OTHER = 5.0  # any stage that is not named above


def minutes(seconds: float) -> str:
    """A duration for reading: "40 s", "12 min", "3 h 05 min"."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    whole = round(seconds / 60)
    return f"{whole} min" if whole < 90 else f"{whole // 60} h {whole % 60:02d} min"


class RunProgress(logging.Handler):
    """Follows the engine's events; prints `[run] 5 of 21 stages done (31 % of the work), ...`."""

    def __init__(self, out: TextIO | None = None) -> None:
        super().__init__(logging.INFO)
        self._out = out
        self._left: Counter[str] = Counter()
        self._running: dict[int, str] = {}
        self._finished: list[str] = []
        self._begin: float | None = None

    def begin(self) -> None:
        """The plan is known and its first job is about to start: print from now on."""
        self._begin = time.monotonic()

    def emit(self, record: logging.LogRecord) -> None:
        """Take one event of the engine (other records are not ours)."""
        event = getattr(record, "event", None)
        if event == "run_info":
            stats = dict(record.stats)  # type: ignore[attr-defined]
            self._left = Counter({k: v for k, v in stats.items() if k not in ("total", "all")})
        elif self._begin is None:
            return
        elif event == "job_info" and record.rule_name in self._left:  # type: ignore[attr-defined]
            about = ", ".join(record.wildcards.values())  # type: ignore[attr-defined]
            name = record.rule_name  # type: ignore[attr-defined]
            self._running[record.jobid] = f"{name} {about}".strip()  # type: ignore[attr-defined]
            self._say()
        elif event == "job_finished" and record.job_id in self._running:  # type: ignore[attr-defined]
            name = self._running.pop(record.job_id).split()[0]  # type: ignore[attr-defined]
            self._finished.append(name)
            self._left[name] -= 1
            self._say()

    def line(self) -> str:
        """What is done, how long the rest may take, and what runs now."""
        spent = time.monotonic() - (self._begin or time.monotonic())
        done = sum(COST.get(name, OTHER) for name in self._finished)
        rest = sum(COST.get(name, OTHER) * count for name, count in self._left.items())
        stages = len(self._finished) + sum(self._left.values())
        share = 100 * done / max(done + rest, 1e-9)
        text = f"[run] {len(self._finished)} of {stages} stages done ({share:.0f} % of the work)"
        if self._finished:
            text += f", {minutes(spent)} so far, about {minutes(spent * rest / done)} left"
        now = "; ".join(sorted(self._running.values()))
        return f"{text}; now: {now}" if now else text

    def _say(self) -> None:
        if any(self._left.values()):
            print(self.line(), file=self._out or sys.stderr, flush=True)


def follow_run(logger: logging.Logger) -> RunProgress:
    """Attach to the engine's logger, once; silent until `begin` (a dry run never begins)."""
    for handler in logger.handlers:
        if isinstance(handler, RunProgress):
            return handler
    logger.addHandler(progress := RunProgress())
    return progress
