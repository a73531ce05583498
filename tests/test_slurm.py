"""The demo subject through a real one-machine SLURM: two nodes, one job cancelled in the middle."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.pipeline_fixtures import SMOKE, TARGETS
from tests.pipeline_tools import command, copy_checkout, environment

CLUSTER = Path(__file__).parent / "slurm_one_machine.sh"
MISSING = [
    p
    for p in ("slurmctld", "slurmd", "sbatch", "munged")
    if not shutil.which(p, path=f"{os.environ['PATH']}:/usr/sbin")
]

# A cluster of one machine answers at once: ask it more often than a real one.
QUICK = ("--slurm-init-seconds-before-status-checks", "2", "--seconds-between-status-checks", "2")

pytestmark = [pytest.mark.slurm, pytest.mark.slow, pytest.mark.timeout(2400)]
if os.geteuid() != 0:
    pytestmark.append(pytest.mark.skip(reason="needs root to start SLURM's daemons"))
elif MISSING:
    pytestmark.append(
        pytest.mark.skip(
            reason=f"not installed: {MISSING} (Debian: slurmctld slurmd slurm-client munge)"
        )
    )


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A running two-node cluster on this machine."""
    # munged refuses folders that others may write to, so not below pytest's own folder
    folder = Path("/run/emotalk-slurm")
    subprocess.run([str(CLUSTER), str(folder), "start"], check=True, timeout=120)
    yield folder
    subprocess.run([str(CLUSTER), str(folder), "stop"], check=True, timeout=60)
    shutil.rmtree(folder, ignore_errors=True)


def queue(*columns: str) -> list[str]:
    done = subprocess.run(
        ["squeue", "-h", "-t", "RUNNING", "-o", " ".join(columns)],
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.split("\n")


def test_run_with_a_cancelled_job_ends_well(cluster: Path, tmp_path: Path) -> None:
    folder = copy_checkout(tmp_path / "run")
    run = subprocess.Popen(
        command("--profile", "profiles/slurm", *QUICK, *TARGETS, *SMOKE),
        cwd=folder,
        env=environment() | {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"},
        stdout=(tmp_path / "out").open("w"),
        stderr=subprocess.STDOUT,
    )
    cancelled = None
    while run.poll() is None:
        if cancelled is None and (folder / "results/demo/logs/train_face_emotalk.log").exists():
            gpu_jobs = [line.split() for line in queue("%A", "%P") if line.endswith("gpu")]
            if gpu_jobs:
                cancelled = gpu_jobs[0][0]
                subprocess.run(["scancel", cancelled], check=True)
        time.sleep(0.5)
    text = (tmp_path / "out").read_text()
    assert run.returncode == 0, text[-6000:]
    assert cancelled is not None, "no running training job was seen"
    assert all((folder / target).is_file() for target in TARGETS)
    finished = (cluster / "log/jobcomp.txt").read_text()
    assert "NodeList=n1" in finished and "NodeList=n2" in finished
    assert f"JobId={cancelled} " in finished
