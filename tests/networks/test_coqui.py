"""The coqui engine: a program of its own environment, called with files of a local folder."""

from __future__ import annotations

import stat
from pathlib import Path

import numpy as np
import pytest

from emotalk_core.errors import BackendUnavailableError, InputError
from emotalk_core.media.audio import write_wav
from emotalk_core.speech.synthesis.coqui import engine
from emotalk_core.speech.synthesis.stage import SynthesisSettings, load_engine


@pytest.fixture
def model(tmp_path: Path) -> Path:
    for name in ("model_file.pth", "config.json"):  # as coqui's own download leaves them
        (tmp_path / name).write_bytes(b"")
    return tmp_path


def program(folder: Path, body: str) -> str:
    path = folder / "tts"
    path.write_text(f"#!/bin/bash\n{body}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return str(path)


def settings(model: Path, name: str, speed: float = 1.0) -> SynthesisSettings:
    return SynthesisSettings(engine="coqui", voice=str(model), program=name, speed=speed)


def test_the_program_gets_the_folder_s_files(model: Path) -> None:
    write_wav(model / "said.wav", np.full(1600, 0.25, np.float32))
    body = f'echo "$@" > {model}/arguments\ncp {model}/said.wav "$4"'
    spoken = load_engine(settings(model, program(model, body))).speak("two\nwords $(id)")
    assert len(spoken.samples) == 1600 and spoken.engine == f"coqui/{model.name}"
    arguments = (model / "arguments").read_text()
    assert "--text two words $(id) --out_path" in arguments
    files = f"--model_path {model}/model_file.pth --config_path {model}/config.json"
    assert arguments.strip().endswith(files)


def test_a_vocoder_a_speaker_and_a_language_are_handed_on(model: Path) -> None:
    for name in ("vocoder.pth", "vocoder_config.json"):
        (model / name).write_bytes(b"")
    tts = program(model, "")
    said = engine(f"{model}:p225:en", 1.0, tts).command("words", Path("a.wav"))
    at = said.index("--vocoder_path")
    weights, config = (str(model / name) for name in ("vocoder.pth", "vocoder_config.json"))
    given = [weights, "--vocoder_config_path", config]
    assert said[at + 1 :] == [*given, "--speaker_idx", "p225", "--language_idx", "en"]
    only_language = engine(f"{model}::de", 1.0, tts).command("words", Path("a.wav"))
    assert only_language[-2:] == ["--language_idx", "de"] and "--speaker_idx" not in only_language
    (model / "vocab.json").write_bytes(b"")  # XTTS
    whole = engine(str(model), 1.0, tts).command("words", Path("a.wav"))
    assert whole[whole.index("--model_path") + 1] == str(model)


def test_what_is_missing_is_named(model: Path) -> None:
    with pytest.raises(BackendUnavailableError, match=r"no-tts: not on the PATH.*envs/tts\.yaml"):
        load_engine(settings(model, "no-tts"))
    with pytest.raises(InputError, match="own pace"):
        load_engine(settings(model, program(model, ""), speed=1.2))
    (model / "config.json").unlink()
    with pytest.raises(InputError, match=r"coqui model folder with model\.pth or model_file"):
        load_engine(settings(model, "tts"))


def test_a_failure_carries_the_program_s_words(model: Path) -> None:
    name = program(model, "echo model is broken >&2; exit 2")
    with pytest.raises(InputError, match="model is broken"):
        load_engine(settings(model, name)).speak("words")
