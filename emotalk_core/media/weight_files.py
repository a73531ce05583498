"""Weight files on disk in; tensors, networks and sessions out. No file can run code here.

Formats: torch files read with `weights_only=True`, safetensors, ONNX, TorchScript archives.
"""

from __future__ import annotations

import contextlib
import logging
import pickle
import warnings
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from emotalk_core.errors import WeightsError
from emotalk_core.weights import (
    UNVERIFIED,
    find_weights,
    known_weights,
    pin,
    policy,
    refuse,
    state_of,
)

logger = logging.getLogger(__name__)

State = dict[str, Tensor]
Network = TypeVar("Network", bound=nn.Module)
WRAPPERS = (
    "state_dict",
    "model_state_dict",
    "net",
    "model",
)  # what training scripts wrap states in
PARALLEL = "module."  # prefix that data-parallel training leaves


def is_torchscript(path: Path) -> bool:
    """True for an archive of torch.jit.save."""
    if not zipfile.is_zipfile(path):
        return False
    with zipfile.ZipFile(path) as archive:
        return any("/code/" in name for name in archive.namelist())


def read_state(path: Path) -> State:
    """Tensors of a weight file by name, unwrapped and without a data-parallel prefix.

    Raises:
        WeightsError: missing, truncated, altered (zip checksum), a pickle that wants to run code,
            or no tensors inside.
    """
    if not path.is_file():
        raise WeightsError(f"{path}: missing; put the weight file there (docs/weights.md)")
    if path.suffix == ".safetensors":
        return _read_safetensors(path)
    if path.suffix == ".onnx":
        raise WeightsError(f"{path}: an ONNX model; it is run as it is, not loaded into a network")
    _check_archive(path)
    if is_torchscript(path):
        return dict(open_torchscript(path).state_dict())
    return _tensors_of(_read_torch(path), path)


def read_checkpoint(path: Path) -> dict[str, Any]:
    """Top level of a torch file that holds several tables (a training checkpoint).

    Raises:
        WeightsError: as `read_state`.
    """
    if not path.is_file():
        raise WeightsError(f"{path}: missing; put the weight file there (docs/weights.md)")
    _check_archive(path)
    data = _read_torch(path)
    if not isinstance(data, Mapping):
        raise WeightsError(f"{path}: holds {type(data).__name__}, wanted a table of tensors")
    return dict(data)


def _read_safetensors(path: Path) -> State:
    try:
        return load_file(str(path))
    except (OSError, SafetensorError) as error:
        raise WeightsError(
            f"{path}: not readable as safetensors ({error}); get it again"
        ) from error


def _check_archive(path: Path) -> None:
    """Compare the checksums inside a zip archive, which torch itself does not."""
    if not zipfile.is_zipfile(path):
        return
    with zipfile.ZipFile(path) as archive:
        try:
            broken = archive.testzip()
        except (OSError, zipfile.BadZipFile) as error:
            raise WeightsError(f"{path}: damaged ({error}); get it again") from error
    if broken is not None:
        raise WeightsError(f"{path}: altered, the checksum of {broken} is wrong; get it again")


def _read_torch(path: Path) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return torch.load(path, map_location="cpu", weights_only=True)
        except pickle.UnpicklingError as error:
            raise WeightsError(
                f"{path}: refused, it is not a plain table of tensors but a pickle that may run "
                "code (only weights_only files, safetensors, ONNX and TorchScript are read); if "
                "you trust its maker, convert it elsewhere as docs/weights.md shows"
            ) from error
        except (OSError, RuntimeError, EOFError, ValueError, KeyError) as error:
            reason = str(error).splitlines()[0][:120] if str(error) else type(error).__name__
            raise WeightsError(f"{path}: truncated or damaged ({reason}); get it again") from error


def _tensors_of(data: Any, path: Path) -> State:
    for key in WRAPPERS:
        if isinstance(data, Mapping) and isinstance(data.get(key), Mapping):
            data = data[key]
            break
    if not isinstance(data, Mapping) or not data:
        raise WeightsError(f"{path}: holds {type(data).__name__}, wanted a table of tensors")
    state = {str(k): v for k, v in data.items() if isinstance(v, Tensor)}
    if len(state) != len(data):
        other = sorted(str(k) for k in data if str(k) not in state)[:3]
        raise WeightsError(f"{path}: entries {other} are not tensors; wanted a state dict")
    if all(name.startswith(PARALLEL) for name in state):
        state = {name.removeprefix(PARALLEL): tensor for name, tensor in state.items()}
    return state


def load_strictly(network: Network, state: Mapping[str, Tensor], source: str) -> Network:
    """Give tensors to a network, every name and shape; returns it in evaluation mode, frozen.

    Raises:
        WeightsError: names or shapes disagree; says the first ones.
    """
    try:
        network.load_state_dict(state, strict=True)
    except RuntimeError as error:
        reasons = [line.strip() for line in str(error).splitlines()[1:3]]
        raise WeightsError(
            f"{source}: does not fit {type(network).__name__} ({' '.join(reasons)[:240]}); check "
            "that it is the file that docs/weights.md names"
        ) from error
    return network.eval().requires_grad_(False)


def load_file_strictly(network: Network, path: Path) -> Network:
    """`load_strictly` of a file, whatever it is called (no hash is asked for)."""
    return load_strictly(network, read_state(path), str(path))


def open_network(
    name: str,
    build: Callable[[], Network],
    on_missing: str | None = None,
    convert: Callable[[State], State] | None = None,
) -> Network | None:
    """The network of a known weight file, or None where the stand-in is to be used.

    A file whose hash nobody published is pinned once it has loaded.

    Args:
        name: in weights.toml.
        build: makes the empty network.
        on_missing: "stand_in" or "error"; None: what the job was told (config weights).
        convert: names of the file to names of the network, where they differ.

    Raises:
        WeightsError: it cannot be used and `on_missing` is "error".
    """
    entry = known_weights(name)
    path = find_weights(name, on_missing)
    if path is None:
        return None
    try:
        state = read_state(path)
        network = load_strictly(build(), convert(state) if convert else state, str(path))
    except (WeightsError, KeyError) as error:
        refuse(entry, f"unusable ({error})", on_missing or policy())
        return None
    if state_of(entry) == UNVERIFIED:
        with contextlib.suppress(OSError):  # a folder that cannot be written to
            logger.info("weights %s: pinned at sha256 %s", name, pin(entry))
    return network


def open_torchscript(path: Path) -> torch.jit.ScriptModule:
    """A TorchScript archive as a module on the CPU, in evaluation mode.

    Raises:
        WeightsError: it is no such archive.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return torch.jit.load(str(path), map_location="cpu").eval()
        except (RuntimeError, OSError, ValueError) as error:
            reason = str(error).splitlines()[0][:120] if str(error) else type(error).__name__
            raise WeightsError(f"{path}: not a TorchScript archive ({reason})") from error


def open_onnx(path: Path, threads: int = 1) -> Any:
    """An ONNX Runtime session on the CPU.

    Raises:
        WeightsError: the file is missing or no ONNX model.
    """
    import onnxruntime

    if not path.is_file():
        raise WeightsError(f"{path}: missing; give the path of an .onnx file in config.yaml")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = threads
    options.log_severity_level = 3
    try:
        return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime raises classes of its own below Exception
        reason = str(error).splitlines()[0][:160]
        raise WeightsError(f"{path}: not a usable ONNX model ({reason})") from error
