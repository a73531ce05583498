"""Environment files parse, and their pins are the ones that `make` installs."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[1]
PINS = dict(
    line.strip().split("==")
    for line in (ROOT / "requirements/constraints.txt").read_text().splitlines()
    if "==" in line
)


def required(file: str) -> list[str]:
    lines = (ROOT / "requirements" / file).read_text().splitlines()
    return [
        re.split(r"[=<>]", line)[0].strip().lower() for line in lines if line and line[0] != "#"
    ]


@pytest.mark.parametrize("path", sorted((ROOT / "envs").glob("*.yaml")), ids=lambda p: p.name)
def test_environment_parses_and_points_at_files_that_exist(path: Path) -> None:
    data = yaml.safe_load(path.read_text())
    assert data["name"].startswith("emotalk-") and "python=3.11" in data["dependencies"]
    (pip,) = [d["pip"] for d in data["dependencies"] if isinstance(d, dict)]
    for line in pip:
        if line.startswith(("-r ", "-c ")):
            assert (path.parent / line[3:]).is_file()
        else:
            assert "==" in line, f"{line} is not pinned"


def test_core_environment_uses_the_same_files_as_make() -> None:
    core, make = (ROOT / "envs/core.yaml").read_text(), (ROOT / "Makefile").read_text()
    for name in ("requirements/runtime.in", "requirements/constraints.txt"):
        assert name in core and name in make


@pytest.mark.parametrize("file", ["runtime.in", "build.in", "dev.in"])
def test_every_requirement_has_one_pin(file: str) -> None:
    pins = {name.lower().replace("_", "-") for name in PINS}
    missing = [n for n in required(file) if n.replace("_", "-") not in pins]
    assert not missing


def test_packaged_models_are_pinned() -> None:
    lines = (ROOT / "requirements/packaged_models.txt").read_text().split()
    assert lines and all("==" in line for line in lines)


def test_every_rule_names_the_core_environment() -> None:
    for path in sorted((ROOT / "rules").glob("*.smk")):
        text = path.read_text()
        assert text.count("conda:\n        ENV") == text.count("    script:\n"), path.name
