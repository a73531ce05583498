"""Fetching weight files: resumed, hash-checked, by consent, one message without a network."""

from __future__ import annotations

import dataclasses
import hashlib
import logging
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import ClassVar

import pytest

from emotalk_core import weights
from emotalk_core.errors import WeightsError
from emotalk_core.media import downloads

CONTENT = bytes(range(256)) * 9000  # 2.3 MB


class Handler(BaseHTTPRequestHandler):
    """Serves CONTENT with ranges; breaks off after `limit` bytes where one is set."""

    limit: ClassVar[int | None] = None
    ranges: ClassVar[list[str]] = []

    def do_GET(self) -> None:
        asked = self.headers.get("Range", "")
        Handler.ranges.append(asked)
        begin = int(asked.removeprefix("bytes=").rstrip("-")) if asked else 0
        if begin >= len(CONTENT):
            self.send_error(416)
            return
        self.send_response(206 if asked else 200)
        self.send_header("Content-Length", str(len(CONTENT) - begin))
        self.end_headers()
        self.wfile.write(CONTENT[begin:][: Handler.limit])

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def address() -> Iterator[str]:
    Handler.limit, Handler.ranges = None, []
    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/file"
    server.shutdown()


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv(weights.FOLDER_VARIABLE, str(tmp_path))
    return tmp_path


def known_as(monkeypatch: pytest.MonkeyPatch, url: str, sha256: str = "") -> weights.WeightFile:
    """The Audio-Visual Encoder's entry with another address and hash."""
    entry = dataclasses.replace(weights.weight_files()["ave"], url=url, sha256=sha256)
    monkeypatch.setitem(weights.weight_files(), "ave", entry)
    return entry


def test_a_broken_download_goes_on(
    folder: Path, address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    entry = known_as(monkeypatch, address, hashlib.sha256(CONTENT).hexdigest())
    Handler.limit = 1_500_000
    with pytest.raises(WeightsError, match="type the same command again"):
        downloads.fetch(entry)
    assert not weights.path_of(entry).exists()
    Handler.limit = None
    assert downloads.fetch(entry).read_bytes() == CONTENT
    assert Handler.ranges == ["", "bytes=1500000-"]
    assert weights.state_of(entry) == weights.PRESENT


def test_a_wrong_hash_is_removed(
    folder: Path, address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    entry = known_as(monkeypatch, address, "0" * 64)
    with pytest.raises(WeightsError, match="wanted 0000"):
        downloads.fetch(entry)
    assert list(folder.iterdir()) == []


def test_a_file_without_a_published_hash_is_pinned(
    folder: Path, address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    entry = known_as(monkeypatch, address)
    assert downloads.fetch_weights([], ["ave"]) == ["ave"]
    assert weights.pins()["ave"] == hashlib.sha256(CONTENT).hexdigest()
    assert downloads.fetch_weights([], ["ave"]) == ["ave"] and len(Handler.ranges) == 1
    assert weights.state_of(entry) == weights.PRESENT


def test_nothing_is_fetched_without_consent(
    folder: Path, address: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    known_as(monkeypatch, address)
    with caplog.at_level(logging.INFO):
        assert downloads.fetch_weights(["ave"], []) == []
        assert downloads.fetch_weights([], ["wav2lip_expert"]) == []
    assert Handler.ranges == []
    for part in ("CC BY-NC", "forbids: commercial use", "add 'ave' to weights.accept", "by hand"):
        assert part in caplog.text


def test_without_a_network_there_is_one_message(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    known_as(monkeypatch, "http://127.0.0.1:9/file")
    with pytest.raises(WeightsError, match=r"ave: no network to 127\.0\.0\.1 .*by hand"):
        downloads.fetch_weights([], ["ave"])


def test_an_unknown_name_names_the_known_ones(folder: Path) -> None:
    with pytest.raises(WeightsError, match=r"weights=avé: unknown; known: alexnet"):
        downloads.fetch_weights([], ["avé"])
