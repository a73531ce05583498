"""Calls side by side: in order, none held that is not needed, errors at their place."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator

import cv2
import pytest

from emotalk_core.media.side_by_side import one_thread_each, side_by_side


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_results_keep_the_order(threads: int) -> None:
    def slow_first(number: int) -> int:
        time.sleep(0.02 if number == 0 else 0.0)
        return number * 10

    assert list(side_by_side(slow_first, ((k,) for k in range(6)), threads)) == [
        0, 10, 20, 30, 40, 50,
    ]  # fmt: skip


@pytest.mark.parametrize("threads", [1, 2])
def test_arguments_are_taken_as_needed(threads: int) -> None:
    taken = []

    def arguments() -> Iterator[tuple[int]]:
        for k in range(100):
            taken.append(k)
            yield (k,)

    results = side_by_side(lambda k: k, arguments(), threads)
    assert next(results) == 0
    assert len(taken) <= threads + 1
    results.close()  # type: ignore[attr-defined]


@pytest.mark.parametrize("threads", [1, 2])
def test_an_error_comes_at_its_place(threads: int) -> None:
    def work(number: int) -> int:
        if number == 2:
            raise ArithmeticError("frame 2")
        return number

    results = side_by_side(work, ((k,) for k in range(9)), threads)
    assert [next(results), next(results)] == [0, 1]
    with pytest.raises(ArithmeticError, match="frame 2"):
        next(results)


def test_libraries_get_their_threads_back() -> None:
    before = cv2.getNumThreads(), sys.getswitchinterval()
    with pytest.raises(ArithmeticError), one_thread_each():
        assert cv2.getNumThreads() == 1
        raise ArithmeticError
    assert (cv2.getNumThreads(), sys.getswitchinterval()) == before
