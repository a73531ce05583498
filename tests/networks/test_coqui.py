"""The coqui engine: a program of its own environment, called with files of a local folder."""

from __future__ import annotations

import stat
from pathlib import Path

import numpy as np
import pytest

from emotalk_core.errors import BackendUnavailableError, InputError
from emotalk_core.media.audio import write_wav
from emotalk_core.speech.synthesis.stage import SynthesisSettings, load_engine


@pytest.fixture
def model(tmp_path: Path) -> Path:
    for name in ("model.pth", "config.json", "speakers.pth"):
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
    assert f"--speakers_file_path {model}/speakers.pth" in arguments
    assert "vocoder" not in arguments


def test_what_is_missing_is_named(model: Path) -> None:
    with pytest.raises(BackendUnavailableError, match=r"no-tts: not on the PATH.*envs/tts\.yaml"):
        load_engine(settings(model, "no-tts"))
    with pytest.raises(InputError, match="own pace"):
        load_engine(settings(model, program(model, ""), speed=1.2))
    (model / "config.json").unlink()
    with pytest.raises(InputError, match=r"wanted a coqui model folder with model\.pth"):
        load_engine(settings(model, "tts"))


def test_a_failure_carries_the_program_s_words(model: Path) -> None:
    name = program(model, "echo model is broken >&2; exit 2")
    with pytest.raises(InputError, match="model is broken"):
        load_engine(settings(model, name)).speak("words")
