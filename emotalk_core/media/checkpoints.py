"""Networks and Gaussians as .safetensors with a JSON header that names kind and format version."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from emotalk_core.errors import ArtifactError
from emotalk_core.media.atomic import atomic_path, unreadable

FORMAT_VERSION = 1
METADATA_KEY = "emotalk"


def save_checkpoint(
    path: Path, tensors: Mapping[str, Tensor], kind: str, header: Mapping[str, Any]
) -> None:
    """Write tensors with a header; whole or not at all.

    Args:
        path: a .safetensors file.
        tensors: by name; stored on the CPU.
        kind: what it is ("avatar", "training_state", ...); loading asks for the same word.
        header: JSON-ready facts (method, step, config block, ...).
    """
    facts = {"kind": kind, "format_version": FORMAT_VERSION, "header": dict(header)}
    # One entry: safetensors writes several in a random order, and equal tensors must give equal
    # bytes.
    meta = {METADATA_KEY: json.dumps(facts, sort_keys=True)}
    flat = {name: t.detach().cpu().contiguous().clone() for name, t in sorted(tensors.items())}
    with atomic_path(Path(path)) as temporary:
        try:
            save_file(flat, str(temporary), metadata=meta)
        except SafetensorError as error:  # a full disk, said in safetensors' own words
            raise OSError(str(error)) from error


def load_checkpoint(path: Path, kind: str) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Read (tensors, header); ArtifactError on another kind, a newer version or a broken file."""
    try:
        with safe_open(str(path), framework="pt") as data:
            meta = json.loads((data.metadata() or {}).get(METADATA_KEY, "{}"))
            tensors = {name: data.get_tensor(name) for name in data.keys()}  # noqa: SIM118  (not a dict)
    except (OSError, SafetensorError) as error:
        raise unreadable(path, "safetensors", error) from error
    if meta.get("kind") != kind:
        raise ArtifactError(f"{path}: kind={meta.get('kind')}: wanted {kind}; give the right file")
    if int(meta.get("format_version", 0)) > FORMAT_VERSION:
        raise ArtifactError(
            f"{path}: format_version={meta['format_version']}: this version reads up to "
            f"{FORMAT_VERSION}; update emotalk"
        )
    return tensors, meta["header"]
