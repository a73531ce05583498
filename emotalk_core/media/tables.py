"""CSV tables of fixed column order and number format, and .npz arrays without pickle."""

from __future__ import annotations

import zipfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from emotalk_core.errors import ArtifactError
from emotalk_core.media.atomic import (
    atomic_path,
    read_json,
    unreadable,
    write_json,
    write_text,
)
from emotalk_core.types.camera import CameraPath
from emotalk_core.types.manifest import Manifest
from emotalk_core.types.metrics import METRIC_COLUMNS, MetricRow

# Columns of names: 001 stays 001 and NA stays NA, whatever else they look like
NAME_COLUMNS = ("subject", "method", "scenario", "clip", "metric", "evaluator")
FLOAT_FORMAT = "%.6g"  # six digits: more than any metric means, and the same bytes everywhere


def write_table(path: Path, table: pd.DataFrame) -> None:
    """Write a table as CSV (UTF-8, line feeds, six significant digits), whole or not at all."""
    write_text(path, table.to_csv(index=False, float_format=FLOAT_FORMAT, lineterminator="\n"))


def read_table(path: Path, columns: Sequence[str] = ()) -> pd.DataFrame:
    """Read a CSV; ArtifactError when it is missing, broken or lacks one of `columns`.

    Names (`NAME_COLUMNS`) are text whatever they look like; an empty one is "".
    """
    names = dict.fromkeys(NAME_COLUMNS, str)
    try:
        table = pd.read_csv(path, skipinitialspace=True, converters=names)
    except (OSError, pd.errors.ParserError, pd.errors.EmptyDataError) as error:
        raise unreadable(path, "CSV", error) from error
    missing = [c for c in columns if c not in table.columns]
    if missing:
        raise ArtifactError(
            f"{path}: columns {missing} are missing (has {list(table.columns)}); "
            "delete it and run again"
        )
    return table


def write_rows(path: Path, rows: Iterable[MetricRow]) -> None:
    """Write metric rows in the project's column order."""
    records = [asdict(row) for row in rows]
    write_table(path, pd.DataFrame(records, columns=list(METRIC_COLUMNS)))


def write_arrays(path: Path, **arrays: np.ndarray) -> None:
    """Write named arrays as .npz without pickle; equal arrays give equal bytes."""
    for name, value in arrays.items():
        if np.asarray(value).dtype == object:
            raise ArtifactError(
                f"{path}: array {name} has dtype object; store strings as 'U' arrays"
            )
    with atomic_path(Path(path)) as temporary, zipfile.ZipFile(temporary, "w") as archive:
        for name, value in arrays.items():
            entry = zipfile.ZipInfo(f"{name}.npy")  # carries no time of day: same bytes every time
            entry.compress_type = zipfile.ZIP_DEFLATED
            with archive.open(entry, "w", force_zip64=True) as out:
                np.lib.format.write_array(out, np.asarray(value), allow_pickle=False)


def read_arrays(path: Path, names: Sequence[str] = ()) -> dict[str, np.ndarray]:
    """Read a .npz (pickle refused); ArtifactError when it is broken or lacks one of `names`."""
    try:
        with np.load(path, allow_pickle=False) as data:
            arrays = dict(data)
    except (OSError, ValueError) as error:
        raise unreadable(path, ".npz", error) from error
    missing = [n for n in names if n not in arrays]
    if missing:
        raise ArtifactError(f"{path}: arrays {missing} are missing (has {sorted(arrays)}); rerun")
    return arrays


def read_manifest(path: Path) -> Manifest:
    """Read and check manifest.json."""
    return Manifest.from_dict(read_json(path))


def write_manifest(path: Path, manifest: Manifest) -> None:
    """Write manifest.json."""
    write_json(path, manifest.to_dict())


def read_cameras(path: Path) -> CameraPath:
    """Read and check cameras.json."""
    return CameraPath.from_dict(read_json(path))


def write_cameras(path: Path, cameras: CameraPath) -> None:
    """Write cameras.json."""
    write_json(path, cameras.to_dict())


def check_length(name: str, got: int, wanted: int, made_by: str) -> None:
    """Frame counts agree everywhere: ArtifactError when one disagrees with the manifest."""
    if got != wanted:
        raise ArtifactError(
            f"{name}: has {got} frames, the manifest says {wanted}; "
            f"delete it so that rule {made_by} makes it again"
        )


def describe(values: Mapping[str, Any]) -> str:
    """`key=value` pairs in one line for logs, floats with four digits."""
    return " ".join(
        f"{k}={v:.4g}" if isinstance(v, float) else f"{k}={v}" for k, v in values.items()
    )
