"""The true command on the digital actor at preset smoke: what it leaves, what a kill does."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pandas as pd
import psutil
import pytest

from emotalk_core.types.metrics import METRIC_COLUMNS, SCORED_SCENARIOS, TRIVIAL_METHODS
from tests.pipeline_fixtures import SMOKE, TARGETS
from tests.pipeline_tools import command, environment, snakemake

pytestmark = [pytest.mark.pipeline, pytest.mark.slow, pytest.mark.timeout(1800)]

MAX_FILES = 60  # per subject: few files, a person can open each
PICKLE_MAGIC = (b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05")


def metrics(folder: Path) -> pd.DataFrame:
    return pd.read_csv(folder / TARGETS[0])


def test_metrics_hold_every_method_and_scenario(smoke_run: Path) -> None:
    table = metrics(smoke_run)
    assert tuple(table.columns) == METRIC_COLUMNS
    assert set(table.subject) == {"demo"}
    assert set(table.method) == {"emotalk", *TRIVIAL_METHODS}
    assert set(table[table.method == "emotalk"].scenario) == set(SCORED_SCENARIOS)
    assert table.evaluator.notna().all()
    packaged = ~table.evaluator.isin(["pixels-lossless-1", "computed"])
    assert packaged.any() and not table[packaged].reference.any(), "stand-ins say so"


def test_avatar_beats_the_trivial_rows(smoke_run: Path) -> None:
    table = metrics(smoke_run)
    rows = table[(table["clip"] == "all") & (table.metric == "psnr_full")]
    value = rows[rows.scenario == "self_reconstruction"].set_index("method").value
    assert value["emotalk"] > value["mean_frame"] + 3


def test_few_files_no_pickle_nothing_elsewhere(smoke_run: Path) -> None:
    files = [p for p in (smoke_run / "results/demo").rglob("*") if p.is_file()]
    assert len(files) < MAX_FILES, sorted(str(f) for f in files)
    assert all(f.suffix not in {".pkl", ".pt", ".pth"} for f in files)
    assert all(f.read_bytes()[:2] not in PICKLE_MAGIC for f in files)
    assert all(not f.name.startswith(".") for f in files), "a temporary file was left"
    expected = {"results", ".snakemake", "data"}
    outside = {p.name for p in smoke_run.iterdir()} - expected
    assert outside <= {p.name for p in Path(__file__).parents[1].iterdir()}


def test_logs_show_rate_and_time_left(smoke_run: Path) -> None:
    log = (smoke_run / "results/demo/logs/train_face_emotalk.log").read_text()
    assert "/s, " in log and "s left" in log and "peak memory" in log


def test_a_second_call_does_nothing(smoke_run: Path) -> None:
    begin = time.monotonic()
    done = snakemake(smoke_run, "--cores", "2", *TARGETS, *SMOKE)
    assert "Nothing to be done" in done.stdout
    assert time.monotonic() - begin < 60  # 20 s on a quiet machine


def without_training(smoke_run: Path, folder: Path) -> Path:
    """A copy of the finished run whose training and everything after it is gone."""
    shutil.copytree(smoke_run, folder, symlinks=True)
    for name in ("avatars", "renders", "scores", "metrics.csv", "report.html", "report.png"):
        path = folder / "results/demo" / name
        shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
    return folder


def start(folder: Path) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        command("--cores", "2", *TARGETS, *SMOKE),
        cwd=folder,
        env=environment(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )


def wait_for_state(folder: Path, run: subprocess.Popen[bytes]) -> None:
    """Wait until a training stage has saved a whole state (a name with a dot is still written)."""
    for _ in range(1200):
        found = (folder / "results/demo/avatars").rglob("*state*")
        if any(not path.name.startswith(".") for path in found):
            return
        assert run.poll() is None, "the run ended before a training state was seen"
        time.sleep(0.1)
    raise AssertionError("no training state within two minutes")


def test_kill_of_everything_then_the_same_command(smoke_run: Path, tmp_path: Path) -> None:
    folder = without_training(smoke_run, tmp_path / "killed")
    run = start(folder)
    wait_for_state(folder, run)
    os.killpg(run.pid, signal.SIGKILL)
    run.wait()
    assert list((folder / ".snakemake/locks").iterdir()), "a killed run leaves its lock"
    done = snakemake(folder, "--cores", "2", *TARGETS, *SMOKE, timeout=1200)
    assert "removed the lock" in done.stdout
    logs = [p.read_text() for p in (folder / "results/demo/logs").glob("train_*.log")]
    assert any("continues at step" in text for text in logs), "training went on from its last state"
    wanted = (smoke_run / TARGETS[0]).read_bytes()
    assert (folder / TARGETS[0]).read_bytes() == wanted


def training_jobs(run: subprocess.Popen[bytes]) -> list[psutil.Process]:
    children = psutil.Process(run.pid).children(recursive=True)
    return [c for c in children if not c.children() and "scripts" in " ".join(c.cmdline())]


def test_kill_of_one_job_then_the_same_command(smoke_run: Path, tmp_path: Path) -> None:
    folder = without_training(smoke_run, tmp_path / "job")
    run = start(folder)
    wait_for_state(folder, run)
    for job in training_jobs(run)[:1]:
        job.kill()
    assert run.wait(timeout=600) != 0
    snakemake(folder, "--cores", "2", *TARGETS, *SMOKE, timeout=1200)
    wanted = (smoke_run / TARGETS[0]).read_bytes()
    assert (folder / TARGETS[0]).read_bytes() == wanted
