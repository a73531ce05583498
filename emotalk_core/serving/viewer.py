"""A page in the browser on which a trained avatar speaks, with an emotion that is dragged about.

The page plays a sound and asks for the picture of each moment; nothing is drawn in advance. The
server listens on loopback unless told otherwise.
"""

from __future__ import annotations

import ipaddress
import json
import logging
import math
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from socket import AF_INET, AF_INET6
from urllib.parse import parse_qs, urlsplit

import torch

from emotalk_core.errors import ConfigError, EmotalkError, InputError, explain
from emotalk_core.media.audio import read_audio, wav_bytes
from emotalk_core.serving.head import open_head
from emotalk_core.serving.live_head import LiveHead

logger = logging.getLogger(__name__)

PAGE = Path(__file__).with_name("viewer.html")
LARGEST_BODY = 64 * 2**20  # bytes of an upload
HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'self'; script-src 'unsafe-inline'; "
    "style-src 'unsafe-inline'; img-src 'self' blob:; media-src 'self' blob:",
    "Cross-Origin-Resource-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
}


@dataclass(frozen=True)
class ViewerSettings:
    """How the page is served.

    Attributes:
        host: address to listen on; anything but loopback lets others make the person speak.
        port: 0 takes any that is free.
        threads: frames that are drawn side by side.
    """

    host: str = "127.0.0.1"
    port: int = 8765
    threads: int = 2


class ViewerServer(ThreadingHTTPServer):
    """Serves one head."""

    daemon_threads = True

    def __init__(self, head: LiveHead, host: str, port: int) -> None:
        """Bind the address.

        Raises:
            ConfigError: it cannot be had.
        """
        self.head = head
        self.local = _is_loopback(host)
        self.address_family = AF_INET6 if ":" in host else AF_INET
        try:
            super().__init__((host, port), _Handler)
        except (OSError, OverflowError) as error:
            raise ConfigError(
                explain("host:port", f"{host}:{port}", str(error), "give another, or --port 0")
            ) from error

    @property
    def address(self) -> str:
        """What a browser opens."""
        host = str(self.server_address[0])
        return f"http://{f'[{host}]' if ':' in host else host}:{self.server_port}"


class _Handler(BaseHTTPRequestHandler):
    """One request: a picture, a sound, the page."""

    server: ViewerServer
    protocol_version = "HTTP/1.1"
    timeout = 120  # s without a word: a page that was closed leaves its thread

    def do_GET(self) -> None:
        """Give the page or what it asks for."""
        address = urlsplit(self.path)
        asked = {name: values[-1] for name, values in parse_qs(address.query).items()}
        head = self.server.head
        match address.path:
            case "/":
                self._answer(lambda: ("text/html; charset=utf-8", PAGE.read_bytes()))
            case "/head.json":
                self._answer(lambda: _json(head.facts()))
            case "/frame.jpg":
                self._answer(lambda: ("image/jpeg", _frame(head, asked)))
            case "/sound.wav":
                self._answer(
                    lambda: ("audio/wav", wav_bytes(head.sound(_whole(asked, "sound")).samples))
                )
            case _:
                self._send(HTTPStatus.NOT_FOUND, *_json({"error": "no such page"}))

    def do_POST(self) -> None:
        """Take a text or a sound to speak."""
        address, head = urlsplit(self.path), self.server.head
        name = parse_qs(address.query).get("name", ["sound"])[-1]
        body = self._body()
        if body is None:
            return
        match address.path:
            case "/say":
                self._answer(lambda: _json({"sound": head.say(body.decode(errors="replace"))}))
            case "/hear":
                self._answer(lambda: _json({"sound": _hear(head, name, body)}))
            case _:
                self._send(HTTPStatus.NOT_FOUND, *_json({"error": "no such page"}))

    def _body(self) -> bytes | None:
        """What was sent; None where it was refused."""
        length = self.headers.get("Content-Length", "")
        if not length.isdecimal() or int(length) > LARGEST_BODY:
            self.close_connection = True  # what was sent is not read
            wanted = f"Content-Length: {length}: wanted at most {LARGEST_BODY} bytes; cut the sound"
            self._send(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, *_json({"error": wanted}))
            return None
        return self.rfile.read(int(length))

    def _answer(self, make: Callable[[], tuple[str, bytes]]) -> None:
        """Send what `make` gives, or say why it gives nothing."""
        if not self._is_meant():
            self._send(HTTPStatus.FORBIDDEN, *_json({"error": "asked by another site"}))
            return
        try:
            kind, content = make()
        except EmotalkError as error:
            self._send(HTTPStatus.BAD_REQUEST, *_json({"error": str(error)}))
            return
        self._send(HTTPStatus.OK, kind, content)

    def _is_meant(self) -> bool:
        """Whether this page asks: no foreign site in the same browser, by its own or another name.

        A site whose name is made to point at loopback still sends that name as Host.
        """
        host = self.headers.get("Host", "")
        origin = self.headers.get("Origin")
        if origin is not None and origin != f"http://{host}":
            return False
        return not self.server.local or _is_loopback(urlsplit(f"//{host}").hostname or "")

    def _send(self, status: HTTPStatus, kind: str, content: bytes) -> None:
        try:
            self.send_response(status)
            for name, value in HEADERS.items():
                self.send_header(name, value)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)
        except (BrokenPipeError, ConnectionResetError):
            self.close_connection = True  # the page has moved on

    def log_message(self, format: str, *args: object) -> None:
        """Twenty-five lines a second help nobody."""
        logger.debug(format, *args)


def view_avatar(
    folder: Path,
    method: str,
    sounds: Sequence[Path],
    settings: ViewerSettings,
    device: str = "cpu",
) -> None:
    """Serve the page until it is interrupted.

    Args:
        folder: results folder of the subject (docs/artifacts.md).
        method: whose avatar.
        sounds: audio files that the page offers beside the subject's own.
        settings: address and threads.
        device: auto, cpu or cuda.

    Raises:
        ArtifactError: artifacts are missing or do not belong together.
        ConfigError: the folder is no subject's, or the address cannot be had.
        InputError: a sound cannot be read.
    """
    torch.set_num_threads(1)  # the frames themselves are drawn side by side
    head = LiveHead(open_head(folder, method, [], device=device), settings.threads)
    for sound in sounds:
        head.learn(sound.name, read_audio(sound))
    with ViewerServer(head, settings.host, settings.port) as server:
        if not server.local:
            logger.warning(
                "everyone who reaches %s can make this person say anything: there is no password",
                server.address,
            )
        logger.info("open %s in a browser; Ctrl-C ends", server.address)
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            logger.info("ended")
    head.close()


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _json(data: object) -> tuple[str, bytes]:
    return "application/json", json.dumps(data).encode()


def _whole(asked: Mapping[str, str], name: str) -> int:
    text = asked.get(name, "")
    if not text.isdecimal():
        raise ConfigError(explain(name, repr(text), "wanted a whole number from 0 on", "give one"))
    return int(text)


def _frame(head: LiveHead, asked: Mapping[str, str]) -> bytes:
    """The picture that the page asks for."""
    try:
        point = (float(asked.get("valence", 0)), float(asked.get("arousal", 0)))
        if not all(map(math.isfinite, point)):
            raise ValueError("wanted finite numbers")
    except ValueError as error:
        raise ConfigError(explain("valence, arousal", asked, str(error), "give numbers")) from error
    return head.jpeg(_whole(asked, "sound"), _whole(asked, "frame"), point)


def _hear(head: LiveHead, name: str, data: bytes) -> int:
    """Learn the sound of an uploaded audio or video file."""
    with tempfile.NamedTemporaryFile() as file:
        file.write(data)
        file.flush()
        try:
            samples = read_audio(Path(file.name))
        except InputError as error:  # the person knows the file by its own name
            raise InputError(str(error).replace(file.name, name)) from error
    return head.learn(name, samples)
