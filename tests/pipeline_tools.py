"""Helpers of the tests that run Snakemake: copies of the checkout, calls, planned jobs."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PARTS = (
    "Snakefile",
    "config.yaml",
    "rules",
    "workflow_scripts",
    "emotalk_core",
    "envs",
    "profiles",
    "presets",
    "requirements",
)
# Writes every output of a job without computing: enough to test which jobs are planned.
FAKE_SCRIPT = """
from pathlib import Path
for path in snakemake.output:
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    Path(path).write_text(str(snakemake.rule))
Path(snakemake.log[0]).write_text("fake")
"""


def copy_checkout(folder: Path, fake_scripts: bool = False) -> Path:
    """A copy of what a run needs; with `fake_scripts` every stage only writes its output files."""
    folder.mkdir(parents=True, exist_ok=True)
    for part in PARTS:
        source = ROOT / part
        if source.is_dir():
            shutil.copytree(source, folder / part, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy2(source, folder / part)
    if fake_scripts:
        for script in (folder / "workflow_scripts").glob("[a-z]*.py"):
            script.write_text(FAKE_SCRIPT)
    return folder


def environment() -> dict[str, str]:
    """The environment of a run: without the traces of an outer run."""
    drop = ("EMOTALK_RUN_PID", "SLURM_")
    return {k: v for k, v in os.environ.items() if not k.startswith(drop)}


def command(*arguments: str) -> list[str]:
    """`snakemake ...` of this environment as an argument list."""
    return [sys.executable, "-m", "snakemake", *arguments]


def snakemake(
    folder: Path, *arguments: str, timeout: float = 900, check: bool = True
) -> subprocess.CompletedProcess[str]:
    """Run Snakemake in `folder`; stderr comes back in stdout's place of the result's `stdout`."""
    done = subprocess.run(
        command(*arguments),
        cwd=folder,
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=timeout,
        check=False,
    )
    if check and done.returncode != 0:
        raise AssertionError(f"snakemake {arguments} ended with {done.returncode}:\n{done.stdout}")
    return done


def planned_rules(folder: Path, *arguments: str) -> dict[str, int]:
    """Rule name -> number of jobs that a dry run lists (the pseudo rule `all` left out)."""
    text = snakemake(folder, "--cores", "1", "--dry-run", *arguments).stdout
    table = re.search(r"^job +count\n-+ +-+\n(.*?)^total", text, flags=re.MULTILINE | re.DOTALL)
    if table is None:
        assert "Nothing to be done" in text, text
        return {}
    rows = [line.split() for line in table.group(1).splitlines() if line.strip()]
    return {name: int(count) for name, count in rows if name != "all"}
