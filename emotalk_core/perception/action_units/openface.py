"""An OpenFace table in, 17 action unit intensities for the clip's frames out, or a refusal."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float

from emotalk_core.errors import InputError
from emotalk_core.media.tables import read_table
from emotalk_core.perception.action_units.packaged import ACTION_UNITS, MAX_INTENSITY
from emotalk_core.types.manifest import FPS

READER_ID = "openface-csv"
MAX_DIFFERENCE = 0.25  # seconds by which table and clip may differ in length


def read_openface(
    path: Path, n_frames: int
) -> tuple[Float[np.ndarray, "T 17"], Bool[np.ndarray, " T"]]:
    """Intensities and validity at the clip's frames.

    Builds with and without a space before the column names are read. A table of another frame rate
    is brought to 25 fps by its timestamps; rows that are missing or marked as failures are
    interpolated and marked.

    Raises:
        InputError: columns are missing, or the table belongs to a clip of another length.
    """
    if not path.is_file():
        raise InputError(
            f"action_units.openface_csv={path}: no such file; give the table that OpenFace's "
            "FeatureExtraction wrote, or leave the setting empty"
        )
    table = read_table(path)
    table.columns = [str(c).strip() for c in table.columns]
    wanted = [f"{unit}_r" for unit in ACTION_UNITS]
    missing = [c for c in wanted if c not in table.columns]
    if missing:
        raise InputError(
            f"{path}: columns {missing} are missing; run OpenFace's FeatureExtraction with -aus"
        )
    times = _times(table, n_frames, path)
    good = np.ones(len(table), dtype=bool)
    if "success" in table.columns:
        good = table["success"].to_numpy() > 0
    good &= np.isfinite(table[wanted].to_numpy(dtype=np.float64)).all(axis=1)
    if not good.any():
        raise InputError(f"{path}: no row is marked as a success; run OpenFace on the right clip")
    at = np.arange(n_frames) / FPS
    values = table[wanted].to_numpy(dtype=np.float64)[good]
    result = np.stack([np.interp(at, times[good], column) for column in values.T], axis=1)
    nearest = np.abs(at[:, None] - times[good][None]).min(axis=1)
    return np.clip(result, 0, MAX_INTENSITY), nearest <= 0.5 / FPS + 1e-6


def _times(table: pd.DataFrame, n_frames: int, path: Path) -> Float[np.ndarray, " R"]:
    """Seconds of every row; checks that the table is as long as the clip."""
    if "timestamp" in table.columns:
        times = table["timestamp"].to_numpy(dtype=np.float64)
    elif "frame" in table.columns:
        times = (table["frame"].to_numpy(dtype=np.float64) - 1) / FPS  # OpenFace counts from 1
    else:
        times = np.arange(len(table)) / FPS
    length = float(times.max()) + 1 / FPS if len(times) else 0.0
    if abs(length - n_frames / FPS) > MAX_DIFFERENCE:
        raise InputError(
            f"{path}: covers {length:.2f} s, the clip has {n_frames / FPS:.2f} s ({n_frames} "
            f"frames at {FPS} fps); run OpenFace on the same clip, or leave "
            "action_units.openface_csv empty"
        )
    return times
