"""Optional weight files by name and sha256: where they lie and whether the bytes are right."""

from __future__ import annotations

import hashlib
import os
import tomllib
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

TABLE = Path(__file__).parent / "weights.toml"
FOLDER_VARIABLE = "EMOTALK_WEIGHTS"  # folder of weight files; default: data/weights


@dataclass(frozen=True)
class WeightFile:
    """One optional file of others' weights; never shipped, used when the user has put it there."""

    name: str
    file: str
    n_bytes: int
    sha256: str
    licence: str
    published: str
    used_for: str
    stand_in: str


@lru_cache(maxsize=1)
def weight_files() -> dict[str, WeightFile]:
    """All known weight files by name."""
    table = tomllib.loads(TABLE.read_text(encoding="utf-8"))
    return {name: WeightFile(name=name, **entry) for name, entry in table.items()}


def weights_folder() -> Path:
    """Where weight files are looked for."""
    return Path(os.environ.get(FOLDER_VARIABLE, "data/weights"))


def state_of(entry: WeightFile) -> str:
    """`present`, `missing` or `wrong hash` for one entry."""
    path = weights_folder() / entry.file
    if not path.is_file():
        return "missing"
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    return "present" if digest == entry.sha256 else "wrong hash"
