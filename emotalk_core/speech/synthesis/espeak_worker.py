"""One request (JSON on stdin) to espeak-ng through ctypes; JSON events, then raw PCM on stdout.

It runs as its own program, one process per sentence, because repeated calls of libespeak-ng in one
process crash. It imports only the standard library, so that it starts in milliseconds.
"""

from __future__ import annotations

import ctypes
import json
import sys
from typing import Any

# Values of espeak-ng's public header speak_lib.h.
AUDIO_OUTPUT_SYNCHRONOUS = 2
INITIALIZE_PHONEME_EVENTS = 0x0001
PARAMETER_RATE = 1
PARAMETER_PITCH = 3
POSITION_CHARACTER = 1
CHARS_UTF8 = 1
EVENT_LIST_TERMINATED = 0
EVENT_PHONEME = 7
STATUS_OK = 0


class _EventId(ctypes.Union):
    _fields_ = (
        ("number", ctypes.c_int),
        ("name", ctypes.c_char_p),
        ("string", ctypes.c_char * 8),
    )


class _Event(ctypes.Structure):
    _fields_ = (
        ("type", ctypes.c_int),
        ("unique_identifier", ctypes.c_uint),
        ("text_position", ctypes.c_int),
        ("length", ctypes.c_int),
        ("audio_position", ctypes.c_int),  # ms
        ("sample", ctypes.c_int),
        ("user_data", ctypes.c_void_p),
        ("id", _EventId),
    )


_CALLBACK = ctypes.CFUNCTYPE(
    ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.POINTER(_Event)
)


def synthesize(request: dict[str, Any]) -> tuple[dict[str, Any], bytes]:
    """Speak one text.

    Args:
        request: library and data (paths), text, voice (espeak name), rate (words a minute) and
            pitch (0..99).

    Returns:
        ({"sample_rate", "events": [[name, start second], ...]}, 16-bit little-endian mono PCM).

    Raises:
        ValueError: the library refuses the voice or the text.
    """
    library = ctypes.CDLL(request["library"])
    sample_rate = library.espeak_Initialize(
        AUDIO_OUTPUT_SYNCHRONOUS, 0, request["data"].encode(), INITIALIZE_PHONEME_EVENTS
    )
    if sample_rate <= 0:
        raise ValueError(f"espeak-ng cannot start with its data at {request['data']}")
    pieces: list[bytes] = []
    events: list[tuple[str, float]] = []

    def receive(pcm: Any, count: int, happened: Any) -> int:
        if pcm and count > 0:
            pieces.append(ctypes.string_at(pcm, 2 * count))
        index = 0
        while happened[index].type != EVENT_LIST_TERMINATED:
            event = happened[index]
            if event.type == EVENT_PHONEME:
                name = event.id.string.decode("utf-8", "replace")
                events.append((name, event.audio_position / 1000))
            index += 1
        return 0

    keep_alive = _CALLBACK(receive)
    library.espeak_SetSynthCallback(keep_alive)
    if library.espeak_SetVoiceByName(request["voice"].encode()) != STATUS_OK:
        raise ValueError(f"espeak-ng has no voice {request['voice']!r}")
    library.espeak_SetParameter(PARAMETER_RATE, int(request["rate"]), 0)
    library.espeak_SetParameter(PARAMETER_PITCH, int(request["pitch"]), 0)
    text = request["text"].encode()
    status = library.espeak_Synth(
        text, ctypes.c_size_t(len(text) + 1), 0, POSITION_CHARACTER, 0, CHARS_UTF8, None, None
    )
    library.espeak_Synchronize()
    if status != STATUS_OK:
        raise ValueError(f"espeak-ng failed with status {status}")
    return {"sample_rate": sample_rate, "events": events}, b"".join(pieces)


def main() -> int:
    """Read the request, write the answer; a refused request goes to stderr with exit code 1."""
    try:
        header, pcm = synthesize(json.load(sys.stdin))
    except (ValueError, OSError) as error:
        sys.stderr.write(f"{error}\n")
        return 1
    sys.stdout.buffer.write(json.dumps(header).encode() + b"\n" + pcm)
    return 0


if __name__ == "__main__":
    sys.exit(main())
