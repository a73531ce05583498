"""Same bytes in every run, with every thread count, and beside a training in another thread."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest
import torch

from emotalk_core.gaussians.backends import available
from tests.gaussians.conftest import Backend
from tests.gaussians.scenes import IMAGES, draw, gradients, random_scene, to_kind


def scene_of(seed: int):
    return to_kind(random_scene(1200, 90, 70, seed=seed), "cpu", torch.float32)


def everything(seed: int, threads: int) -> list[torch.Tensor]:
    scene = scene_of(seed)
    images = draw(scene, "cpu", threads)
    return [getattr(images, i) for i in IMAGES] + list(gradients(scene, "cpu", threads).values())


@pytest.fixture(autouse=True)
def _needs_kernels() -> None:
    if available()["cpu"]:
        pytest.skip(available()["cpu"])


def test_five_runs_and_all_thread_counts_give_the_same_bytes(backend: Backend) -> None:
    if backend.name != "cpu":
        pytest.skip("only the compiled kernels promise equal bytes")
    first = everything(5, threads=1)
    for threads in (1, 1, 1, 1, 2, 3, 7):
        again = everything(5, threads)
        assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))


def test_renders_and_trainings_in_parallel_do_not_meet() -> None:
    alone = {seed: everything(seed, threads=2) for seed in (1, 2, 3)}
    with ThreadPoolExecutor(max_workers=3) as pool:
        results = list(pool.map(lambda s: (s, everything(s, threads=2)), [1, 2, 3] * 4))
    for seed, together in results:
        assert all(torch.equal(a, b) for a, b in zip(alone[seed], together, strict=True))
