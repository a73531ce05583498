"""Reference speech features: windows as the neighbouring projects cut them, files by hand."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from emotalk_core import weights
from emotalk_core.errors import InputError, WeightsError
from emotalk_core.speech.features import deepspeech
from emotalk_core.speech.features.ave import AudioEncoder, AudioVisualEncoder
from emotalk_core.speech.features.existing import windows_from_npy
from emotalk_core.speech.features.fifty_hertz import windows_of
from emotalk_core.speech.features.registry import load_extractor, load_extractor_or_stand_in
from emotalk_core.speech.features.transformer import KERNEL, STRIDE, blocks
from emotalk_core.speech.sync.wav2lip import mel_spectrogram

from .seeded import seed


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv(weights.FOLDER_VARIABLE, str(tmp_path))
    monkeypatch.delenv(weights.POLICY_VARIABLE, raising=False)
    return tmp_path


def speech(seconds: float) -> np.ndarray:
    return (np.random.default_rng(2).standard_normal(int(seconds * 16_000)) * 0.1).astype(
        np.float32
    )


def test_windows_at_50_hertz() -> None:
    """Frame k: vectors 2k-8 .. 2k+7, zeros outside (padding of 8, stride of 2)."""
    vectors = np.arange(1, 21, dtype=float)[:, None]
    windows = windows_of(vectors, 10)
    assert windows.shape == (10, 16, 1)
    assert windows[0, :, 0].tolist() == [0] * 8 + list(range(1, 9))
    assert windows[5, :, 0].tolist() == list(range(3, 19))
    assert windows[9, -6:, 0].tolist() == [0] * 6 or windows[9, 9, 0] == 20
    assert windows_of(vectors, 0).shape == (0, 16, 1)


def test_long_sounds_are_cut_without_a_seam() -> None:
    """Vectors of the blocks follow each other: as many as of the whole sound."""
    for n_samples in (399, 400, 5000, 320_000, 320_080, 700_000):
        whole = max((n_samples - (KERNEL - STRIDE)) // STRIDE, 0)
        parts = blocks(n_samples)
        found = sum((b - a - KERNEL) // STRIDE + 1 for a, b in parts)
        assert abs(found - whole) <= 1, n_samples
        starts = [a for a, _ in parts]
        assert all(s % (STRIDE * 1000) == 0 for s in starts)


def test_ave_windows_are_those_of_the_original(folder: Path) -> None:
    """Vector of frame j: mel columns int(80 (j-1) / 25) .. + 16, away from the sound's ends."""
    path = weights.path_of(weights.known_weights("ave"))
    network = seed(AudioEncoder())
    torch.save(network.state_dict(), path)
    sound = speech(1.6)
    windows = AudioVisualEncoder().windows(sound, 40)
    assert windows.shape == (40, 16, 512)
    mels = mel_spectrogram(sound)
    for frame in (9, 14, 22):
        start = int(80.0 * ((frame - 1) / 25))
        piece = torch.from_numpy(mels[start : start + 16].T.copy())[None, None]
        with torch.no_grad():
            wanted = network(piece)[0].numpy()
        assert np.allclose(windows[frame, 8], wanted, atol=1e-4)
        assert np.array_equal(windows[frame, 8], windows[frame - 3, 11])


def test_deepspeech_input_worked_by_hand() -> None:
    inputs = deepspeech.network_input(speech(1.0))
    assert inputs.shape == (50, 19 * 26)
    assert abs(inputs.mean()) < 1e-5 and inputs.std() == pytest.approx(1, abs=1e-5)
    assert np.array_equal(inputs[5, 9 * 26 : 10 * 26], inputs[6, 8 * 26 : 9 * 26])


def test_deepspeech_runs_an_export(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Session:
        def get_inputs(self) -> list[SimpleNamespace]:
            return [
                SimpleNamespace(name="input_node", type="tensor(float)"),
                SimpleNamespace(name="input_lengths", type="tensor(int32)"),
            ]

        def run(self, _: None, feed: dict[str, np.ndarray]) -> list[np.ndarray]:
            steps = feed["input_node"].shape[1]
            assert feed["input_lengths"].tolist() == [steps]
            return [np.tile(np.arange(steps)[:, None, None], (1, 1, 29)).astype(np.float32)]

    (folder / deepspeech.FILE).write_bytes(b"")
    monkeypatch.setattr(deepspeech, "open_onnx", lambda _: Session())
    windows = deepspeech.DeepSpeech().windows(speech(1.0), 25)
    assert windows.shape == (25, 16, 29)
    assert windows[10, :, 0].tolist() == list(range(12, 28))


@pytest.mark.parametrize("name", ["ave", "wav2vec2", "hubert", "deepspeech"])
def test_missing_files_give_phones_or_stop(
    folder: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, name: str
) -> None:
    assert load_extractor_or_stand_in(name).id.startswith("phones")
    assert "phones is used instead" in caplog.text and name in caplog.text
    with pytest.raises(WeightsError, match="missing"):
        load_extractor(name)
    monkeypatch.setenv(weights.POLICY_VARIABLE, weights.ERROR)
    with pytest.raises(WeightsError, match="missing"):
        load_extractor_or_stand_in(name)


def test_existing_features_of_three_layouts(tmp_path: Path) -> None:
    draw = np.random.default_rng(0)
    path = tmp_path / "aud.npy"
    ready = draw.normal(size=(31, 16, 29)).astype(np.float32)
    np.save(path, ready)
    assert np.array_equal(windows_from_npy(path, 30), ready[:30])
    np.save(path, draw.normal(size=(30, 2, 8)))
    assert windows_from_npy(path, 30).shape == (30, 16, 8)
    np.save(path, np.arange(28.0)[:, None])
    windows = windows_from_npy(path, 30)
    assert windows[10, :, 0].tolist() == list(range(2, 18)) and windows[29, 8, 0] == 27


def test_existing_features_of_another_clip_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "aud.npy"
    with pytest.raises(InputError, match="not readable"):
        windows_from_npy(path, 30)
    np.save(path, np.zeros((50, 16, 29)))
    with pytest.raises(InputError, match="50 frames, the clip has 30"):
        windows_from_npy(path, 30)
    np.save(path, np.zeros((30, 5, 29)))
    with pytest.raises(InputError, match="shape"):
        windows_from_npy(path, 30)
    np.save(path, np.array([{"a": 1}], dtype=object), allow_pickle=True)
    with pytest.raises(InputError, match="not readable"):
        windows_from_npy(path, 1)
