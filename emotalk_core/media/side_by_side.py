"""Several calls at once, their results in order; libraries with one thread in each of them."""

from __future__ import annotations

import sys
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any, TypeVar

import cv2
from threadpoolctl import threadpool_limits

Result = TypeVar("Result")
# A thread that comes back from a library waits so long for the interpreter; calls of a millisecond
# come back often (Python's own 5 ms cost an eighth of the wall time of perception on two cores)
SWITCH_SECONDS = 5e-4


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


@contextmanager
def one_thread_each() -> Iterator[None]:
    """OpenCV and numpy's libraries compute with one thread in every call (tell torch yourself).

    More would fight with the calls beside them, and round by their number: so the results of
    `side_by_side` are the same bytes for any number of threads.
    """
    before = cv2.getNumThreads(), sys.getswitchinterval()
    cv2.setNumThreads(1)
    sys.setswitchinterval(SWITCH_SECONDS)
    try:
        with threadpool_limits(1):
            yield
    finally:
        cv2.setNumThreads(before[0])
        sys.setswitchinterval(before[1])
