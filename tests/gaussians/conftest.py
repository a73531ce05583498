"""The backends that a contract test runs over; what this machine lacks skips with the reason."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import pytest
import torch

from emotalk_core.gaussians import kernels
from emotalk_core.gaussians.backends import available


@dataclass(frozen=True)
class Backend:
    """How to call a backend and how exact it must be, relative to the float64 oracle."""

    name: str
    device: str
    tolerance: float


BACKENDS = {
    "cpu-avx512": Backend("cpu", "cpu", 1e-5),
    "cpu-avx2": Backend("cpu", "cpu", 1e-5),
    "cpu-baseline": Backend("cpu", "cpu", 1e-5),
    # float32 projection loses digits on thin Gaussians
    "torch": Backend("torch", "cpu", 2e-3),
    # gsplat uses fast exponentials and atomics
    "cuda": Backend("cuda", "cuda", 5e-3),
}


def _parameters() -> list[object]:
    return [pytest.param(n, marks=[pytest.mark.gpu] if n == "cuda" else []) for n in BACKENDS]


@pytest.fixture(params=_parameters())
def backend(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Backend]:
    chosen = BACKENDS[request.param]
    reason = available()[chosen.name]
    if reason:
        pytest.skip(reason)
    isa = request.param.partition("-")[2]
    if isa:
        if isa not in kernels.runnable():
            pytest.skip(f"this processor or build has no {isa}")
        monkeypatch.setenv(kernels.KERNELS_VARIABLE, isa)
    kernels.load.cache_clear()
    yield chosen
    kernels.load.cache_clear()


@pytest.fixture(autouse=True)
def _one_torch_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)
