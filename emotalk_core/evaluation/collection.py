"""Score tables of one subject in, one checked and sorted table out."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd

from emotalk_core.errors import ArtifactError
from emotalk_core.evaluation.baselines import COMPUTED
from emotalk_core.evaluation.metrics.registry import load_metrics
from emotalk_core.types.metrics import METRIC_COLUMNS, SCORED_SCENARIOS

KEY = ["scenario", "method", "clip", "metric", "evaluator"]
TEXT = ("subject", "method", "scenario", "clip", "metric", "evaluator", "frames_sha256")
SHA256 = re.compile(r"[0-9a-f]{64}")


def _problem(table: pd.DataFrame, subject: str) -> str:
    """What is wrong with a table, "" when nothing is."""
    missing = [c for c in METRIC_COLUMNS if c not in table.columns]
    if missing:
        return f"columns {missing} are missing"
    if (foreign := sorted(set(table["subject"]) - {subject})) != []:
        return f"rows of subject {foreign}, wanted only {subject}"
    if (unknown := sorted(set(table["scenario"]) - set(SCORED_SCENARIOS))) != []:
        return f"unknown scenarios {unknown}"
    if (unknown := sorted(set(table["metric"]) - set(load_metrics()))) != []:
        return f"metrics {unknown} are not in the registry"
    values = table[["value", "low", "high"]].to_numpy(dtype=np.float64)
    if np.isinf(values).any():
        return "infinite values"
    if ((values[:, 1] > values[:, 2]) & np.isfinite(values[:, 1:]).all(axis=1)).any():
        return "an interval has low > high"
    measured = table[table["evaluator"] != COMPUTED]
    if not all(SHA256.fullmatch(h) for h in measured["frames_sha256"]):
        return "rows without the hash of the scored frames"
    return "rows with n_frames < 1" if (measured["n_frames"] < 1).any() else ""


def _normalised(table: pd.DataFrame) -> pd.DataFrame:
    """Text columns as text (an empty field reads as nan)."""
    present = [c for c in TEXT if c in table.columns]
    return table.assign(**{c: table[c].fillna("").astype(str) for c in present})


def _check_references(table: pd.DataFrame) -> None:
    """One evaluator id is either the paper's own measure or a stand-in, never both."""
    kinds = table.groupby("evaluator")["reference"].nunique()
    mixed = sorted(kinds.index[kinds > 1])
    if mixed:
        raise ArtifactError(
            f"metrics.csv: evaluators {mixed} are called reference in some rows and stand-in in "
            "others; delete the scores folder and run again"
        )


def collect_tables(subject: str, tables: Mapping[Path, pd.DataFrame]) -> pd.DataFrame:
    """Join, check and sort the score tables of a subject.

    Raises:
        ArtifactError: names the file, what is wrong and what to do.
    """
    parts = []
    for path in sorted(tables):
        table = _normalised(tables[path])
        problem = _problem(table, subject)
        if problem:
            raise ArtifactError(f"{path}: {problem}; delete it so that its score rule runs again")
        parts.append(table[list(METRIC_COLUMNS)])
    joined = pd.concat(parts, ignore_index=True)
    doubled = joined[joined.duplicated(KEY)]
    if len(doubled):
        first = doubled[KEY].iloc[0].tolist()
        raise ArtifactError(
            f"metrics.csv: two rows for {first}; give every score table once and delete stale ones"
        )
    _check_references(joined)
    return joined.sort_values(KEY, kind="stable", ignore_index=True)
