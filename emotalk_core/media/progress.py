"""Progress of long work: rate, time left and current numbers, as plain lines in any log."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable, Iterator
from typing import TypeVar

Item = TypeVar("Item")
LOG_EVERY_SECONDS = 5.0  # often enough to see life, rare enough for a log file


class Progress:
    """Counts steps of a task; logs `label 120/900 (13 %) 24.1/s, 32 s left, loss=0.03` at times."""

    def __init__(self, label: str, total: int, logger: logging.Logger, start: int = 0) -> None:
        self._label, self._total, self._logger = label, total, logger
        self._begin = self._last = time.monotonic()
        self._start = self._done = start

    def step(self, count: int = 1, **numbers: float) -> None:
        """Advance by `count`; `numbers` (losses, counts) are shown with the next line."""
        self._done += count
        now = time.monotonic()
        if now - self._last >= LOG_EVERY_SECONDS or self._done >= self._total:
            self._last = now
            self._logger.info("%s", self._line(now, numbers))

    def _line(self, now: float, numbers: dict[str, float]) -> str:
        rate = (self._done - self._start) / max(now - self._begin, 1e-9)
        left = (self._total - self._done) / max(rate, 1e-9)
        extra = "".join(f", {k}={v:.4g}" for k, v in numbers.items())
        share = 100 * self._done // max(self._total, 1)
        done = f"{self._label} {self._done}/{self._total} ({share} %)"
        return f"{done} {rate:.1f}/s, {left:.0f} s left{extra}"


def track(items: Iterable[Item], label: str, total: int, logger: logging.Logger) -> Iterator[Item]:
    """Yield items and log progress."""
    progress = Progress(label, total, logger)
    for item in items:
        yield item
        progress.step()
