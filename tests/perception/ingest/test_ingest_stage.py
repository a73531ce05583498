"""The whole ingest stage: odd videos simply work, useless ones get one clear refusal."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from emotalk_core.errors import InputError
from emotalk_core.media.audio import read_audio
from emotalk_core.media.tables import read_manifest
from emotalk_core.media.video import VideoReader, read_video
from emotalk_core.perception.ingest.framing import face_box
from emotalk_core.perception.ingest.settings import IngestSettings
from emotalk_core.perception.ingest.stage import ingest_video
from emotalk_core.perception.landmarks.packaged import FaceMeshLandmarks
from emotalk_core.types.manifest import SAMPLE_RATE, Manifest
from tests.video_tools import (
    babble,
    face_frame,
    ffmpeg,
    pattern_frame,
    portrait,
    real_clip,
    write_clip,
)

SIZE = 96
SETTINGS = IngestSettings(size=SIZE, min_lip_motion=0.0)  # a portrait that is moved about


def ingest(source: Path, folder: Path, settings: IngestSettings = SETTINGS) -> Manifest:
    ingest_video(
        source=source,
        subject="someone",
        manifest=folder / "manifest.json",
        video=folder / "video.mkv",
        audio=folder / "audio.wav",
        settings=settings,
        seed=0,
        threads=1,
    )
    return read_manifest(folder / "manifest.json")


def check_outputs(folder: Path, facts: Manifest) -> None:
    with VideoReader(folder / "video.mkv") as reader:
        assert len(reader) == facts.n_frames and reader.fps == 25
        assert (reader.height, reader.width) == (facts.height, facts.width)
    sound = read_audio(folder / "audio.wav")
    assert len(sound) == facts.n_samples == facts.n_frames * 640
    assert facts.n_train == facts.n_frames * 10 // 11


def face_clip(path: Path, seconds: float = 3.2, **options: object) -> Path:
    frames = (face_frame(i) for i in range(round(25 * seconds)))
    return write_clip(path, frames, babble(seconds), **options)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return face_clip(tmp_path_factory.mktemp("plain") / "plain.mp4")


def test_face_is_framed_like_the_fields_clips(plain: Path, tmp_path: Path) -> None:
    facts = ingest(plain, tmp_path)
    check_outputs(tmp_path, facts)
    assert facts.n_frames == 80
    assert facts.source_sha256 == hashlib.sha256(plain.read_bytes()).hexdigest()
    assert (facts.source_name, facts.subject) == ("plain.mp4", "someone")
    frame = read_video(tmp_path / "video.mkv", [40])[0]
    with FaceMeshLandmarks(static=True) as detector:
        points = detector.detect(frame)
    assert points is not None
    face = face_box(points)
    assert 0.5 <= face.height / SIZE <= 0.67
    assert abs((face.x0 + face.x1) / 2 / SIZE - 0.5) < 0.08


def test_same_input_gives_the_same_bytes(plain: Path, tmp_path: Path) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    ingest(plain, one)
    ingest(plain, two)
    for name in ("manifest.json", "video.mkv", "audio.wav"):
        assert (one / name).read_bytes() == (two / name).read_bytes()


@pytest.mark.parametrize("degrees", [90, 180])
def test_rotation_metadata_is_followed(plain: Path, tmp_path: Path, degrees: int) -> None:
    turned, stored = tmp_path / "turned.mp4", tmp_path / "stored.mp4"
    # turn the pixels one way and let the metadata turn them back
    filters = {90: "transpose=clock", 180: "hflip,vflip"}[degrees]
    encode = ("-c:v", "libx264", "-qp", "0", "-c:a", "copy")
    ffmpeg("-i", str(plain), "-vf", filters, *encode, str(turned))
    turn = ("-display_rotation", str(degrees), "-i", str(turned))
    ffmpeg(*turn, "-c", "copy", str(stored))
    crop = ingest(plain, tmp_path / "plain").crop
    facts = ingest(stored, tmp_path / "stored")
    assert np.abs(np.subtract(facts.crop, crop)).max() <= 2
    a = read_video(tmp_path / "plain/video.mkv", [40]).astype(float)
    b = read_video(tmp_path / "stored/video.mkv", [40]).astype(float)
    assert np.abs(a - b).mean() < 4


def test_variable_rate_odd_size_stereo_and_a_strange_path(tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    times = np.concatenate([[0], np.cumsum(rng.integers(15, 90, 79))]).astype(int).tolist()
    folder = tmp_path / "ein Ordner mit ü"
    folder.mkdir()
    frames = [face_frame(i, 181, 243) for i in range(80)]
    sound = babble(times[-1] / 1000 + 0.1, rate=44_100)
    source = write_clip(
        folder / "видео 1.mkv", frames, sound, times_ms=times, rate=44_100, stereo=True
    )
    facts = ingest(source, folder)
    check_outputs(folder, facts)
    assert facts.n_frames == pytest.approx(times[-1] / 40, abs=2)
    # each 25 fps frame shows the source frame that lies nearest in time
    video = read_video(folder / "video.mkv").astype(float)
    nearest = [int(np.abs(np.array(times) - 40 * k).argmin()) for k in range(len(video))]
    repeated = [k for k in range(1, len(video)) if nearest[k] == nearest[k - 1]]
    changed = [k for k in range(1, len(video)) if nearest[k] != nearest[k - 1]]
    step = np.abs(np.diff(video, axis=0)).mean(axis=(1, 2, 3))
    assert repeated and all(step[k - 1] == 0 for k in repeated)
    # where the sway turns, two source frames may look the same
    assert np.mean([step[k - 1] > 0 for k in changed]) > 0.9


def test_black_bars_are_left_out(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    def barred(index: int) -> np.ndarray:
        return np.pad(face_frame(index, 180, 180, zoom=1.7), ((0, 0), (70, 70), (0, 0)))

    source = write_clip(tmp_path / "a.mp4", (barred(i) for i in range(80)), babble(3.2))
    with caplog.at_level("INFO"):
        facts = ingest(source, tmp_path, replace(SETTINGS, size=256))
    assert "black bars are left out" in caplog.text
    assert "px in the source and is enlarged to 256" in caplog.text
    assert facts.crop[2] >= 70 and facts.crop[3] <= 250
    assert facts.provenance["source_picture"] == [0, 180, 72, 248]
    frame = read_video(tmp_path / "video.mkv", [40])[0]
    assert frame.max(axis=2).min(axis=0).max() > 0 and frame[:, :3].mean() > 40


def test_odd_codings_are_warned_of(
    plain: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    hdr, combed = tmp_path / "hdr.mp4", tmp_path / "combed.mp4"
    hlg = ("-vf", "setparams=color_trc=arib-std-b67", "-pix_fmt", "yuv420p10le")
    ffmpeg("-i", str(plain), *hlg, str(hdr))
    ffmpeg("-i", str(plain), "-vf", "setfield=tff", "-flags", "+ildct+ilme", str(combed))
    assert ingest(hdr, tmp_path / "h").n_frames == ingest(combed, tmp_path / "c").n_frames == 80
    assert "hdr.mp4: high dynamic range" in caplog.text
    assert "combed.mp4: interlaced" in caplog.text


def test_the_longest_part_between_cuts_is_named(tmp_path: Path) -> None:
    takes = [face_frame(i) if i < 20 or i >= 120 else 255 - face_frame(i) for i in range(150)]
    source = write_clip(tmp_path / "my clip.mp4", takes, babble(6))
    with pytest.raises(InputError, match=r"cut at 0\.80 s \(frame 20\), 4\.80 s") as refusal:
        ingest(source, tmp_path)
    assert f"ffmpeg -i '{source}' -ss 0.80 -t 4.00 " in str(refusal.value)
    source = write_clip(tmp_path / "b.mp4", takes[90:], babble(2.4))
    with pytest.raises(InputError, match=r"lasts 2\.40 s"):
        ingest(source, tmp_path)
    source = write_clip(tmp_path / "c.mp4", takes[70:], babble(3.2))
    with pytest.raises(InputError, match=r"its best part lasts 2\.00 s: give another video"):
        ingest(source, tmp_path)


def test_the_best_part_between_cuts_is_taken(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The first part is the longest, but shows nobody; sound stays with its picture."""
    empty = np.full_like(face_frame(0), 90)
    takes = [face_frame(i) if i >= 110 else empty for i in range(210)]
    sound = np.concatenate([np.zeros(int(4.4 * SAMPLE_RATE), np.float32), babble(4)])
    source = write_clip(tmp_path / "a.mp4", takes, sound)
    facts = ingest(source, tmp_path / "part", replace(SETTINGS, cuts="best_part"))
    assert facts.n_frames == 100
    assert facts.provenance["source_part_seconds"] == [4.4, 8.4]
    assert "only the part from 4.40 to 8.40 s of 8.40 s" in caplog.text
    alone = ingest(write_clip(tmp_path / "b.mp4", takes[110:], babble(4)), tmp_path / "alone")
    assert np.abs(np.subtract(facts.crop, alone.crop)).max() <= 2
    heard, wanted = (read_audio(tmp_path / name / "audio.wav") for name in ("part", "alone"))
    assert np.corrcoef(heard, wanted)[0, 1] > 0.98
    short = write_clip(tmp_path / "c.mp4", takes[:160], babble(6.4))
    with pytest.raises(InputError, match=r"its best part lasts 2\.00 s"):
        ingest(short, tmp_path / "short", replace(SETTINGS, cuts="best_part"))


def test_a_short_loss_of_the_face_is_allowed(tmp_path: Path) -> None:
    frames = [face_frame(i) for i in range(100)]
    for i in range(40, 46):
        frames[i] = np.full_like(frames[0], 90)  # something covers the lens
    source = write_clip(tmp_path / "a.mp4", frames, babble(4))
    with pytest.raises(InputError, match=r"cut at 1\.60 s"):
        ingest(source, tmp_path)
    facts = ingest(source, tmp_path, replace(SETTINGS, cuts="ignore"))
    assert facts.n_frames == 100


def shortened(path: Path) -> Path:
    return face_clip(path, seconds=2.0)


def faceless(path: Path) -> Path:
    return write_clip(path, (pattern_frame(i) for i in range(80)), babble(3.2))


def two_people(path: Path) -> Path:
    pairs = (np.hstack([face_frame(i, width=160), face_frame(i, width=160)]) for i in range(80))
    return write_clip(path, pairs, babble(3.2))


def scene_cut(path: Path) -> Path:
    frames = [face_frame(i) if i < 50 else 255 - face_frame(i)[:, ::-1] for i in range(100)]
    return write_clip(path, frames, babble(4))


def jump_cut(path: Path) -> Path:
    frames = [face_frame(i, x=0.5 if i < 50 else 0.56) for i in range(100)]
    return write_clip(path, frames, babble(4))


def mute(path: Path) -> Path:
    return write_clip(path, (face_frame(i) for i in range(80)), None)


def silent(path: Path) -> Path:
    return write_clip(path, (face_frame(i) for i in range(80)), np.zeros(51_200))


def early_silence(path: Path) -> Path:
    return write_clip(path, (face_frame(i) for i in range(80)), babble(1.0))


def truncated(path: Path) -> Path:
    whole = path.with_name("whole.mp4")
    face_clip(whole, seconds=4.0, options={"movflags": "faststart"})
    path.write_bytes(whole.read_bytes()[: whole.stat().st_size * 6 // 10])
    return path


def headless(path: Path) -> Path:
    whole = face_clip(path.with_name("whole.mp4"))
    path.write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
    return path


def no_video(path: Path) -> Path:
    path.write_bytes(b"no video at all")
    return path


REFUSALS: list[tuple[Callable[[Path], Path], str]] = [
    (shortened, r"lasts 2\.00 s: wanted at least 3 s"),
    (faceless, r"no face in 8 of 8 sampled frames"),
    (two_people, r"two faces in 8 of 8"),
    (scene_cut, r"cut at 2\.00 s \(frame 50\)"),
    (jump_cut, r"cut at 2\.00 s \(frame 50\)"),
    (mute, r"no audio track"),
    (silent, r"audio track is silent"),
    (early_silence, r"the sound ends after 1\.\d\d s"),
    (truncated, r"truncated video .*: \d+ of 100 frames could be read"),
    (headless, r"cannot be opened as video"),
    (no_video, r"cannot be opened as video"),
]


@pytest.mark.parametrize(("make", "message"), REFUSALS, ids=[m.__name__ for m, _ in REFUSALS])
def test_refusals_name_the_cause_and_leave_nothing(
    make: Callable[[Path], Path], message: str, tmp_path: Path
) -> None:
    source = make(tmp_path / "clip.mp4")
    out = tmp_path / "out"
    with pytest.raises(InputError, match=message) as refusal:
        ingest(source, out)
    assert "clip.mp4" in str(refusal.value)
    assert not out.exists() or not list(out.iterdir())


def test_a_photo_that_was_made_a_film_is_refused(plain: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="lips stand still"):
        ingest(plain, tmp_path / "out", IngestSettings(size=SIZE))
    assert not list((tmp_path / "out").glob("*"))


def test_missing_file_and_bad_name(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be opened"):
        ingest(tmp_path / "absent.mp4", tmp_path / "out")
    with pytest.raises(InputError, match="no path parts"):
        ingest_video(
            source=tmp_path / "absent.mp4",
            subject="../up",
            manifest=tmp_path / "m.json",
            video=tmp_path / "v.mkv",
            audio=tmp_path / "a.wav",
            settings=SETTINGS,
            seed=0,
            threads=1,
        )


def test_a_full_disk_leaves_nothing(
    plain: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("wave.open", full)
    with pytest.raises(InputError, match="No space left on device"):
        ingest(plain, tmp_path / "out")
    assert not list((tmp_path / "out").iterdir())


def test_portrait_has_one_face() -> None:
    with FaceMeshLandmarks(static=True, max_faces=2) as detector:
        assert len(detector.detect_all(portrait())) == 1


@pytest.mark.slow
def test_real_clip_shifted_by_known_amounts_comes_back(tmp_path: Path) -> None:
    source = real_clip("obama.mp4")
    straight = ingest(source, tmp_path / "straight")
    assert straight.n_frames == 748 and straight.crop == (0, 256, 0, 256)
    assert abs(straight.av_offset_frames) <= 0.25
    assert straight.av_offset_confidence > 0.15
    late = tmp_path / "late.mkv"
    delayed = ("-itsoffset", "0.12", "-i", str(source))
    ffmpeg("-i", str(source), *delayed, "-map", "0:v", "-map", "1:a", "-c", "copy", str(late))
    found = ingest(late, tmp_path / "late")
    assert found.av_offset_frames == pytest.approx(3.0, abs=0.3)
    a = read_audio(tmp_path / "straight/audio.wav")
    b = read_audio(tmp_path / "late/audio.wav")
    n = min(len(a), len(b)) - 4800
    lag = np.correlate(b[4800:n], a[4800 - 400 : n + 400], "valid").argmax() - 400
    assert abs(lag) <= 160  # the corrected sound lies within 10 ms of the original


def test_the_digital_actor_passes(actor_clip: Path, tmp_path: Path) -> None:
    facts = ingest(actor_clip, tmp_path)
    check_outputs(tmp_path, facts)
    assert facts.n_frames == 100
    assert facts.provenance["source_comment"] == "synthetic actor made by EmoTalk"
    assert facts.provenance["face_found"] == facts.provenance["face_sampled"] == 10
