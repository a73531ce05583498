"""Whole-or-absent files: write beside the target, fsync, rename."""

from __future__ import annotations

import contextlib
import glob
import hashlib
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from emotalk_core.errors import ArtifactError, InputError

CHUNK_BYTES = 1 << 20  # read size for hashing: large enough to be disk-bound


@contextlib.contextmanager
def atomic_path(target: Path) -> Iterator[Path]:
    """Give a temporary path beside `target`; rename it over `target` only if the block succeeds.

    The temporary name keeps the suffix (writers choose formats by it) and starts with a dot.

    Raises:
        InputError: the disk is full or not writable (names the file and what to do).
    """
    target = Path(target)
    temporary = target.with_name(f".{os.getpid()}.{target.name}")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        _remove_leftovers(target)
        yield temporary
        with temporary.open("rb") as handle:
            os.fsync(handle.fileno())
        temporary.replace(target)
    except OSError as error:
        raise InputError(
            f"cannot write {target}: {error.strerror or error}; free disk space or fix the "
            "permissions, then type the same command again (nothing half-written was left)"
        ) from error
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)


def _remove_leftovers(target: Path) -> None:
    """Delete temporaries of `target` that a killed process left (a target has one writer)."""
    for old in target.parent.glob(f".*.{glob.escape(target.name)}"):
        if old.name.split(".")[1].isdigit():
            old.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Write UTF-8 text whole or not at all."""
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(path: Path, data: Any) -> None:
    """Write sorted, indented JSON whole or not at all."""
    write_text(path, json.dumps(data, indent=1, sort_keys=True, ensure_ascii=False) + "\n")


def unreadable(path: Path, kind: str, error: Exception) -> ArtifactError:
    """What to say of an artifact that is not there, or that is broken."""
    if not Path(path).exists():
        return ArtifactError(
            f"{path}: is not there; let it be made first: snakemake --cores all {path}"
        )
    return ArtifactError(f"{path}: not readable as {kind} ({error}); delete it and run again")


def read_json(path: Path) -> Any:
    """Read JSON; ArtifactError names the file when it is missing or broken."""
    try:
        return json.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, json.JSONDecodeError) as error:
        raise unreadable(path, "JSON", error) from error


def sha256_file(path: Path) -> str:
    """Hex sha256 of a file's bytes, streamed."""
    digest = hashlib.sha256()
    with Path(path).open("rb") as handle:
        while chunk := handle.read(CHUNK_BYTES):
            digest.update(chunk)
    return digest.hexdigest()


@contextlib.contextmanager
def together(*targets: Path) -> Iterator[None]:
    """Files that make sense only together: when the block fails, none of them stays."""
    try:
        yield
    except BaseException:
        for target in targets:
            with contextlib.suppress(OSError):
                Path(target).unlink(missing_ok=True)
        raise
