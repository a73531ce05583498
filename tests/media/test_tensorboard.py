"""Event files are framed and encoded as TensorBoard reads them."""

from __future__ import annotations

import struct
from pathlib import Path

from emotalk_core.media.tensorboard import EventFile, crc32c, scalar_event


def test_checksum_of_the_standard_test_string() -> None:
    assert crc32c(b"123456789") == 0xE3069283  # RFC 3720, B.4


def test_scalar_event_by_hand() -> None:
    event = scalar_event(300, {"loss": 0.5}, when=2.0)
    value = b"\x0a\x04loss" + b"\x15" + struct.pack("<f", 0.5)
    summary = b"\x0a" + bytes([len(value)]) + value
    wanted = b"\x09" + struct.pack("<d", 2.0) + b"\x10\xac\x02"
    assert event == wanted + b"\x2a" + bytes([len(summary)]) + summary


def test_file_is_a_run_of_whole_records(tmp_path: Path) -> None:
    events = EventFile(tmp_path / "face")
    for step in (0, 1):
        events.add(step, {"loss": 1.0 - step, "psnr": 20.0})
    (file,) = (tmp_path / "face").iterdir()
    data, records = file.read_bytes(), []
    while data:
        (length,) = struct.unpack("<Q", data[:8])
        records.append(data[12 : 12 + length])
        data = data[16 + length :]
    assert len(records) == 3
    assert records[0].endswith(b"brain.Event:2")
