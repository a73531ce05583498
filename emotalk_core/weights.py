"""Weight files of others by name: where they lie, whether their bytes are right, what else is used.

A name comes in; a checked path, a refusal, or None (use the stand-in) goes out. Reading a file is
`media.weight_files`.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import tomllib
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from emotalk_core.errors import WeightsError

logger = logging.getLogger(__name__)

TABLE = Path(__file__).parent / "weights.toml"
FOLDER_VARIABLE = "EMOTALK_WEIGHTS"  # folder of weight files; default: data/weights
POLICY_VARIABLE = "EMOTALK_ON_MISSING"  # config weights.on_missing, set for a job by its script
ZIP_START = b"PK\x03\x04"
PINS = "pins.json"  # name -> sha256 of files that the user has taken as right
STAND_IN, ERROR = "stand_in", "error"  # values of weights.on_missing
PRESENT, UNVERIFIED, MISSING = "present", "unverified", "missing"
WRONG_HASH, TRUNCATED = "wrong hash", "truncated"
USABLE = (PRESENT, UNVERIFIED)
# speech.extractor -> what the user exports into the folder of weights (docs/weights.md): nobody
# publishes these as one file, so that no table entry can name its hash
EXPORTS = {"deepspeech": "deepspeech.onnx", "wav2vec2": "wav2vec2", "hubert": "hubert"}


@dataclass(frozen=True)
class WeightFile:
    """One optional file of others' weights; never shipped, used when the user has put it there.

    Attributes:
        name: how this project calls it.
        file: name inside the weights folder.
        n_bytes: published size; 0: not published.
        sha256: published hash, in full or the leading digits that the file's own name carries; "":
            not published, then the first file that loads is pinned.
        licence: of the weights, as far as it is stated.
        forbids: what a user must not do with them, in plain words.
        home: page where they are published.
        url: address that `snakemake --cores 1 weights` fetches; "": only by hand.
        used_by: rules or options that read it.
        config: the word that chooses it, "block.key=word"; several are joined by " or ".
        stand_in: what is used when it is absent.
        network: "module:Class" that it loads into; "" where the file is a program of its own.
    """

    name: str
    file: str
    n_bytes: int
    sha256: str
    licence: str
    forbids: str
    home: str
    url: str
    used_by: str
    config: str
    stand_in: str
    network: str


@dataclass(frozen=True)
class WeightSettings:
    """Config block `weights`.

    Attributes:
        on_missing: "stand_in" (go on with the packaged part, said in log, table and report) or
            "error" (stop with the message).
        accept: names of files whose licence you have read and accept; `snakemake --cores 1
            weights` fetches these and no others.
    """

    on_missing: str = STAND_IN
    accept: tuple[str, ...] = ()


@lru_cache(maxsize=1)
def weight_files() -> dict[str, WeightFile]:
    """All known weight files by name."""
    table = tomllib.loads(TABLE.read_text(encoding="utf-8"))
    return {name: WeightFile(name=name, **entry) for name, entry in table.items()}


def weights_folder() -> Path:
    """Where weight files are looked for."""
    return Path(os.environ.get(FOLDER_VARIABLE, "data/weights"))


def policy() -> str:
    """Config `weights.on_missing` as this job has it."""
    return os.environ.get(POLICY_VARIABLE, STAND_IN)


def path_of(entry: WeightFile) -> Path:
    """Where one weight file belongs."""
    return weights_folder() / entry.file


def sha256_of(path: Path) -> str:
    """Hex sha256 of a file's bytes."""
    with path.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()


def pins() -> dict[str, str]:
    """Hashes that the user has taken as right, by name."""
    path = weights_folder() / PINS
    try:
        return dict(json.loads(path.read_text(encoding="utf-8"))) if path.is_file() else {}
    except (OSError, ValueError) as error:
        raise WeightsError(
            f"{path}: not readable ({error}); delete it, then pin your files again with "
            "`emotalk weights --pin NAME`"
        ) from error


def pin(entry: WeightFile) -> str:
    """Take the file that lies there as the right one from now on; returns its hash.

    Raises:
        WeightsError: there is no file.
    """
    if not path_of(entry).is_file():
        raise WeightsError(f"{path_of(entry)}: missing; put the file there first")
    digest = sha256_of(path_of(entry))
    path = weights_folder() / PINS
    temporary = path.with_name(f".{os.getpid()}.{PINS}")
    temporary.write_text(json.dumps({**pins(), entry.name: digest}, indent=1, sort_keys=True))
    temporary.replace(path)
    return digest


def expected_hash(entry: WeightFile) -> str:
    """The pinned hash, else the published one; "" where there is none."""
    return pins().get(entry.name) or entry.sha256


def state_of(entry: WeightFile) -> str:
    """`present`, `unverified` (no hash is known), `missing`, `truncated` or `wrong hash`."""
    path = path_of(entry)
    if not path.is_file():
        return MISSING
    expected = expected_hash(entry)
    if expected and sha256_of(path).startswith(expected):
        return PRESENT
    if entry.n_bytes and path.stat().st_size < entry.n_bytes:
        return TRUNCATED
    if expected:
        return WRONG_HASH
    return TRUNCATED if _is_cut_archive(path) else UNVERIFIED


def _is_cut_archive(path: Path) -> bool:
    """True for the beginning of a zip archive (torch, TorchScript) whose end is missing."""
    with path.open("rb") as handle:
        return handle.read(4) == ZIP_START and not zipfile.is_zipfile(path)


def message(entry: WeightFile, state: str, on_missing: str) -> str:
    """What is wrong with one file, where it comes from, and what happens now."""
    known = expected_hash(entry)
    fetched = f"`snakemake --cores 1 weights` or {entry.url}"
    source = fetched if entry.url else f"by hand from {entry.home}"
    then = (
        f"using {entry.stand_in} instead"
        if on_missing == STAND_IN
        else "stopped, since weights.on_missing is error"
    )
    return (
        f"weights {entry.name}: {state}: {path_of(entry)} (wanted for {entry.config}; sha256 "
        f"{known or 'not published'}; licence {entry.licence}; forbids: {entry.forbids}; get it: "
        f"{source}); {then}"
    )


def refuse(entry: WeightFile, state: str, on_missing: str) -> None:
    """Warn that the stand-in is used, or stop.

    Raises:
        WeightsError: `on_missing` is "error".
    """
    text = message(entry, state, on_missing)
    if on_missing != STAND_IN:
        raise WeightsError(text)
    logger.warning("%s", text)


def known_weights(name: str) -> WeightFile:
    """The entry of that name.

    Raises:
        WeightsError: no such name.
    """
    table = weight_files()
    if name not in table:
        raise WeightsError(f"weights={name}: unknown; known: {', '.join(sorted(table))}")
    return table[name]


def find_weights(name: str, on_missing: str | None = None) -> Path | None:
    """Path of a weight file whose bytes are right; None (with a warning) for the stand-in.

    Raises:
        WeightsError: it is missing, truncated or altered, and `on_missing` is "error".
    """
    entry = known_weights(name)
    state = state_of(entry)
    if state in USABLE:
        return path_of(entry)
    refuse(entry, state, on_missing or policy())
    return None


def wanted_by(block: str, settings: Mapping[str, Any]) -> list[WeightFile]:
    """The weight files that a config block's words choose."""
    found = []
    for entry in weight_files().values():
        for choice in entry.config.split(" or "):
            key, _, word = choice.partition("=")
            room, _, name = key.rpartition(".")
            if room == block and settings.get(name) == word:
                found.append(entry)
    return found


def chosen_weights(config: Mapping[str, Any]) -> list[str]:
    """Names of all weight files that a configuration chooses."""
    blocks = [name for name, value in config.items() if isinstance(value, dict)]
    return [entry.name for name in blocks for entry in wanted_by(name, config[name])]


def _state_of_export(name: str) -> str:
    """Hash of a file or of all files of a folder that the user exported; what is wrong with it."""
    path = weights_folder() / name
    files = sorted(p for p in path.rglob("*") if p.is_file()) if path.is_dir() else [path]
    if not files or not files[0].is_file():
        return MISSING
    if len(files) == 1:
        return sha256_of(files[0])
    listed = "".join(f"{file.relative_to(path)} {sha256_of(file)}\n" for file in files)
    return hashlib.sha256(listed.encode()).hexdigest()


def weights_param(config: Mapping[str, Any], *blocks: str) -> str:
    """A rule's param: what its blocks choose and which bytes lie there; "" where nothing is chosen.

    A file that is put there, altered or removed thus reruns exactly the rules that read it.
    """
    entries = [entry for block in blocks for entry in wanted_by(block, config[block])]
    word = config["speech"]["extractor"] if "speech" in blocks else ""
    program = "action_units" in blocks and config["action_units"]["reader"] == "openface"
    if not entries and not program and word not in EXPORTS:
        return ""
    files = {}
    if word in EXPORTS:
        files[word] = _state_of_export(EXPORTS[word])
    for entry in entries:
        state = state_of(entry)
        files[entry.name] = sha256_of(path_of(entry)) if state in USABLE else state
    return json.dumps({"on_missing": config["weights"]["on_missing"], "files": files})


def on_missing_of(param: str) -> str:
    """The policy inside a rule's param."""
    return str(json.loads(param)["on_missing"]) if param else STAND_IN


def files_of(param: str) -> dict[str, str]:
    """Chosen names inside a rule's param: the sha256 that lies there, or what is wrong."""
    return dict(json.loads(param)["files"]) if param else {}
