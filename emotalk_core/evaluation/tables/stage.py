"""Stage write_tables: metrics.csv of all subjects in, results/tables/ out."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from emotalk_core.errors import ArtifactError
from emotalk_core.evaluation.tables.build import Table, confusion, method_name, paper_shaped_tables
from emotalk_core.evaluation.tables.formats import as_frame, as_markdown, as_tex
from emotalk_core.media.atomic import write_text
from emotalk_core.media.tables import read_table, write_table
from emotalk_core.types.metrics import (
    CONFUSION_FILE,
    METRIC_COLUMNS,
    SPEED_COLUMNS,
    SPEED_FILE,
    TABLE_FILES,
)

logger = logging.getLogger(__name__)
NOTHING = "Nothing of this table was measured."


def write_tables(
    *, metrics: Sequence[Path], speeds: Sequence[Path] = (), tables: Sequence[Path]
) -> None:
    """Write every table as CSV, Markdown and TeX, subjects averaged.

    Args:
        metrics: one metrics.csv a subject.
        speeds: speed tables of the renders, joined into speed.csv; they are wall times and differ
            from run to run, which is why they are in no other table.
        tables: the files to write, some of `TABLE_FILES`.

    Raises:
        ArtifactError: no subjects, or a name that is no table.
    """
    if not metrics:
        raise ArtifactError("tables: no subject has metrics; give at least one metrics.csv")
    joined = pd.concat([read_table(path, METRIC_COLUMNS) for path in metrics], ignore_index=True)
    joined = joined.fillna({"evaluator": "", "clip": ""})
    subjects = ", ".join(sorted(joined["subject"].unique()))
    made = paper_shaped_tables(joined)
    if unknown := sorted({path.name for path in tables} - set(TABLE_FILES)):
        raise ArtifactError(f"tables={unknown}: no such table; known: {', '.join(TABLE_FILES)}")
    for path in tables:
        if path.name == CONFUSION_FILE:
            write_table(path, confusion(joined))
        elif path.name == SPEED_FILE:
            write_table(path, join_speeds(speeds))
        else:
            _write(path, made.get(path.stem), subjects)
    logger.info("%d tables of %s", len(made), subjects)


def _write(path: Path, table: Table | None, subjects: str) -> None:
    if table is None:
        table = Table(NOTHING, "", (), ())
    if path.suffix == ".csv":
        write_table(path, as_frame(table))
    else:
        write_text(path, (as_markdown if path.suffix == ".md" else as_tex)(table, subjects))


def join_speeds(speeds: Sequence[Path]) -> pd.DataFrame:
    """All speed rows, methods by their names for people."""
    columns = list(SPEED_COLUMNS)
    if not speeds:
        return pd.DataFrame(columns=columns)
    rows = pd.concat([read_table(path, columns) for path in speeds], ignore_index=True)[columns]
    rows["method"] = [method_name(m) for m in rows["method"]]
    return rows.sort_values(columns[:3], ignore_index=True)
