"""Environment files parse, and their pins are the ones that `make` installs."""

from __future__ import annotations

import os
import re
import subprocess
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
def test_environment_parses_and_what_pip_installs_is_pinned(path: Path) -> None:
    data = yaml.safe_load(path.read_text())
    assert data["name"].startswith("emotalk-") and "python=3.11" in data["dependencies"]
    for line in [pin for d in data["dependencies"] if isinstance(d, dict) for pin in d["pip"]]:
        # no file: Snakemake copies the environment file away, its neighbours stay
        assert re.fullmatch(r"[\w.-]+==[\w.]+", line), f"{line} is not pinned"


def installed_by_script(script: Path, folder: Path) -> list[str]:
    """Arguments of each pip call of a post-deploy script, run beside a python that only notes."""
    fake = folder / "python"
    fake.write_text(f'#!/bin/bash\necho "$@" >> {folder}/calls\n')
    fake.chmod(0o755)
    path = f"{folder}:{os.environ['PATH']}"
    subprocess.run(["bash", script], cwd=ROOT, check=True, env={**os.environ, "PATH": path})
    return [" ".join(line.split()) for line in (folder / "calls").read_text().splitlines()]


def installed_by_make() -> list[str]:
    """The same of the Makefile's rule for the environment of a run, without its own package."""
    rule = (ROOT / "Makefile").read_text().split("$(STAMP):")[1].split("$(DEV):")[0]
    lines = re.findall(r"\$\(BIN\)/python (-m pip install .*-r .*)", rule)
    return [" ".join(line.split()) for line in lines]


@pytest.mark.parametrize("name", ["core", "speech_reference"])
def test_conda_installs_what_make_installs(name: str, tmp_path: Path) -> None:
    calls = installed_by_script(ROOT / f"envs/{name}.post-deploy.sh", tmp_path)
    assert len(installed_by_make()) == 2 and calls[:2] == installed_by_make()
    for file in re.findall(r"-[rc] (\S+)", " ".join(calls)):
        assert (ROOT / file).is_file()
    for pin in " ".join(calls[2:]).split():
        assert "==" in pin or not pin.startswith("transformers")


def test_coqui_has_the_torch_that_it_does_not_bring() -> None:
    data = yaml.safe_load((ROOT / "envs/tts.yaml").read_text())
    (pip,) = [d["pip"] for d in data["dependencies"] if isinstance(d, dict)]
    pins = dict(line.split("==") for line in pip)
    assert pins["torch"] == pins["torchaudio"]
    # from 2.9 on it wants torchcodec and shared ffmpeg libraries too
    assert tuple(map(int, pins["torch"].split(".")[:2])) < (2, 9)


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


def test_every_script_has_a_rule() -> None:
    rules = "".join(path.read_text() for path in (ROOT / "rules").glob("*.smk"))
    rules += (ROOT / "Snakefile").read_text()
    scripts = [path.name for path in (ROOT / "workflow_scripts").glob("[!_]*.py")]
    assert [name for name in scripts if f'workflow_scripts/{name}"' not in rules] == []
