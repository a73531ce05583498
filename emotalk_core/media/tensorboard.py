"""Scalars in, a TensorBoard event file out; no TensorBoard is needed to write one.

The file is a run of records (length, its checksum, data, its checksum); the data are protocol
buffers of three messages, of which only the fields that a scalar needs are written.
"""

from __future__ import annotations

import struct
import time
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path

CASTAGNOLI = 0x82F63B78  # polynomial of CRC-32C, reflected
MASK_DELTA = 0xA282EAD8  # record checksums are rotated and shifted by this constant
BITS = 0xFFFFFFFF


@lru_cache(maxsize=1)
def _table() -> tuple[int, ...]:
    rows = []
    for value in range(256):
        for _ in range(8):
            value = (value >> 1) ^ (CASTAGNOLI if value & 1 else 0)
        rows.append(value)
    return tuple(rows)


def crc32c(data: bytes) -> int:
    """CRC-32C of bytes."""
    table, value = _table(), BITS
    for byte in data:
        value = table[(value ^ byte) & 0xFF] ^ (value >> 8)
    return value ^ BITS


def _checksum(data: bytes) -> bytes:
    value = crc32c(data)
    rotated = ((value >> 15) | (value << 17)) & BITS
    return struct.pack("<I", (rotated + MASK_DELTA) & BITS)


def record(data: bytes) -> bytes:
    """One framed record."""
    length = struct.pack("<Q", len(data))
    return length + _checksum(length) + data + _checksum(data)


def _varint(value: int) -> bytes:
    parts = bytearray()
    while value > 0x7F:
        parts.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*parts, value])


def _nested(field: int, data: bytes) -> bytes:
    return _varint(field << 3 | 2) + _varint(len(data)) + data


def scalar_event(step: int, values: Mapping[str, float], when: float) -> bytes:
    """The message Event of scalars: when (s since 1970), step, summary of (tag, simple_value)."""
    summary = b"".join(
        _nested(1, _nested(1, tag.encode()) + b"\x15" + struct.pack("<f", value))
        for tag, value in values.items()
    )
    return b"\x09" + struct.pack("<d", when) + b"\x10" + _varint(step) + _nested(5, summary)


class EventFile:
    """Appends scalars to one file of a folder; a continued run appends another file."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        begin = time.time()
        self._path = folder / f"events.out.tfevents.{begin:.0f}.emotalk"
        head = b"\x09" + struct.pack("<d", begin) + _nested(3, b"brain.Event:2")
        self._path.write_bytes(record(head))

    def add(self, step: int, values: Mapping[str, float]) -> None:
        """Scalars of one step; the file is whole after every call."""
        with self._path.open("ab") as file:
            file.write(record(scalar_event(step, values, time.time())))
