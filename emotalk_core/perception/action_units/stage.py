"""Stage: track (or an OpenFace table) in; action_units.csv out."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float

from emotalk_core.media.tables import (
    check_length,
    describe,
    read_arrays,
    read_manifest,
    write_table,
)
from emotalk_core.perception.action_units import openface, openface_program, packaged
from emotalk_core.perception.action_units.settings import ActionUnitSettings

logger = logging.getLogger(__name__)

TRACK_ARRAYS = ("expression", "expression_names", "lip_opening", "eye_opening", "valid")


def measure_action_units(
    *,
    manifest: Path,
    track: Path,
    action_units: Path,
    settings: ActionUnitSettings,
    video: Path | None = None,
) -> None:
    """Write `frame, valid, AU01..AU45` (0..5) for every frame.

    Args:
        manifest: of the ingest stage.
        track: of the tracking stage.
        action_units: written.
        settings: config block `action_units`.
        video: of the ingest stage; only OpenFace's program looks at it.

    Raises:
        ArtifactError: frame counts disagree.
        InputError: the OpenFace table cannot be used.
    """
    facts = read_manifest(manifest)
    arrays = read_arrays(track, TRACK_ARRAYS)
    check_length("track.npz", len(arrays["valid"]), facts.n_frames, "tracking")
    read = _openface(video, facts.n_frames, settings)
    if read is not None:
        (values, valid), reader = read
    else:
        valid = arrays["valid"]
        reader = packaged.READER_ID
        values = packaged.action_units(
            arrays["expression"].astype(np.float64),
            tuple(arrays["expression_names"].tolist()),
            arrays["lip_opening"].astype(np.float64),
            arrays["eye_opening"].astype(np.float64),
        )
        logger.warning("action units: %s stands for %s", reader, packaged.STANDING_FOR)
    means = dict(zip(packaged.ACTION_UNITS, values.mean(axis=0).round(2).tolist()))
    logger.info("action units: reader=%s %s", reader, describe(means))
    table = pd.DataFrame(values, columns=list(packaged.ACTION_UNITS))
    table.insert(0, "valid", valid.astype(int))
    table.insert(0, "frame", np.arange(facts.n_frames))
    write_table(action_units, table)


def _openface(
    video: Path | None, n_frames: int, settings: ActionUnitSettings
) -> tuple[tuple[Float[np.ndarray, "T 17"], Bool[np.ndarray, " T"]], str] | None:
    """(values and validity, reader id) by OpenFace; None for the packaged way."""
    if settings.openface_csv:
        table = openface.read_openface(Path(settings.openface_csv), n_frames)
        return table, openface.READER_ID
    if settings.reader != openface_program.WORD or video is None:
        return None
    with openface_program.run(
        video, settings.openface_program, settings.openface_container
    ) as table_path:
        if table_path is None:
            return None
        return openface.read_openface(table_path, n_frames), openface_program.READER_ID
