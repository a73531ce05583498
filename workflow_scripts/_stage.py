"""What every stage script shares: threads, logging to terminal and file, one clear message."""

from __future__ import annotations

import faulthandler
import json
import logging
import os
import resource
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import psutil
from _checkout import use_this_checkout

use_this_checkout()

from emotalk_core.errors import EmotalkError  # noqa: E402
from emotalk_core.weights import POLICY_VARIABLE, on_missing_of  # noqa: E402

Settings = TypeVar("Settings")
THREAD_VARIABLES = (
    "OMP_NUM_THREADS",
    "MKL_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "NUMBA_NUM_THREADS",
)
WATCH_SECONDS = 0.5  # how soon a job notices that its run was killed


class Job:
    """Typed view of the engine's `snakemake` object: named paths, settings block, threads, seed."""

    def __init__(self, snakemake: Any) -> None:
        self._snakemake = snakemake
        self.threads: int = snakemake.threads
        self.wildcards: dict[str, str] = dict(snakemake.wildcards.items())
        self.params = snakemake.params

    def input(self, name: str) -> Path:
        """Path of a named input."""
        return Path(getattr(self._snakemake.input, name))

    def inputs(self, name: str) -> list[Path]:
        """Paths of a named list of inputs."""
        return _listed(getattr(self._snakemake.input, name, []))

    def outputs(self, name: str) -> list[Path]:
        """Paths of a named list of outputs."""
        return _listed(getattr(self._snakemake.output, name))

    def paths(self, *names: str) -> dict[str, Path]:
        """Several named inputs or outputs as keyword arguments; an output wins over an input."""
        out = dict(self._snakemake.output.items())
        return {n: Path(out[n]) if n in out else self.input(n) for n in names}

    def output(self, name: str) -> Path:
        """Path of a named output."""
        return Path(getattr(self._snakemake.output, name))

    def device(self) -> str:
        """The configured device; `auto` is CUDA where the node of this job has one."""
        from emotalk_core.gaussians.backends import compute_device

        return compute_device(self.params.device)

    def settings(self, kind: type[Settings], param: str = "settings") -> Settings:
        """The rule's own config block as a checked settings record."""
        return kind(**json.loads(getattr(self.params, param)))


def _listed(value: str | list[str]) -> list[Path]:
    """Paths of one file or several (the engine gives a list of one as text)."""
    return [Path(value)] if isinstance(value, str) else [Path(v) for v in value]


def _watch_run() -> None:
    """End this job when the run that started it was killed (kill -9 leaves its children)."""
    run = os.environ.get("EMOTALK_RUN_PID")
    if run is None or "SLURM_JOB_ID" in os.environ:
        return  # cluster jobs outlive the submitting process on purpose

    def watch() -> None:
        while psutil.pid_exists(int(run)):
            time.sleep(WATCH_SECONDS)
        logging.getLogger("emotalk").warning("the run (process %s) is gone; this job ends too", run)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def _log_to(path: Path) -> None:
    """Plain lines to terminal and log file; native libraries' noise only to the log file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    terminal = os.fdopen(os.dup(2), "w", buffering=1)
    log_file = path.open("w", encoding="utf-8", buffering=1)
    os.dup2(log_file.fileno(), 2)
    faulthandler.enable(log_file)
    layout = logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s", "%H:%M:%S")
    root = logging.getLogger()
    root.setLevel(logging.INFO)
    for stream in (terminal, log_file):
        handler = logging.StreamHandler(stream)
        handler.setFormatter(layout)
        root.addHandler(handler)


@contextmanager
def stage(snakemake: Any) -> Iterator[Job]:
    """Run one stage: threads, log, errors as one message, time and peak memory.

    Imports of numpy and torch belong inside the block: thread counts are read at their import.
    """
    for name in THREAD_VARIABLES:
        os.environ[name] = str(snakemake.threads)
    # Spinning threads beside a busy neighbour cost 3x (5.8 against 20.7 training steps a second).
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    os.environ.setdefault("GLOG_minloglevel", "2")
    os.environ[POLICY_VARIABLE] = on_missing_of(getattr(snakemake.params, "weights", ""))
    _log_to(Path(snakemake.log[0]))
    _watch_run()
    logger = logging.getLogger(f"emotalk.{snakemake.rule}")
    # An unexpected error goes to the terminal too, with its traceback.
    sys.excepthook = lambda *error: logger.critical("unexpected error", exc_info=error)
    begin = time.monotonic()
    logger.info("start %s with %d thread(s)", dict(snakemake.wildcards.items()), snakemake.threads)
    try:
        yield Job(snakemake)
    except EmotalkError as error:
        logger.error("%s", error)
        sys.exit(1)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    logger.info("done in %.1f s, peak memory %.0f MiB", time.monotonic() - begin, peak)
