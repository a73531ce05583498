"""Who runs in this folder: records the live run, clears the lock that a killed one left."""

from __future__ import annotations

import json
import os
import platform
from pathlib import Path

import psutil

RECORD = Path(".snakemake/emotalk_run.json")
LOCKS = Path(".snakemake/locks")


def record_run() -> None:
    """Write host, process id and start time of the run that holds the lock."""
    me = psutil.Process()
    data = {"host": platform.node(), "pid": me.pid, "started": me.create_time()}
    RECORD.parent.mkdir(exist_ok=True)
    RECORD.write_text(json.dumps(data), encoding="utf-8")


def mark_run() -> None:
    """Let jobs know the process id of their run, so that they end when it is killed."""
    os.environ.setdefault("EMOTALK_RUN_PID", str(os.getpid()))


def _alive(record: dict[str, object]) -> bool:
    try:
        process = psutil.Process(int(str(record["pid"])))
    except psutil.NoSuchProcess:
        return False
    return abs(process.create_time() - float(str(record["started"]))) < 1.0


def clear_stale_lock() -> str | None:
    """Remove the lock of a run of this host that is no longer alive.

    Returns:
        A sentence for the log when a lock was removed, else None. A lock of another host, or one
        without a record, is left: the engine's own message then says what to type.
    """
    if not LOCKS.is_dir() or not any(LOCKS.iterdir()) or not RECORD.is_file():
        return None
    try:
        record = json.loads(RECORD.read_text(encoding="utf-8"))
    except json.JSONDecodeError:
        return None
    if record.get("host") != platform.node() or _alive(record):
        return None
    for lock in sorted(LOCKS.iterdir()):
        lock.unlink(missing_ok=True)
    return f"removed the lock of run {record['pid']}, which is no longer alive"
