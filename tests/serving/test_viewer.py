"""The live page: pictures of any moment, new sounds, and who may ask."""

from __future__ import annotations

import json
import logging
import re
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from emotalk_core.cli import main
from emotalk_core.errors import ConfigError, InputError
from emotalk_core.media.audio import read_audio
from emotalk_core.media.video import VideoReader
from emotalk_core.serving import viewer
from emotalk_core.serving.head import open_head
from emotalk_core.serving.live_head import LONGEST_SECONDS, LiveHead
from emotalk_core.serving.plans import OWN_SOUND, FramePlan
from emotalk_core.serving.stage import draw_frame
from emotalk_core.serving.viewer import PAGE, ViewerServer, ViewerSettings, view_avatar
from emotalk_core.types.manifest import SAMPLE_RATE
from tests.serving.test_render_stage import SIZE, subject

__all__ = ["subject"]  # the small trained avatar


@pytest.fixture(scope="module")
def live(subject: dict[str, Path]) -> Iterator[LiveHead]:
    head = LiveHead(open_head(subject["manifest"].parent, "emotalk", []))
    yield head
    head.close()


@pytest.fixture(scope="module")
def server(live: LiveHead) -> Iterator[ViewerServer]:
    with ViewerServer(live, "127.0.0.1", 0) as running:
        threading.Thread(target=running.serve_forever, daemon=True).start()
        yield running
        running.shutdown()


def ask(
    server: ViewerServer, path: str, body: bytes | None = None, **headers: str
) -> tuple[int, bytes]:
    request = urllib.request.Request(server.address + path, data=body, headers=headers)
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        return error.code, error.read()


def told(answer: tuple[int, bytes]) -> Any:
    return json.loads(answer[1])


def test_a_picture_is_what_the_avatar_draws(live: LiveHead, subject: dict[str, Path]) -> None:
    head = open_head(subject["manifest"].parent, "emotalk", [])
    frame = head.manifest.n_train - 1
    plan = FramePlan("x", frame, OWN_SOUND, frame, (0.74, 0.31))
    with VideoReader(head.behind) as behind:
        wanted = draw_frame(head.avatar, head.drivers, plan, behind[frame], True, head.device)
    made = live.picture(0, frame, (0.74, 0.31))
    assert made.shape == (SIZE, SIZE, 3)
    assert np.abs(made.astype(int) - wanted).mean() < 0.5  # bfloat16 products, unseen left out
    assert not np.array_equal(made, live.picture(0, frame, (0.0, 0.0)))


def test_the_page_and_what_it_asks_for(server: ViewerServer) -> None:
    status, page = ask(server, "/")
    assert status == 200 and page == PAGE.read_bytes()
    facts = told(ask(server, "/head.json"))
    assert facts["width"] == SIZE and facts["words"]["happy"] == [0.74, 0.31]
    assert facts["sounds"][0]["name"] == "own voice"
    status, data = ask(server, "/frame.jpg?sound=0&frame=2&valence=-0.3&arousal=0.5")
    picture = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    assert status == 200 and picture.shape == (SIZE, SIZE, 3)
    length = int.from_bytes(data[4:6], "big") - 2
    assert data[2:4] == b"\xff\xfe" and "synthetic" in json.loads(data[6 : 6 + length])["what"]
    status, data = ask(server, "/sound.wav?sound=0")
    assert status == 200 and data[:4] == b"RIFF"


def test_the_page_uses_only_what_it_has() -> None:
    text = PAGE.read_text(encoding="utf-8")
    named = set(re.findall(r'\bel\("(\w+)"\)', text))
    assert named and named <= set(re.findall(r'\bid="(\w+)"', text))
    assert not re.findall(r'(?:src|href)="https?:', text)  # works without a network


def test_sounds_and_texts_are_learnt(
    server: ViewerServer, subject: dict[str, Path], tmp_path: Path
) -> None:
    wav = subject["manifest"].parent / "hello.wav"
    heard = told(ask(server, "/hear?name=my%20hello", wav.read_bytes()))["sound"]
    said = told(ask(server, "/say", b"Hello,  you."))["sound"]
    names = [sound["name"] for sound in told(ask(server, "/head.json"))["sounds"]]
    assert names[heard] == "my hello" and names[said] == "Hello, you."
    for sound in (heard, said):
        assert ask(server, f"/frame.jpg?sound={sound}&frame=3")[0] == 200
    (tmp_path / "back.wav").write_bytes(ask(server, f"/sound.wav?sound={heard}")[1])
    assert np.array_equal(read_audio(tmp_path / "back.wav"), read_audio(wav))


@pytest.mark.parametrize(
    ("path", "body", "message"),
    [
        ("/frame.jpg?sound=0&frame=-1", None, "frame='-1'"),
        ("/frame.jpg?sound=0&frame=99999", None, "frame=99999: wanted 0.."),
        ("/frame.jpg?sound=99&frame=0", None, "sound=99: wanted 0.."),
        ("/frame.jpg?sound=0&frame=0&valence=nan", None, "finite numbers"),
        ("/frame.jpg?sound=0&frame=0&valence=0.9&arousal=0.9", None, "0.9"),
        ("/frame.jpg?frame=0", None, "sound=''"),
        ("/hear?name=noise.wav", b"no sound", "noise.wav: cannot be opened"),
        ("/say", b"  ", "text: has 0 characters"),
        ("/say", b"x" * 2000, "text: has 2000 characters"),
    ],
)
def test_what_cannot_be_shown_is_said(
    server: ViewerServer, path: str, body: bytes | None, message: str
) -> None:
    answer = ask(server, path, body)
    assert answer[0] == 400 and message in told(answer)["error"]


def test_other_sites_of_the_same_browser_get_nothing(
    server: ViewerServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    port = server.server_port
    assert ask(server, "/head.json", Host=f"localhost:{port}")[0] == 200
    assert ask(server, "/head.json", Host=f"rebound.example:{port}")[0] == 403
    assert ask(server, "/say", b"hello", Origin="http://evil.example")[0] == 403
    assert ask(server, "/../cli.py")[0] == 404 and ask(server, "/other", b"x")[0] == 404
    monkeypatch.setattr(viewer, "LARGEST_BODY", 10)
    assert ask(server, "/say", b"x" * 11)[0] == 413


def test_sounds_have_limits(live: LiveHead, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InputError, match=r"lasts 300\.10 s"):
        live.learn("long", np.zeros(round((LONGEST_SECONDS + 0.1) * SAMPLE_RATE), np.float32))
    with pytest.raises(InputError, match=r"lasts 0\.00 s"):
        live.learn("empty", np.zeros(0, np.float32))
    monkeypatch.setattr("emotalk_core.serving.live_head.MOST_SOUNDS", 0)
    with pytest.raises(InputError, match="0 sounds are there already"):
        live.learn("another", np.zeros(SAMPLE_RATE, np.float32))


def test_an_address_that_is_taken_is_named(server: ViewerServer, live: LiveHead) -> None:
    with pytest.raises(ConfigError, match=rf"127\.0\.0\.1:{server.server_port}.*--port 0"):
        ViewerServer(live, "127.0.0.1", server.server_port)
    with pytest.raises(ConfigError, match="host:port"):
        ViewerServer(live, "127.0.0.1", 99999)


def test_the_command_listens_on_loopback_unless_told_otherwise(
    subject: dict[str, Path], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    folder = subject["manifest"].parent

    def interrupted(server: ViewerServer) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(ViewerServer, "serve_forever", interrupted)
    caplog.set_level(logging.INFO)
    assert main(["view", str(folder), "--port", "0", "--sound", str(folder / "hello.wav")]) == 0
    assert "open http://127.0.0.1:" in caplog.text and "no password" not in caplog.text
    view_avatar(folder, "emotalk", [], ViewerSettings("0.0.0.0", 0))
    assert "no password" in caplog.text
