"""Several calls at once, their results in order."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, TypeVar

Result = TypeVar("Result")


def side_by_side(
    work: Callable[..., Result], arguments: Iterable[tuple[Any, ...]], threads: int
) -> Iterator[Result]:
    """Yield `work(*arguments)` of each, in their order; `threads` of them run at a time.

    Arguments are taken as threads become free, so that a long list is never held. With one thread
    everything runs in the caller's. An error of `work` comes out at its place in the order.
    """
    if threads == 1:
        for each in arguments:
            yield work(*each)
        return
    running: deque[Future[Result]] = deque()
    with ThreadPoolExecutor(threads) as pool:
        try:
            for each in arguments:
                running.append(pool.submit(work, *each))
                if len(running) > threads:  # one waits, so that no thread does
                    yield running.popleft().result()
            while running:
                yield running.popleft().result()
        finally:
            for future in running:
                future.cancel()
