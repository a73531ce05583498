"""What this machine can do: packages, backends with a self-test, weights, external programs."""

from __future__ import annotations

import importlib.util
import os
import platform
import shutil
from collections.abc import Iterator
from dataclasses import dataclass

from emotalk_core.weights import (
    USABLE,
    expected_hash,
    state_of,
    weight_files,
    weights_folder,
)

PACKAGES = (
    "torch",
    "mediapipe",
    "cv2",
    "av",
    "librosa",
    "gsplat",
    "snakemake",
    "onnxruntime",
    "pocketsphinx",
    "piper",
)
OPTIONAL_PACKAGES = ("tinycudann",)


@dataclass(frozen=True)
class Finding:
    """One line of the doctor's report; `fatal` findings mean that the pipeline cannot run here."""

    topic: str
    state: str
    note: str
    fatal: bool = False


def examine() -> Iterator[Finding]:
    """All findings, cheap ones first."""
    yield Finding("python", platform.python_version(), platform.machine())
    yield Finding("cores", str(os.cpu_count()), "")
    for name in PACKAGES:
        found = importlib.util.find_spec(name) is not None
        yield Finding(
            f"package {name}",
            "ok" if found else "MISSING",
            "" if found else "make install",
            not found,
        )
    yield _opencv()
    for name in OPTIONAL_PACKAGES:
        found = importlib.util.find_spec(name) is not None
        yield Finding(f"package {name}", "ok" if found else "absent", "optional, GPU only")
    yield from _backends()
    yield from _weights()
    for program, use in (
        ("sbatch", "profiles/slurm"),
        ("FeatureExtraction", "action_units.reader: openface"),
    ):
        where = shutil.which(program)
        yield Finding(f"program {program}", "ok" if where else "absent", f"optional: {use}")


def _opencv() -> Finding:
    """OpenCV is there only with the system libraries that its wheel does not bring."""
    try:
        import cv2
    except ImportError as error:
        note = f"{error}; on Debian or Ubuntu: apt-get install libgl1 libglib2.0-0"
        return Finding("OpenCV loads", "FAILED", note, fatal=True)
    return Finding("OpenCV loads", "ok", cv2.__version__)


def _backends() -> Iterator[Finding]:
    from emotalk_core.gaussians.backends import available
    from emotalk_core.gaussians.self_test import self_test

    verdicts = self_test()
    for name, reason in available().items():
        if reason:
            yield Finding(f"backend {name}", "absent", reason)
        elif verdicts[name]:
            yield Finding(f"backend {name}", "FAILED", verdicts[name], fatal=True)
        else:
            yield Finding(f"backend {name}", "ok", "self-test: gradients agree with the oracle")


def _weights() -> Iterator[Finding]:
    for entry in weight_files().values():
        state = state_of(entry)
        note = f"sha256 {expected_hash(entry) or 'not published'}; {entry.licence}"
        if state not in USABLE:
            note += f"; optional, {entry.stand_in} stands in; look-up folder {weights_folder()}"
        note += f"; for {entry.config}"
        yield Finding(f"weights {entry.name}", state, note)
