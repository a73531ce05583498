"""Lossless videos: exact pixels, exact random access, equal bytes, nothing left after an error."""

from __future__ import annotations

import os
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from emotalk_core.errors import ArtifactError, InputError
from emotalk_core.media.audio import read_audio, write_wav
from emotalk_core.media.source import SourceVideo
from emotalk_core.media.video import (
    VideoReader,
    VideoWriter,
    expect_frames,
    frames_sha256,
    read_video,
    write_h264,
    write_video,
)
from tests.video_tools import babble, ffmpeg, pattern_frame, write_clip

RNG = np.random.default_rng(0)
COLOUR = RNG.integers(0, 256, (12, 36, 52, 3), dtype=np.uint8)
GREY = RNG.integers(0, 256, (5, 31, 33), dtype=np.uint8)


@pytest.fixture(scope="module")
def colour(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("video") / "colour.mkv"
    assert write_video(path, COLOUR) == 12
    return path


def test_pixels_come_back_exactly(colour: Path, tmp_path: Path) -> None:
    np.testing.assert_array_equal(read_video(colour), COLOUR)
    write_video(tmp_path / "grey.mkv", GREY)
    np.testing.assert_array_equal(read_video(tmp_path / "grey.mkv"), GREY)


@settings(max_examples=25, deadline=None)
@given(st.lists(st.integers(0, 11), min_size=1, max_size=8))
def test_random_access_gives_the_right_frame(colour: Path, wanted: list[int]) -> None:
    with VideoReader(colour) as reader:
        for index in wanted:
            np.testing.assert_array_equal(reader[index], COLOUR[index])


def test_reader_knows_length_size_and_rate(colour: Path) -> None:
    with VideoReader(colour) as reader:
        assert (len(reader), reader.height, reader.width, reader.fps) == (12, 36, 52, 25)
        with pytest.raises(IndexError, match="has 12 frames"):
            reader[12]
        with pytest.raises(IndexError):
            reader[-1]


def test_every_frame_is_a_key_frame(colour: Path) -> None:
    with av.open(str(colour)) as container:
        packets = [p for p in container.demux(video=0) if p.size]
    assert len(packets) == 12 and all(p.is_keyframe for p in packets)


def test_equal_frames_give_equal_bytes(colour: Path, tmp_path: Path) -> None:
    write_video(tmp_path / "again.mkv", COLOUR)
    assert (tmp_path / "again.mkv").read_bytes() == colour.read_bytes()


def test_hash_is_over_pixels_not_over_the_file(colour: Path) -> None:
    assert frames_sha256(VideoReader(colour)) == frames_sha256(COLOUR)
    assert frames_sha256(COLOUR) != frames_sha256(COLOUR[:-1])
    assert frames_sha256(COLOUR) != frames_sha256(COLOUR.transpose(0, 2, 1, 3))


def test_an_error_leaves_the_old_video(colour: Path, tmp_path: Path) -> None:
    path = tmp_path / "a.mkv"
    write_video(path, COLOUR[:2])
    with pytest.raises(ZeroDivisionError), VideoWriter(path) as writer:
        writer.write(COLOUR[0])
        _ = 1 / 0
    np.testing.assert_array_equal(read_video(path), COLOUR[:2])
    assert [p.name for p in tmp_path.iterdir()] == ["a.mkv"]


def test_no_frames_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match="no frames"):
        write_video(tmp_path / "a.mkv", [])
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("size", [48, 96])
def test_h264_gives_the_same_bytes_every_time(size: int, tmp_path: Path) -> None:
    """Neither threads nor what lies in memory move the rate control of small pictures.

    With more threads small noisy pictures came out differently in every other run; with AVX-512
    smooth ones of 96 px did, after the memory had been used for something else.
    """
    rng = np.random.default_rng(5)
    noise = rng.integers(0, 256, (52, 48, 48, 3), dtype=np.uint8)
    smooth = cv2.GaussianBlur(rng.integers(0, 256, (96, 96, 3), dtype=np.uint8), (0, 0), 2)
    frames = noise if size == 48 else np.stack([np.roll(smooth, i, axis=1) for i in range(52)])
    for run in range(8):
        used = [np.full(n, 255, np.uint8) for n in rng.integers(1_000, 5_000_000, 2 * run)]
        del used
        write_h264(tmp_path / f"{run}.mp4", frames, crf=23)
    assert len({(tmp_path / f"{run}.mp4").read_bytes() for run in range(8)}) == 1


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full on this system")
@pytest.mark.parametrize("kind", ["ffv1", "h264"])
def test_a_full_disk_is_one_clear_message(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "emotalk_core.media.atomic._remove_leftovers",
        lambda target: target.with_name(f".{os.getpid()}.{target.name}").symlink_to("/dev/full"),
    )
    frames = RNG.integers(0, 256, (8, 128, 128, 3), dtype=np.uint8)
    write = write_video if kind == "ffv1" else write_h264
    with pytest.raises(InputError, match="No space left on device"):
        write(tmp_path / ("a.mkv" if kind == "ffv1" else "a.mp4"), frames)
    assert not list(tmp_path.iterdir())


def test_wrong_frame_count_names_the_rule(colour: Path) -> None:
    expect_frames(colour, 12, "ingest")
    with pytest.raises(ArtifactError, match=r"has 12 frames, the manifest says 13.*rule ingest"):
        expect_frames(colour, 13, "ingest")


def test_broken_artifact_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.mkv").write_bytes(b"nothing")
    with pytest.raises(ArtifactError, match=r"a\.mkv: not readable"):
        VideoReader(tmp_path / "a.mkv")


def test_viewable_file_carries_sound_and_provenance(tmp_path: Path) -> None:
    sound = babble(2.0).astype(np.float32)
    write_wav(tmp_path / "a.wav", sound)
    frames = [pattern_frame(i) for i in range(50)]
    write_h264(tmp_path / "a.mp4", frames, tmp_path / "a.wav", comment="made by a test")
    source = SourceVideo(tmp_path / "a.mp4")
    decoded = list(source.frames())
    assert len(decoded) == 50 and source.comment == "made by a test"
    assert np.abs(decoded[25].rgb().astype(float) - frames[25]).mean() < 6
    assert len(source.sound()) == pytest.approx(len(sound), abs=1600)


def test_source_times_are_those_of_the_file(tmp_path: Path) -> None:
    times = [0, 30, 95, 100, 250, 251, 300]
    clip = write_clip(tmp_path / "a.mkv", map(pattern_frame, range(7)), None, times_ms=times)
    frames = list(SourceVideo(clip).frames())
    assert [round(1000 * f.seconds) for f in frames] == times
    assert [f.index for f in frames] == list(range(7))


def test_upright_frames_equal_those_of_ffmpeg(tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "a.mp4", map(pattern_frame, range(3)), None)
    turned = tmp_path / "turned.mp4"
    ffmpeg("-display_rotation", "90", "-i", str(clip), "-c", "copy", str(turned))
    ffmpeg("-i", str(turned), "-f", "rawvideo", "-pix_fmt", "rgb24", str(tmp_path / "truth"))
    truth = np.fromfile(tmp_path / "truth", dtype=np.uint8).reshape(3, 128, 96, 3)
    ours = np.stack([f.rgb() for f in SourceVideo(turned).frames()])
    assert np.abs(ours.astype(int) - truth).max() <= 2


def test_wide_pixels_become_square(tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "a.mp4", map(pattern_frame, range(3)), None)
    wide = tmp_path / "wide.mp4"
    ffmpeg("-i", str(clip), "-vf", "setsar=4/3", str(wide))
    assert next(SourceVideo(wide).frames()).rgb().shape == (96, round(128 * 4 / 3), 3)


@pytest.mark.parametrize("seconds", [0.2, -0.2])
def test_sound_that_starts_late_or_early_is_placed(tmp_path: Path, seconds: float) -> None:
    sound = babble(3.0)
    clip = write_clip(tmp_path / "a.mkv", map(pattern_frame, range(75)), sound)
    moved = tmp_path / "moved.mkv"
    shift = ("-itsoffset", str(abs(seconds)), "-i", str(clip))
    order = (("-i", str(clip)), shift) if seconds > 0 else (shift, ("-i", str(clip)))
    ffmpeg(*order[0], *order[1], "-map", "0:v", "-map", "1:a", "-c", "copy", str(moved))
    straight, late = SourceVideo(clip).sound(), SourceVideo(moved).sound()
    lag = round(seconds * 16_000)
    a, b = (straight[:40_000], late[lag:]) if lag > 0 else (straight[-lag:], late)
    n = min(len(a), len(b), 40_000)
    assert np.abs(a[100:n] - b[100:n]).max() < 0.02


def test_stereo_sound_of_a_video(tmp_path: Path) -> None:
    sound = babble(2.0, rate=44_100)
    clip = write_clip(
        tmp_path / "a.mp4", map(pattern_frame, range(50)), sound, rate=44_100, stereo=True
    )
    got = read_audio(clip)
    assert len(got) == pytest.approx(32_000, abs=1100)
    heard = (16_000 / 44_100) ** 0.5  # amplitude of white noise that lies below 8 kHz
    assert got.std() == pytest.approx(heard * sound.std(), rel=0.15)
