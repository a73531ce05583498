"""Missing, truncated, altered and hostile weight files: named messages, and what happens next."""

from __future__ import annotations

import logging
import os
import pickle
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from emotalk_core import weights
from emotalk_core.errors import WeightsError
from emotalk_core.media.weight_files import (
    load_file_strictly,
    load_strictly,
    open_network,
    open_onnx,
    read_state,
)
from emotalk_core.speech.features.ave import AudioEncoder, prefixed

from .seeded import seed


class Hostile:
    """Pickles into a call of os.system."""

    def __reduce__(self) -> tuple:
        return os.system, ("touch hostile-was-here",)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv(weights.FOLDER_VARIABLE, str(tmp_path))
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def good(folder: Path) -> Path:
    """A seeded file in the place of the Audio-Visual Encoder's."""
    path = folder / weights.known_weights("ave").file
    torch.save(seed(AudioEncoder()).state_dict(), path)
    return path


def load(on_missing: str = weights.STAND_IN) -> AudioEncoder | None:
    return open_network("ave", AudioEncoder, on_missing, prefixed)


def test_a_good_file_loads_and_is_pinned(good: Path) -> None:
    assert weights.state_of(weights.known_weights("ave")) == weights.UNVERIFIED
    assert load() is not None
    assert weights.state_of(weights.known_weights("ave")) == weights.PRESENT
    assert weights.pins()["ave"] == weights.sha256_of(good)


def test_a_missing_file_uses_the_stand_in_and_says_so(
    folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        assert load() is None
    for part in ("ave", "missing", "audio_visual_encoder.pth", "sha256", "licence", "phones"):
        assert part in caplog.text
    with pytest.raises(WeightsError, match=r"missing.*on_missing is error"):
        load(weights.ERROR)


def flip_a_byte(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def test_an_altered_file_is_refused_by_its_hash_once_pinned(
    good: Path, caplog: pytest.LogCaptureFixture
) -> None:
    load()
    flip_a_byte(good)
    assert load() is None
    assert "ave: wrong hash" in caplog.text
    with pytest.raises(WeightsError, match="wrong hash"):
        load(weights.ERROR)


def test_an_altered_file_is_refused_by_its_checksum_before(good: Path) -> None:
    flip_a_byte(good)
    with pytest.raises(WeightsError, match=r"altered|damaged|truncated"):
        load(weights.ERROR)


@pytest.mark.parametrize("new_format", [True, False])
def test_a_truncated_file_is_refused(good: Path, new_format: bool) -> None:
    torch.save(seed(AudioEncoder()).state_dict(), good, _use_new_zipfile_serialization=new_format)
    good.write_bytes(good.read_bytes()[: good.stat().st_size // 2])
    with pytest.raises(WeightsError, match="truncated"):
        load(weights.ERROR)
    assert load() is None


def test_a_published_hash_counts_and_a_pin_overrules_it(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    entry = weights.known_weights("lpips_alex")
    (folder / entry.file).write_bytes(b"x" * 10)
    assert weights.state_of(entry) == weights.TRUNCATED
    (folder / entry.file).write_bytes(b"x" * entry.n_bytes)
    assert weights.state_of(entry) == weights.WRONG_HASH
    weights.pin(entry)
    assert weights.state_of(entry) == weights.PRESENT


@pytest.mark.parametrize("how", ["torch", "legacy", "pickle"])
def test_a_hostile_pickle_is_refused_and_does_not_run(good: Path, how: str) -> None:
    hostile = {"a": torch.zeros(2), "b": Hostile()}
    if how == "pickle":
        good.write_bytes(pickle.dumps(hostile, protocol=2))
    else:
        torch.save(hostile, good, _use_new_zipfile_serialization=how == "torch")
    with pytest.raises(WeightsError, match="refused, it is not a plain table of tensors"):
        load(weights.ERROR)
    assert load() is None
    assert not (good.parent / "hostile-was-here").exists()


def test_another_network_s_file_says_which_names_disagree(good: Path) -> None:
    torch.save({"fc.weight": torch.zeros(3)}, good)
    with pytest.raises(WeightsError, match=r"does not fit AudioEncoder.*Missing key"):
        load(weights.ERROR)


def test_wrapped_and_parallel_states_and_safetensors_load(folder: Path) -> None:
    state = seed(AudioEncoder()).state_dict()
    parallel = {f"module.{name}": tensor for name, tensor in state.items()}
    torch.save({"state_dict": parallel, "global_step": 7}, folder / "a.pth")
    save_file(state, str(folder / "b.safetensors"))
    torch.jit.script(torch.nn.Linear(3, 2)).save(str(folder / "c.zip"))
    for name in ("a.pth", "b.safetensors"):
        load_file_strictly(AudioEncoder(), folder / name)
    assert set(read_state(folder / "c.zip")) == {"weight", "bias"}


def test_old_files_without_counters_of_batch_norm_load(folder: Path) -> None:
    state = seed(AudioEncoder()).state_dict()
    old = {n: t for n, t in state.items() if not n.endswith("num_batches_tracked")}
    load_strictly(AudioEncoder(), old, "a file of 2018")


def test_a_file_that_is_no_onnx_model_says_so(folder: Path) -> None:
    (folder / "a.onnx").write_bytes(b"nothing")
    with pytest.raises(WeightsError, match="not a usable ONNX model"):
        open_onnx(folder / "a.onnx")
    with pytest.raises(WeightsError, match="missing"):
        open_onnx(folder / "b.onnx")


def test_the_param_of_a_rule_changes_with_the_bytes(good: Path) -> None:
    config = {"speech": {"extractor": "logmel"}, "weights": {"on_missing": "stand_in"}}
    assert weights.weights_param(config, "speech") == ""
    config["speech"]["extractor"] = "ave"
    first = weights.weights_param(config, "speech")
    flip_a_byte(good)
    second = weights.weights_param(config, "speech")
    good.unlink()
    third = weights.weights_param(config, "speech")
    assert len({first, second, third}) == 3 and "missing" in third
    assert weights.on_missing_of(third) == "stand_in"


@pytest.mark.parametrize("word", sorted(weights.EXPORTS))
def test_exports_without_an_entry_reach_their_rules_too(word: str, folder: Path) -> None:
    """A policy of "error" and a changed file count for them as for files with a known hash."""
    config = {"speech": {"extractor": word}, "weights": {"on_missing": "error"}}
    missing = weights.weights_param(config, "speech")
    assert weights.on_missing_of(missing) == "error"
    assert weights.files_of(missing) == {word: weights.MISSING}
    path = weights.weights_folder() / weights.EXPORTS[word]
    if path.suffix != ".onnx":
        path.mkdir()
        (path / "config.json").write_text("{}")
        path /= "model.safetensors"
    path.write_bytes(b"one")
    first = weights.weights_param(config, "speech")
    path.write_bytes(b"two")
    assert len({missing, first, weights.weights_param(config, "speech")}) == 3


def test_every_entry_is_complete() -> None:
    for entry in weights.weight_files().values():
        assert entry.file and entry.licence and entry.forbids and entry.home, entry.name
        assert entry.used_by and entry.stand_in and "=" in entry.config, entry.name
        assert all(c in "0123456789abcdef" for c in entry.sha256), entry.name
