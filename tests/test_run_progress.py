"""The line of the whole run: which stage, how far, how long still."""

from __future__ import annotations

import io
import logging
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "workflow_scripts"))

from _run_progress import RunProgress, follow_run, minutes


def event(**fields: object) -> logging.LogRecord:
    record = logging.LogRecord("engine", logging.INFO, "", 0, None, None, None)
    record.__dict__.update(fields)
    return record


@pytest.fixture
def run() -> tuple[RunProgress, io.StringIO]:
    out = io.StringIO()
    progress = RunProgress(out)
    progress.emit(event(event="run_info", stats={"ingest": 1, "train_face": 1, "all": 1}))
    progress.begin()
    return progress, out


def start(progress: RunProgress, jobid: int, rule: str) -> None:
    wildcards = {"subject": "anna"}
    progress.emit(event(event="job_info", jobid=jobid, rule_name=rule, wildcards=wildcards))


def test_a_line_names_what_runs_and_what_is_left(run: tuple[RunProgress, io.StringIO]) -> None:
    progress, out = run
    start(progress, 4, "ingest")
    assert out.getvalue() == "[run] 0 of 2 stages done (0 % of the work); now: ingest anna\n"
    progress.emit(event(event="job_finished", job_id=4))
    line = out.getvalue().splitlines()[-1]
    assert line.startswith("[run] 1 of 2 stages done (4 % of the work)")
    assert "left" in line and "now" not in line


def test_the_share_counts_work_and_not_jobs(run: tuple[RunProgress, io.StringIO]) -> None:
    progress, _ = run
    start(progress, 4, "train_face")
    progress.emit(event(event="job_finished", job_id=4))
    assert "1 of 2 stages done (96 % of the work)" in progress.line()


def test_the_end_and_foreign_events_are_silent(run: tuple[RunProgress, io.StringIO]) -> None:
    progress, out = run
    progress.emit(event(event="job_finished", job_id=9))
    progress.emit(event(levelname="INFO"))
    start(progress, 1, "all")
    assert out.getvalue() == ""


def test_minutes_are_for_reading() -> None:
    assert [minutes(s) for s in (4, 89, 600, 7500)] == ["4 s", "89 s", "10 min", "2 h 05 min"]


def test_the_handler_is_attached_once() -> None:
    logger = logging.Logger("engine")
    assert follow_run(logger) is follow_run(logger)
    assert len(logger.handlers) == 1


def test_a_dry_run_prints_nothing() -> None:
    out = io.StringIO()
    progress = RunProgress(out)
    progress.emit(event(event="run_info", stats={"ingest": 1}))
    start(progress, 4, "ingest")
    assert out.getvalue() == ""
