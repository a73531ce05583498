"""Finds and loads the compiled kernels (C++ in csrc/) that fit this processor."""

from __future__ import annotations

import functools
import hashlib
import importlib
import importlib.machinery
import importlib.util
import logging
import os
from pathlib import Path
from types import ModuleType

from torch import Tensor

from emotalk_core.errors import BackendUnavailableError, ConfigError

logger = logging.getLogger(__name__)

# Named here one by one so that an edit of a kernel changes the fingerprint of every stage that
# uses it (code_version counts data files that a module names).
SOURCES = (
    "csrc/bindings.cpp",
    "csrc/blend.h",
    "csrc/branch.cpp",
    "csrc/branch.h",
    "csrc/doubles.h",
    "csrc/geometry.cpp",
    "csrc/geometry.h",
    "csrc/hash_grid.cpp",
    "csrc/hash_grid.h",
    "csrc/project.cpp",
    "csrc/raster.cpp",
    "csrc/raster.h",
    "csrc/simd.h",
    "csrc/ssim.cpp",
    "csrc/ssim.h",
    "csrc/team.h",
    "csrc/tiles.cpp",
)
INSTRUCTION_SETS = ("avx512", "avx2", "baseline")
# Environment variables for tests and sanitizer runs: another folder of builds, another kernel.
DIRECTORY_VARIABLE = "EMOTALK_KERNEL_DIR"
KERNELS_VARIABLE = "EMOTALK_KERNELS"
HOW_TO_BUILD = (
    "install a C++17 compiler (Debian or Ubuntu: apt install g++) and run: pip install . "
    "(in a checkout: make kernels)"
)


def sources_fingerprint() -> str:
    """Hash over all kernel sources; CMakeLists.txt computes the same one into each build."""
    folder = Path(__file__).parent
    hashes = [hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in SOURCES]
    return hashlib.sha256("".join(hashes).encode()).hexdigest()


def _build_in(folder: Path, name: str) -> Path | None:
    for suffix in importlib.machinery.EXTENSION_SUFFIXES:
        if (folder / f"{name}{suffix}").is_file():
            return folder / f"{name}{suffix}"
    return None


@functools.cache
def _module(isa: str) -> ModuleType:
    """One build of the kernels: from the named folder, beside this file, or as installed.

    Raises:
        ImportError: there is none, or it does not load.
    """
    name = f"_kernels_{isa}"
    folder = os.environ.get(DIRECTORY_VARIABLE, "")
    path = _build_in(Path(folder) if folder else Path(__file__).parent, name)
    if path is None:
        return importlib.import_module(f"emotalk_core.gaussians.{name}")
    spec = importlib.util.spec_from_file_location(f"emotalk_core.gaussians.{name}", path)
    if spec is None or spec.loader is None:
        raise ImportError(f"{path} is no extension module")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def runnable() -> tuple[str, ...]:
    """Instruction sets that this processor has and that are built, best first."""
    try:
        best = _module("baseline").best_isa()
    except ImportError:
        return ()
    fitting = INSTRUCTION_SETS[INSTRUCTION_SETS.index(best) :]
    return tuple(isa for isa in fitting if _loads(isa))


def _loads(isa: str) -> bool:
    try:
        _module(isa)
    except ImportError:
        return False
    return True


@functools.cache
def load(isa: str = "") -> ModuleType:
    """The kernels for this processor, or those of the instruction set asked for.

    Raises:
        BackendUnavailableError: they are not built, do not load, or were switched off.
        ConfigError: EMOTALK_KERNELS names no instruction set of this machine.
    """
    wanted = isa or os.environ.get(KERNELS_VARIABLE, "")
    if wanted == "none":
        raise BackendUnavailableError(f"{KERNELS_VARIABLE}=none switches the kernels off; unset it")
    try:
        _module("baseline")
    except ImportError as error:
        raise BackendUnavailableError(
            f"the compiled kernels cannot be loaded ({error}); {HOW_TO_BUILD}"
        ) from error
    choices = runnable()
    if wanted and wanted not in choices:
        raise ConfigError(
            f"{KERNELS_VARIABLE}={wanted}: this machine can run {', '.join(choices)}; correct it"
        )
    module = _module(wanted or choices[0])
    if module.sources != sources_fingerprint():
        logger.warning(
            "the compiled kernels are older than their sources; rebuild them: make kernels"
        )
    return module


def why_missing() -> str:
    """Empty if the kernels are loaded, else the reason and what to do."""
    try:
        load()
    except BackendUnavailableError as error:
        return str(error)
    return ""


def view(tensor: Tensor | None):  # type: ignore[no-untyped-def]
    """The tensor's memory as a numpy array, which the kernels read or write in place."""
    return None if tensor is None else tensor.detach().contiguous().numpy()
