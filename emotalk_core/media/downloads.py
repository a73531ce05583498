"""Weight files from their publishers: resumed where they broke off, checked, whole or absent."""

from __future__ import annotations

import logging
import urllib.error
import urllib.request
from collections.abc import Iterable
from http import HTTPStatus
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from emotalk_core.errors import WeightsError
from emotalk_core.media.progress import Progress
from emotalk_core.weights import (
    USABLE,
    WeightFile,
    expected_hash,
    known_weights,
    path_of,
    pin,
    sha256_of,
    state_of,
)

logger = logging.getLogger(__name__)

TIMEOUT_SECONDS = 30.0  # without a byte
CHUNK = 1 << 20
PART = ".part"  # suffix of what has come so far
AGENT = "emotalk-weights"


def fetch_weights(used: Iterable[str], accepted: Iterable[str]) -> list[str]:
    """Fetch what is accepted, say what is not, and return the names that are there now.

    Args:
        used: names that the configuration chooses; those that are not accepted are explained.
        accepted: names whose licence the user accepts (config `weights.accept`).

    Raises:
        WeightsError: no network, or a file came with the wrong hash.
    """
    wanted = set(accepted)
    there = []
    for name in sorted(wanted | set(used)):
        entry = known_weights(name)
        if state_of(entry) in USABLE:
            logger.info("weights %s: there (%s)", name, path_of(entry))
            there.append(name)
            continue
        logger.info("weights %s: licence %s; forbids: %s", name, entry.licence, entry.forbids)
        if name not in wanted:
            logger.warning(
                "weights %s: not fetched; read the licence at %s, then add %r to weights.accept",
                name,
                entry.home,
                name,
            )
        elif not entry.url:
            logger.warning(
                "weights %s: only by hand: %s; put it there as %s", name, entry.home, path_of(entry)
            )
        else:
            fetch(entry)
            there.append(name)
    if not there:
        logger.info("weights: nothing fetched; name files under weights.accept in config.yaml")
    return there


def fetch(entry: WeightFile) -> Path:
    """Download one file, going on where an earlier attempt broke off.

    Raises:
        WeightsError: no network, a refused request, or the wrong bytes (they are removed).
    """
    target = path_of(entry)
    part = target.with_name(target.name + PART)
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        _download(entry, part)
    except urllib.error.HTTPError as error:
        raise WeightsError(
            f"weights {entry.name}: {entry.url} answers {error.code} ({error.reason}); get it by "
            f"hand from {entry.home} and put it there as {target}"
        ) from error
    except (urllib.error.URLError, OSError) as error:
        reason = getattr(error, "reason", error)
        raise WeightsError(
            f"weights {entry.name}: no network to {urlsplit(entry.url).hostname} ({reason}); "
            f"type the same command again to go on, or put the file there by hand: {target} "
            f"(from {entry.home})"
        ) from error
    expected = expected_hash(entry)
    digest = sha256_of(part)
    if expected and not digest.startswith(expected):
        part.unlink()
        raise WeightsError(
            f"weights {entry.name}: {entry.url} gave sha256 {digest}, wanted {expected}; removed; "
            f"look at {entry.home}"
        )
    part.replace(target)
    if not expected:
        logger.warning("weights %s: no hash is published; pinned at %s", entry.name, pin(entry))
    logger.info("weights %s: %s, sha256 %s", entry.name, target, digest)
    return target


def _download(entry: WeightFile, part: Path) -> None:
    """Append what is missing to `part`."""
    have = part.stat().st_size if part.is_file() else 0
    headers = {"User-Agent": AGENT, **({"Range": f"bytes={have}-"} if have else {})}
    request = urllib.request.Request(entry.url, headers=headers)
    try:
        with urllib.request.urlopen(request, timeout=TIMEOUT_SECONDS) as answer:
            _store(answer, part, entry.name, have)
    except urllib.error.HTTPError as error:
        if error.code != HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:  # all of it is here already
            raise


def _store(answer: Any, part: Path, name: str, have: int) -> None:
    resumed = answer.status == HTTPStatus.PARTIAL_CONTENT
    length = int(answer.headers.get("Content-Length") or 0)
    steps = Progress(f"weights {name} (MiB)", max(-(-length // CHUNK), 1), logger)
    if resumed:
        logger.info("weights %s: going on after %d bytes", name, have)
    came = 0
    with part.open("ab" if resumed else "wb") as handle:
        while chunk := answer.read(CHUNK):
            handle.write(chunk)
            came += len(chunk)
            steps.step()
    if length and came < length:
        raise OSError(f"broke off after {came} of {length} bytes")
