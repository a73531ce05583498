"""OpenFace's FeatureExtraction, on this machine or in a container: a video in, its table out."""

from __future__ import annotations

import logging
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from emotalk_core.errors import BackendUnavailableError, InputError
from emotalk_core.weights import STAND_IN, policy

logger = logging.getLogger(__name__)

WORD = "openface"  # of action_units.reader
READER_ID = "openface-program"
TIMEOUT_SECONDS = 6 * 3600.0  # the program needs about 0.1 s a frame; longer means that it hangs
CONTAINER_IN, CONTAINER_OUT = "/clip", "/openface_out"  # where docker and podman see the folders


def command(video: Path, out: Path, program: str, container: str) -> list[str]:
    """Argument list of one run; nothing passes through a shell.

    Args:
        video: the clip.
        out: folder of the table.
        program: name or path of FeatureExtraction.
        container: "" or "runner:image".
    """
    runner, _, image = container.partition(":")
    video, out = video.resolve(), out.resolve()
    if runner == "apptainer":
        binds = ["--bind", f"{video.parent}:{video.parent}:ro", "--bind", f"{out}:{out}"]
        head = ["apptainer", "exec", *binds, image]
    elif runner in ("docker", "podman"):
        folders = ["-v", f"{video.parent}:{CONTAINER_IN}:ro", "-v", f"{out}:{CONTAINER_OUT}"]
        head = [runner, "run", "--rm", *folders, image]
        video, out = Path(CONTAINER_IN) / video.name, Path(CONTAINER_OUT)
    else:
        head = []
    task = ["-f", str(video), "-out_dir", str(out), "-of", "openface", "-aus"]
    return [*head, program, *task]


def _missing(program: str, container: str) -> str:
    """What is not there, "" when everything is."""
    runner = container.partition(":")[0]
    needed = runner if container else program
    return "" if shutil.which(needed) else needed


@contextmanager
def run(video: Path, program: str, container: str) -> Iterator[Path | None]:
    """The table that OpenFace wrote, inside the block; None where the stand-in is to be used.

    Raises:
        BackendUnavailableError: the program or the container's runner is not there, and
            weights.on_missing is "error".
        InputError: the program fails; carries its last words.
    """
    missing = _missing(program, container)
    if missing:
        text = (
            f"action_units.reader=openface: {missing} is not on the PATH; install OpenFace 2.2 "
            "(academic licence), name a container, or give its CSV as action_units.openface_csv"
        )
        if policy() != STAND_IN:
            raise BackendUnavailableError(text)
        logger.warning("%s; the packaged reader is used instead", text)
        yield None
        return
    with tempfile.TemporaryDirectory(prefix="openface") as folder:
        arguments = command(video, Path(folder), program, container)
        logger.info("action units: %s", " ".join(arguments))
        _call(arguments)
        table = Path(folder) / "openface.csv"
        if not table.is_file():
            raise InputError(f"{arguments[0]}: wrote no table for {video}; look at its messages")
        yield table


def _call(arguments: list[str]) -> None:
    try:
        done = subprocess.run(
            arguments, capture_output=True, text=True, timeout=TIMEOUT_SECONDS, check=True
        )
    except subprocess.CalledProcessError as error:
        last = (error.stderr or error.stdout or "").strip().splitlines()[-3:]
        raise InputError(f"{' '.join(arguments[:2])}: failed ({' / '.join(last)})") from error
    except subprocess.TimeoutExpired as error:
        raise InputError(f"{' '.join(arguments[:2])}: hung for {TIMEOUT_SECONDS:.0f} s") from error
    logger.info("action units: %s", " / ".join(done.stdout.strip().splitlines()[-2:]))
