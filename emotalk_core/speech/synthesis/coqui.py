"""Text in, speech out, by coqui's `tts` program in its own environment and a local model folder."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

from emotalk_core.errors import BackendUnavailableError, InputError, explain
from emotalk_core.media.audio import read_audio
from emotalk_core.speech.synthesis.base import Speech

PROGRAM = "tts"  # of the package coqui-tts, on the PATH of its own environment (envs/tts.yaml)
TIMEOUT_SECONDS = 600.0  # loading a large model takes a minute
# Names under which coqui's own download leaves a model, and those of most training runs.
MODELS = ("model.pth", "model_file.pth", "model_file.pth.tar", "checkpoint.pth")
CONFIG = "config.json"
VOCABULARY = "vocab.json"  # XTTS reads its files by itself: it is given the folder
VOCODER = {"vocoder.pth": "--vocoder_path", "vocoder_config.json": "--vocoder_config_path"}
CHOICES = ("--speaker_idx", "--language_idx")  # what may follow the folder in synthesis.voice


@dataclass(frozen=True)
class CoquiEngine:
    """A coqui model; it runs in an environment of its own, since its pins fight with ours.

    Attributes:
        folder: model folder; nothing is downloaded.
        program: name or path of `tts`.
        choices: speaker and language of a model that has several.
    """

    folder: Path
    program: str
    choices: tuple[str, ...] = ()

    def command(self, text: str, wav: Path) -> list[str]:
        """Argument list; nothing passes through a shell."""
        model = find_model(self.folder)
        if model is None or (self.folder / VOCABULARY).is_file():
            model = self.folder
        files = ["--model_path", str(model), "--config_path", str(self.folder / CONFIG)]
        for name, flag in VOCODER.items():
            if (self.folder / name).is_file():
                files += [flag, str(self.folder / name)]
        chosen = [part for pair in zip(CHOICES, self.choices) if pair[1] for part in pair]
        return [self.program, "--text", text, "--out_path", str(wav), *files, *chosen]

    def speak(self, text: str) -> Speech:
        """Speak one text.

        Raises:
            InputError: the program fails or hangs; carries its last message.
        """
        with tempfile.TemporaryDirectory(prefix="coqui") as folder:
            wav = Path(folder) / "spoken.wav"
            line = " ".join(text.split())
            try:
                subprocess.run(
                    self.command(line, wav),
                    capture_output=True,
                    text=True,
                    timeout=TIMEOUT_SECONDS,
                    check=True,
                )
            except subprocess.CalledProcessError as error:
                last = (error.stderr or "").strip().splitlines()[-1:]
                raise InputError(
                    explain("text", repr(text[:40]), f"coqui failed {last}", "try engine piper")
                ) from error
            except subprocess.TimeoutExpired as error:
                raise InputError(
                    explain("text", repr(text[:40]), "coqui hung", "try engine piper")
                ) from error
            return Speech(read_audio(wav), (), f"coqui/{self.folder.name}")


def find_model(folder: Path) -> Path | None:
    """The model file of a folder; None where it has none under a usual name."""
    return next((folder / name for name in MODELS if (folder / name).is_file()), None)


def engine(voice: str, speed: float, program: str) -> CoquiEngine:
    """The coqui engine with a local model folder.

    Args:
        voice: FOLDER, FOLDER:SPEAKER or FOLDER:SPEAKER:LANGUAGE.
        speed: 1.
        program: name or path of `tts`; "": on the PATH.

    Raises:
        InputError: the folder is not complete, or another speed than 1 is asked for.
        BackendUnavailableError: the program is not there.
    """
    name, *choices = voice.split(":", len(CHOICES))
    folder = Path(name)
    if not name or find_model(folder) is None or not (folder / CONFIG).is_file():
        wanted = f"wanted a coqui model folder with {' or '.join(MODELS)}, and {CONFIG}"
        raise InputError(explain("synthesis.voice", voice or "''", wanted, "docs/weights.md"))
    if speed != 1:
        raise InputError(
            explain("synthesis.speed", speed, "coqui speaks at its own pace", "set it to 1")
        )
    program = program or PROGRAM
    if shutil.which(program) is None:
        raise BackendUnavailableError(
            f"synthesis.program={program}: not on the PATH; make the environment envs/tts.yaml and "
            "give the path of its `tts`, or set synthesis.engine to piper"
        )
    return CoquiEngine(folder, program, tuple(choices))
