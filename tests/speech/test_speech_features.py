"""Features: exact frames, streaming, time, one contract over all extractors, the stage."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from emotalk_core.errors import (
    ArtifactError,
    BackendUnavailableError,
    ConfigError,
    WeightsError,
)
from emotalk_core.media.audio import write_wav
from emotalk_core.media.tables import read_arrays, write_manifest
from emotalk_core.speech.features import embedding, mel, phones
from emotalk_core.speech.features.mel import log_mel
from emotalk_core.speech.features.onnx_weights import float_tensors
from emotalk_core.speech.features.phones import PHONES, phone_posteriors
from emotalk_core.speech.features.registry import (
    EXTRACTORS,
    features_from_wav,
    frames_in,
    load_extractor,
)
from emotalk_core.speech.level import clipped_frames, frame_levels, loudness
from emotalk_core.speech.stage import SpeechSettings, extract_features
from emotalk_core.speech.synthesis.espeak import espeak_phonemes
from emotalk_core.types.manifest import Manifest
from tests.video_tools import babble

SOUND = babble(2.0).astype(np.float32)


def test_log_mel_equals_librosa() -> None:
    import librosa

    ours = log_mel(SOUND, 40)
    margin = 512 // 2 - 80  # librosa's first column is centred here
    padded = np.pad(SOUND, (margin, 512))
    theirs = librosa.feature.melspectrogram(
        y=padded,
        sr=16_000,
        n_fft=512,
        win_length=400,
        hop_length=160,
        n_mels=40,
        fmin=60,
        fmax=7600,
        center=False,
    )
    assert ours.shape == (200, 40)
    np.testing.assert_allclose(ours, np.log(theirs.T[:200] + 1e-6), atol=2e-4)


def test_log_mel_blocks_do_not_show(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = log_mel(SOUND, 40)
    monkeypatch.setattr(mel, "BLOCK", 7)
    np.testing.assert_allclose(log_mel(SOUND, 40), whole, atol=1e-5)


@pytest.mark.parametrize(
    ("n_samples", "n_frames"), [(32_000, 50), (31_999, 50), (32_319, 50), (9, 0)]
)
def test_frame_count_is_rounded_duration(n_samples: int, n_frames: int) -> None:
    assert frames_in(np.zeros(n_samples, np.float32)) == n_frames


@pytest.mark.parametrize("name", EXTRACTORS.names())
class TestContract:
    """What every extractor promises."""

    def test_shape_and_finite_values_of_natural_size(self, name: str) -> None:
        extractor = load_extractor(name)
        windows = features_from_wav(SOUND, 50, name)
        assert windows.shape == (50, 16, extractor.dim) and windows.dtype == np.float32
        assert np.isfinite(windows).all() and 0.1 < windows.std() < 10
        assert extractor.id and extractor.standing_for

    def test_frames_do_not_depend_on_the_end_of_the_recording(self, name: str) -> None:
        short = features_from_wav(SOUND[:24_000], 20, name)
        long = features_from_wav(np.concatenate([SOUND, 4 * SOUND]), 20, name)
        np.testing.assert_allclose(short, long, atol=2e-4)

    def test_a_shift_by_frames_shifts_the_features(self, name: str) -> None:
        base = features_from_wav(SOUND, 50, name)
        late = features_from_wav(np.concatenate([np.zeros(640 * 5, np.float32), SOUND]), 55, name)
        np.testing.assert_allclose(late[5:], base, atol=2e-4)

    def test_more_frames_than_sound_are_silence(self, name: str) -> None:
        windows = features_from_wav(SOUND[:3200], 60, name)
        padded = features_from_wav(np.pad(SOUND[:3200], (0, 35_200)), 60, name)
        np.testing.assert_allclose(windows, padded, atol=1e-4)
        np.testing.assert_allclose(windows[55:], windows[54:-1], atol=1e-4)
        assert np.abs(windows[:5] - windows[54]).max() > 0.1

    def test_the_middle_of_the_window_is_the_frames_time(self, name: str) -> None:
        click = np.zeros(32_000, np.float32)
        click[640 * 25 + 320 - 40 : 640 * 25 + 320 + 40] = 0.5  # middle of frame 25
        windows = features_from_wav(click, 50, name)
        change = np.abs(windows - windows[5]).sum(axis=2)
        centre = (change[25] * np.arange(16)).sum() / change[25].sum()
        assert centre == pytest.approx(7.5, abs=1.5 if name == "embedding" else 0.6)
        assert change[25].sum() > 5 * change[8].sum()


def test_embedding_windows_overlap() -> None:
    windows = load_extractor("embedding").windows(SOUND, 50)
    # vector 8 of frame k is vector 7 of frame k + 1
    np.testing.assert_array_equal(windows[1:, 7], windows[:-1, 8])


def test_phones_hear_what_is_said() -> None:
    samples, said = espeak_phonemes("see saw see saw", "en-us+m3", 150)
    likely = phone_posteriors(samples)
    np.testing.assert_allclose(likely.sum(axis=1), 1.0)
    vowels = {p for p in PHONES if p[0] in "AEIOU" and p != "ER"}
    for sounds, group in ((("s",), {"S", "Z", "SH", "TH", "F"}), (("i:", "O:"), vowels)):
        times = [(p.start + p.end) / 2 for p in said if p.name in sounds]
        heard = [PHONES[int(likely[round(100 * time)].argmax())] for time in times]
        assert len(heard) == 4 and group.issuperset(heard), heard


def test_blocks_of_phones_have_no_seam(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only the mean that the recogniser takes out differs from block to block."""
    samples, _ = espeak_phonemes("A long story about a short road to the sea", "en-us+f3", 150)
    whole = phone_posteriors(samples)
    monkeypatch.setattr(phones, "BLOCK_SECONDS", 1)
    parts = phone_posteriors(samples)
    assert parts.shape == whole.shape
    seam = np.abs(np.sqrt(parts) - np.sqrt(whole)).mean(axis=1)
    assert seam[95:106].mean() < 2 * seam.mean() + 1e-3 and seam.mean() < 0.05


def test_phones_name_the_missing_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(phones, "PACKAGE", "no_such_recogniser")
    with pytest.raises(BackendUnavailableError, match="no_such_recogniser is missing; install"):
        features_from_wav(SOUND, 50, "phones")


def test_unknown_extractor_names_the_nearest() -> None:
    with pytest.raises(ConfigError, match="did you mean 'logmel'"):
        load_extractor("log_mel")


def test_levels_of_hand_made_sound() -> None:
    sound = np.concatenate([np.zeros(6400), np.full(6400, 0.5), np.zeros(6400)]).astype(np.float32)
    levels = frame_levels(sound, 30)
    assert levels[:9].max() == 0 and levels[12] == pytest.approx(0.5)
    assert levels[9] == pytest.approx((0.25 / 3) ** 0.5)
    assert loudness(sound) == pytest.approx(0.5) and loudness(sound[:0]) == 0
    sound[7000:7002] = 1.0
    assert np.flatnonzero(clipped_frames(sound, 30)).tolist() == [10]


def test_stage_writes_features_silence_and_id(tmp_path: Path) -> None:
    sound = SOUND.copy()
    sound[16_000:24_000] = 0
    write_wav(tmp_path / "audio.wav", sound)
    write_manifest(tmp_path / "manifest.json", manifest(50))
    for name in ("a.npz", "b.npz"):
        run_stage(tmp_path, name)
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()
    arrays = read_arrays(tmp_path / "a.npz", ["features", "extractor", "silence", "clipping"])
    assert arrays["features"].shape == (50, 16, 82)
    assert str(arrays["extractor"]) == "phones-42-logmel-40-100hz"
    assert np.flatnonzero(arrays["silence"]).tolist() == list(range(26, 37))


def test_stage_refuses_sound_of_another_length(tmp_path: Path) -> None:
    write_wav(tmp_path / "audio.wav", SOUND)
    write_manifest(tmp_path / "manifest.json", manifest(51))
    with pytest.raises(ArtifactError, match="32000 frames, the manifest says 32640"):
        run_stage(tmp_path, "a.npz")
    assert not (tmp_path / "a.npz").exists()


def run_stage(folder: Path, name: str) -> None:
    extract_features(
        manifest=folder / "manifest.json",
        audio=folder / "audio.wav",
        speech=folder / name,
        settings=SpeechSettings(),
        threads=1,
    )


def manifest(n_frames: int) -> Manifest:
    return Manifest(
        subject="s",
        source_name="s.mp4",
        source_sha256="0",
        width=64,
        height=64,
        n_frames=n_frames,
        n_samples=640 * n_frames,
        crop=(0, 64, 0, 64),
        av_offset_frames=0.0,
        av_offset_confidence=0.3,
        n_train=n_frames - 5,
    )


def test_blocks_of_a_long_sound_have_no_seam(monkeypatch: pytest.MonkeyPatch) -> None:
    extractor = load_extractor("embedding")
    whole = extractor.windows(SOUND, 50)
    monkeypatch.setattr(embedding, "BLOCK_FRAMES", 7)
    np.testing.assert_allclose(extractor.windows(SOUND, 50), whole, atol=1e-4)


def test_windows_are_views_of_one_pass() -> None:
    for name in EXTRACTORS.names():
        windows = load_extractor(name).windows(SOUND, 50)
        assert windows.base is not None and windows.shape[:2] == (50, 16)


def test_broken_weight_files_are_named(tmp_path: Path) -> None:
    path = tmp_path / "net.onnx"
    path.write_bytes(b"\x00\x01 this is no protocol buffer")
    with pytest.raises(WeightsError, match=r"net\.onnx: not readable as ONNX"):
        float_tensors(path)
