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
# Files of the model folder: argument of the program; the first two must be there.
FILES = {
    "model.pth": "--model_path",
    "config.json": "--config_path",
    "vocoder.pth": "--vocoder_path",
    "vocoder_config.json": "--vocoder_config_path",
    "speakers.pth": "--speakers_file_path",
}
NEEDED = ("model.pth", "config.json")


@dataclass(frozen=True)
class CoquiEngine:
    """A coqui model; it runs in an environment of its own, since its pins fight with ours.

    Attributes:
        folder: model folder (`FILES`); nothing is downloaded.
        program: name or path of `tts`.
    """

    folder: Path
    program: str

    def command(self, text: str, wav: Path) -> list[str]:
        """Argument list; nothing passes through a shell."""
        there = [(flag, self.folder / name) for name, flag in FILES.items()]
        files = [part for flag, path in there if path.is_file() for part in (flag, str(path))]
        return [self.program, "--text", text, "--out_path", str(wav), *files]

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


def engine(voice: str, speed: float, program: str) -> CoquiEngine:
    """The coqui engine with a local model folder.

    Raises:
        InputError: the folder is not complete, or another speed than 1 is asked for.
        BackendUnavailableError: the program is not there.
    """
    missing = [name for name in NEEDED if not (Path(voice) / name).is_file()]
    if not voice or missing:
        wanted = f"wanted a coqui model folder with {', '.join(NEEDED)}"
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
    return CoquiEngine(Path(voice), program)
