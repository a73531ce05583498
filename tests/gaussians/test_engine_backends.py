"""Choice of a backend, what is said when one is missing, the self-test, stale and absent builds."""

from __future__ import annotations

import logging
import re
from pathlib import Path

import pytest
import torch

from emotalk_core.code_version import closure, code_version
from emotalk_core.errors import BackendUnavailableError, ConfigError
from emotalk_core.gaussians import backends, kernels
from emotalk_core.gaussians.self_test import self_test

CPU = torch.device("cpu")


@pytest.fixture
def no_kernels(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv(kernels.KERNELS_VARIABLE, "none")
    kernels.load.cache_clear()
    backends._warn_once.cache_clear()
    yield
    kernels.load.cache_clear()


def test_self_test_finds_nothing_wrong_with_what_is_available() -> None:
    report = self_test()
    assert set(report) == {"cuda", "cpu", "torch"}
    assert report == backends.available()
    assert report["torch"] == ""


def test_without_kernels_torch_takes_over_with_one_warning(
    no_kernels: None, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        names = [backends.resolve("auto", CPU, torch.float32) for _ in range(3)]
    assert names == ["torch"] * 3
    assert len(caplog.records) == 1
    with pytest.raises(BackendUnavailableError, match="EMOTALK_KERNELS=none"):
        backends.resolve("cpu", CPU, torch.float32)


def test_an_unbuilt_checkout_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kernels, "_module", _refuse)
    kernels.load.cache_clear()
    reason = kernels.why_missing()
    kernels.load.cache_clear()
    assert "g++" in reason and "pip install" in reason


def _refuse(isa: str) -> None:
    raise ImportError(f"No module named _kernels_{isa}")


def test_a_kernel_that_this_machine_lacks_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    if not kernels.runnable():
        pytest.skip("the kernels are not built")
    with pytest.raises(ConfigError, match="sse9"):
        kernels.load("sse9")


def test_float64_goes_to_torch_and_unknown_names_are_refused() -> None:
    assert backends.resolve("auto", CPU, torch.float64) == "torch"
    with pytest.raises(ValueError, match="backend=gpu"):
        backends.resolve("gpu", CPU, torch.float32)
    with pytest.raises(BackendUnavailableError, match="cpu"):
        backends.resolve("cuda", CPU, torch.float32)


def test_the_build_is_not_older_than_its_sources(caplog: pytest.LogCaptureFixture) -> None:
    if not kernels.runnable():
        pytest.skip("the kernels are not built")
    kernels.load.cache_clear()
    with caplog.at_level(logging.WARNING):
        kernels.load()
    assert not caplog.records


def test_every_kernel_source_counts_for_the_stages_that_use_it() -> None:
    folder = Path(kernels.__file__).parent
    on_disk = sorted(f"csrc/{p.name}" for p in (folder / "csrc").glob("*.*"))
    assert on_disk == sorted(kernels.SOURCES)
    assert "gaussians.kernels" in closure("gaussians.rasterize")
    assert re.fullmatch("[0-9a-f]{12}", code_version("gaussians.rasterize"))


def test_the_constants_of_both_languages_agree() -> None:
    from emotalk_core.gaussians import conventions as python
    from emotalk_core.geometry.projection import FRUSTUM_MARGIN

    text = (Path(kernels.__file__).parent / "csrc" / "raster.h").read_text()
    found = dict(re.findall(r"constexpr \w+ (k\w+) = ([^;]+);", text))
    numbers = {
        "kMaxAlpha": python.MAX_ALPHA,
        "kMinTransmittance": python.MIN_TRANSMITTANCE,
        "kEps2d": python.EPS2D,
        "kNearPlane": python.NEAR_PLANE,
        "kMinCoverage": python.MIN_COVERAGE,
        "kFrustumMargin": FRUSTUM_MARGIN,
    }
    for name, value in numbers.items():
        assert float(found[name].rstrip("f")) == value, name
