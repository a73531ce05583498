"""Files are whole or absent: atomic paths, tables, arrays, checkpoints, progress, sound."""

from __future__ import annotations

import logging
import os
import wave
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors import SafetensorError

from emotalk_core.errors import ArtifactError, InputError
from emotalk_core.media import checkpoints, tables
from emotalk_core.media.atomic import (
    atomic_path,
    read_json,
    sha256_file,
    together,
    write_json,
    write_text,
)
from emotalk_core.media.audio import read_audio, write_wav
from emotalk_core.media.progress import Progress, track
from emotalk_core.types.camera import CameraPath
from emotalk_core.types.manifest import Manifest
from emotalk_core.types.metrics import METRIC_COLUMNS, MetricRow

FULL = Path("/dev/full")
needs_dev_full = pytest.mark.skipif(not FULL.exists(), reason="no /dev/full on this system")


def names(folder: Path) -> list[str]:
    return sorted(p.name for p in folder.iterdir())


def test_a_file_appears_whole_and_replaces_the_old_one(tmp_path: Path) -> None:
    target = tmp_path / "deep/er/a.txt"
    write_text(target, "one")
    write_text(target, "zwei ü")
    assert target.read_text(encoding="utf-8") == "zwei ü"
    assert names(target.parent) == ["a.txt"]


def test_an_error_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    target = tmp_path / "a.txt"
    write_text(target, "old")
    with pytest.raises(ZeroDivisionError), atomic_path(target) as temporary:
        temporary.write_text("half")
        _ = 1 / 0
    assert target.read_text() == "old" and names(tmp_path) == ["a.txt"]


def test_what_a_killed_process_left_is_removed_by_the_next_writer(tmp_path: Path) -> None:
    (tmp_path / ".4711.a.txt").write_text("half")
    (tmp_path / ".keep.a.txt").write_text("a user's own file")
    write_text(tmp_path / "a.txt", "new")
    assert names(tmp_path) == [".keep.a.txt", "a.txt"]


@needs_dev_full
def test_a_full_disk_is_one_clear_message(tmp_path: Path) -> None:
    target = tmp_path / "a.txt"
    message = r"a\.txt: No space left on device; free disk space"
    with pytest.raises(InputError, match=message), atomic_path(target) as temporary:
        temporary.symlink_to(FULL)
        temporary.write_text("x" * 10_000)
    assert names(tmp_path) == []


@pytest.mark.parametrize("kind", ["arrays", "table", "json", "wav"])
@needs_dev_full
def test_every_writer_survives_a_full_disk(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    big = np.random.default_rng(0).normal(size=20_000).astype(np.float32)
    writers = {
        "arrays": lambda p: tables.write_arrays(p, big=big),
        "table": lambda p: tables.write_table(p, pd.DataFrame({"x": big})),
        "json": lambda p: write_json(p, big.tolist()),
        "wav": lambda p: write_wav(p, big),
    }
    # the temporary file is a link to a device that is always full
    monkeypatch.setattr(
        "emotalk_core.media.atomic._remove_leftovers",
        lambda target: target.with_name(f".{os.getpid()}.{target.name}").symlink_to(FULL),
    )
    with pytest.raises(InputError, match="cannot write"):
        writers[kind](tmp_path / "out.bin")
    assert names(tmp_path) == []


def test_a_full_disk_in_the_words_of_safetensors(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> None:
        raise SafetensorError("I/O error: No space left on device (os error 28)")

    monkeypatch.setattr(checkpoints, "save_file", full)
    with pytest.raises(InputError, match="No space left"):
        checkpoints.save_checkpoint(tmp_path / "a.safetensors", {}, "avatar", {})
    assert names(tmp_path) == []


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match=r"file/a\.txt"):
        write_text(tmp_path / "file/a.txt", "x")


def test_files_that_belong_together_go_together(tmp_path: Path) -> None:
    a, b = tmp_path / "a", tmp_path / "b"
    with pytest.raises(ValueError), together(a, b):
        write_text(a, "1")
        raise ValueError
    assert names(tmp_path) == []
    with together(a, b):
        write_text(a, "1")
        write_text(b, "2")
    assert names(tmp_path) == ["a", "b"]


def test_json_is_sorted_and_bad_json_is_named(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    write_json(path, {"b": [1.5], "a": "é"})
    assert path.read_text(encoding="utf-8").startswith('{\n "a": "é"')
    assert read_json(path) == {"a": "é", "b": [1.5]}
    path.write_text("{")
    with pytest.raises(ArtifactError, match=r"a\.json.*delete it"):
        read_json(path)
    with pytest.raises(ArtifactError, match=r"absent\.json"):
        read_json(tmp_path / "absent.json")


def test_sha256_of_known_bytes(tmp_path: Path) -> None:
    path = tmp_path / "abc"
    path.write_bytes(b"abc")
    wanted = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    assert sha256_file(path) == wanted


def test_arrays_round_trip_without_pickle_and_with_equal_bytes(tmp_path: Path) -> None:
    arrays = {"x": np.arange(6, dtype=np.float32).reshape(2, 3), "words": np.array(["a", "über"])}
    tables.write_arrays(tmp_path / "a.npz", **arrays)
    tables.write_arrays(tmp_path / "b.npz", **arrays)
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()
    back = tables.read_arrays(tmp_path / "a.npz", ["x", "words"])
    np.testing.assert_array_equal(back["x"], arrays["x"])
    assert back["words"].tolist() == ["a", "über"] and back["x"].dtype == np.float32
    with pytest.raises(ArtifactError, match="missing"):
        tables.read_arrays(tmp_path / "a.npz", ["y"])
    with pytest.raises(ArtifactError, match="dtype object"):
        tables.write_arrays(tmp_path / "c.npz", x=np.array([{}], dtype=object))
    np.save(tmp_path / "pickled.npy", np.array([{}], dtype=object), allow_pickle=True)
    with pytest.raises(ArtifactError, match="not readable"):
        tables.read_arrays(tmp_path / "pickled.npy")


def test_table_format_and_columns(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    tables.write_table(path, pd.DataFrame({"frame": [0, 1], "v": [1 / 3, np.nan]}))
    assert path.read_bytes() == b"frame,v\n0,0.333333\n1,\n"
    names = pd.DataFrame({"subject": ["007", "NA", "1e5", ""], "value": [1.5, np.nan, 3, 4]})
    tables.write_table(tmp_path / "names.csv", names)
    read = tables.read_table(tmp_path / "names.csv", ["subject"])
    assert read["subject"].tolist() == ["007", "NA", "1e5", ""]
    assert read["value"].isna().tolist() == [False, True, False, False]
    assert tables.read_table(path, ["frame"])["v"].isna().tolist() == [False, True]
    with pytest.raises(ArtifactError, match=r"columns \['w'\] are missing"):
        tables.read_table(path, ["w"])
    (tmp_path / "spaces.csv").write_text("frame, AU01\n0, 1.5\n")
    assert tables.read_table(tmp_path / "spaces.csv", ["AU01"])["AU01"][0] == 1.5
    (tmp_path / "empty.csv").write_text("")
    with pytest.raises(ArtifactError, match="not readable"):
        tables.read_table(tmp_path / "empty.csv")


def test_metric_rows_keep_the_column_order(tmp_path: Path) -> None:
    row = MetricRow("s", "emotalk", "emotion", "c", "psnr", 30.0, 5, "own", False, "ab")
    tables.write_rows(tmp_path / "m.csv", [row])
    header, line = (tmp_path / "m.csv").read_text().splitlines()
    assert header == ",".join(METRIC_COLUMNS)
    assert line == "s,emotalk,emotion,c,psnr,30,,,5,own,False,ab"


def manifest(**changes: object) -> Manifest:
    facts = {
        "subject": "s",
        "source_name": "s.mp4",
        "source_sha256": "0",
        "width": 64,
        "height": 64,
        "n_frames": 110,
        "n_samples": 70_400,
        "crop": (0, 64, 0, 64),
        "av_offset_frames": 0.0,
        "av_offset_confidence": 0.3,
        "n_train": 100,
    }
    return Manifest(**{**facts, **changes})  # type: ignore[arg-type]


def test_manifest_and_cameras_round_trip(tmp_path: Path) -> None:
    tables.write_manifest(tmp_path / "manifest.json", manifest())
    assert tables.read_manifest(tmp_path / "manifest.json") == manifest()
    cameras = CameraPath(4, 3, 25, np.ones((2, 3, 3)) / 3, np.ones((2, 4, 4)) / 7)
    tables.write_cameras(tmp_path / "cameras.json", cameras)
    back = tables.read_cameras(tmp_path / "cameras.json")
    np.testing.assert_array_equal(back.viewmats, cameras.viewmats)
    assert len(back) == 2 and (back.width, back.height) == (4, 3)


def test_lengths_that_disagree_name_file_and_rule() -> None:
    tables.check_length("x", 3, 3, "ingest")
    with pytest.raises(ArtifactError, match=r"x: has 2 frames, the manifest says 3.*ingest"):
        tables.check_length("x", 2, 3, "ingest")


def test_checkpoint_round_trip_and_refusals(tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    tensors = {"b": torch.eye(3)[:, ::2], "a": torch.arange(3)}
    checkpoints.save_checkpoint(path, tensors, "avatar", {"step": 7})
    back, header = checkpoints.load_checkpoint(path, "avatar")
    assert header == {"step": 7} and torch.equal(back["b"], tensors["b"])
    with pytest.raises(ArtifactError, match="kind=avatar: wanted training_state"):
        checkpoints.load_checkpoint(path, "training_state")
    path.write_bytes(path.read_bytes()[:-4])
    with pytest.raises(ArtifactError, match="not readable as safetensors"):
        checkpoints.load_checkpoint(path, "avatar")


def test_a_newer_checkpoint_is_refused_by_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.safetensors"
    with monkeypatch.context() as patch:
        patch.setattr(checkpoints, "FORMAT_VERSION", 99)
        checkpoints.save_checkpoint(path, {"a": torch.zeros(1)}, "avatar", {})
    with pytest.raises(ArtifactError, match="format_version=99"):
        checkpoints.load_checkpoint(path, "avatar")


def test_wav_round_trip_is_exact_to_a_step_of_16_bits(tmp_path: Path) -> None:
    samples = np.array([0, 0.5, -0.5, 1.2, -1.2, 1 / 32768], dtype=np.float32)
    write_wav(tmp_path / "a.wav", samples)
    with wave.open(str(tmp_path / "a.wav")) as file:
        assert (file.getframerate(), file.getnchannels(), file.getsampwidth()) == (16_000, 1, 2)
    back = read_audio(tmp_path / "a.wav")
    assert (back * 32768).tolist() == [0, 16384, -16384, 32767, -32768, 1]


def test_any_sound_becomes_16_khz_mono(tmp_path: Path) -> None:
    time = np.arange(44_100) / 44_100
    left = np.sin(2 * np.pi * 440 * time)
    pcm = (np.stack([left, 0 * left], axis=1) * 20_000).astype("<i2")
    with wave.open(str(tmp_path / "stereo.wav"), "wb") as out:
        out.setnchannels(2)
        out.setsampwidth(2)
        out.setframerate(44_100)
        out.writeframes(pcm.tobytes())
    samples = read_audio(tmp_path / "stereo.wav")
    assert abs(len(samples) - 16_000) <= 1
    spectrum = np.abs(np.fft.rfft(samples[:16_000]))
    assert spectrum.argmax() == 440
    assert np.abs(samples).max() == pytest.approx(10_000 / 32_768, rel=0.02)


def test_no_audio_and_no_file_are_named(tmp_path: Path) -> None:
    (tmp_path / "a.wav").write_bytes(b"RIFF")
    with pytest.raises(InputError, match=r"a\.wav: cannot be opened"):
        read_audio(tmp_path / "a.wav")


def test_progress_says_rate_and_time_left(caplog: pytest.LogCaptureFixture) -> None:
    logger = logging.getLogger("test.progress")
    with caplog.at_level(logging.INFO, logger="test.progress"):
        progress = Progress("train", 100, logger, start=90)
        progress.step(10, loss=0.125)
    assert "train 100/100 (100 %)" in caplog.text and "loss=0.125" in caplog.text
    with caplog.at_level(logging.INFO, logger="test.progress"):
        assert list(track("abc", "letters", 3, logger)) == ["a", "b", "c"]
    assert "letters 3/3" in caplog.text


def test_describe_is_short() -> None:
    assert tables.describe({"a": 1 / 3, "n": 2, "s": "x"}) == "a=0.3333 n=2 s=x"
