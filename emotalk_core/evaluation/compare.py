"""Two runs or two methods in, paired differences with intervals out: which is really better?"""

from __future__ import annotations

import math
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from jaxtyping import Float

from emotalk_core.errors import ArtifactError, explain
from emotalk_core.evaluation.frame_terms import FrameTerms, read_terms
from emotalk_core.evaluation.intervals import BootstrapSettings, paired_interval
from emotalk_core.evaluation.metrics.base import Metric
from emotalk_core.evaluation.metrics.registry import all_metrics

COLUMNS = (
    "subject", "scenario", "metric", "evaluator_kind", "first", "second", "difference", "low",
    "high", "n_frames", "verdict",
)  # fmt: skip
METRICS_FILE = "metrics.csv"


@dataclass(frozen=True)
class Side:
    """One side of a comparison: a folder of results and the method that is looked at."""

    folder: Path
    method: str

    def subjects(self) -> dict[str, Path]:
        """Subject folders: the folder itself, or those inside it.

        Raises:
            ArtifactError: there is no metrics.csv.
        """
        if (self.folder / METRICS_FILE).is_file():
            return {self.folder.resolve().name: self.folder}
        found = {p.parent.name: p.parent for p in sorted(self.folder.glob(f"*/{METRICS_FILE}"))}
        if not found:
            raise ArtifactError(
                f"{self.folder}: holds no {METRICS_FILE}; give results/SUBJECT or a results folder"
            )
        return found

    def terms(self, folder: Path) -> dict[str, FrameTerms]:
        """Scenario -> terms of the method in a subject's folder.

        Raises:
            ArtifactError: the method was not scored there.
        """
        for path in (folder / f"scores/{self.method}.npz", folder / "scores/baselines.npz"):
            if path.is_file():
                found = {s: t for (m, s), t in read_terms(path).items() if m == self.method}
                if found:
                    return found
        known = sorted(p.stem for p in (folder / "scores").glob("*.npz"))
        raise ArtifactError(
            explain(f"{folder}: method", self.method, f"terms are there of {known}", "name one")
        )


def compare(first: Side, second: Side, settings: BootstrapSettings, seed: int = 0) -> pd.DataFrame:
    """Paired comparison of every metric that both sides have, on the frames both could measure.

    Columns `COLUMNS`; difference is second - first; the verdict speaks about the second side and
    is "no difference" where the interval holds zero, "" for readings without a good direction.

    Raises:
        ArtifactError: no common subject, or the sides rendered different frames.
    """
    ours, theirs = first.subjects(), second.subjects()
    if len(ours) == len(theirs) == 1:  # one person under two names (two runs side by side)
        theirs = dict(zip(ours, theirs.values()))
    common = [name for name in ours if name in theirs]
    if not common:
        raise ArtifactError(
            f"compare: {first.folder} has {sorted(ours)}, {second.folder} has {sorted(theirs)}; "
            "give two folders with a subject in common"
        )
    rows = []
    for subject in common:
        one, other = first.terms(ours[subject]), second.terms(theirs[subject])
        for scenario in [s for s in one if s in other]:
            for row in _scenario_rows(one[scenario], other[scenario], settings, seed):
                rows.append({"subject": subject, "scenario": scenario, **row})
    return pd.DataFrame(rows, columns=list(COLUMNS))


def _scenario_rows(
    one: FrameTerms, other: FrameTerms, settings: BootstrapSettings, seed: int
) -> Iterator[dict[str, object]]:
    """One row a metric that both sides measured."""
    same = len(one.clips) == len(other.clips) and (one.clips == other.clips).all()
    if not same or not (one.source_frames == other.source_frames).all():
        raise ArtifactError(
            f"compare: {len(one.clips)} and {len(other.clips)} frames of different clips or "
            "places; only renders of the same frames and sounds can be paired"
        )
    for metric in all_metrics():
        key = f"{metric.name}@{metric.evaluator}"
        if key in one.terms and key in other.terms:
            row = _pair(metric, one.clips, one.terms[key], other.terms[key], settings, seed)
            if row is not None:
                yield row


def _pair(
    metric: Metric,
    clips: np.ndarray,
    one: Float[np.ndarray, "T K"],
    other: Float[np.ndarray, "T K"],
    settings: BootstrapSettings,
    seed: int,
) -> dict[str, object] | None:
    """Values of both sides over the frames that both could measure, and their difference."""
    both = np.isfinite(one).all(axis=1) & np.isfinite(other).all(axis=1)
    if not both.any():
        return None
    names = dict.fromkeys(clips[both].tolist())
    pairs = [(one[both & (clips == n)], other[both & (clips == n)]) for n in names]
    values = [metric.reduce(side[both]) for side in (one, other)]
    low, high = paired_interval(
        pairs, metric.reduce, settings, seed + zlib.crc32(metric.name.encode())
    )
    return {
        "metric": metric.name,
        "evaluator_kind": metric.evaluator,
        "first": values[0],
        "second": values[1],
        "difference": values[1] - values[0],
        "low": low,
        "high": high,
        "n_frames": int(both.sum()),
        "verdict": verdict(metric, values[0], values[1], low, high),
    }


def verdict(metric: Metric, first: float, second: float, low: float, high: float) -> str:
    """What the interval of second - first says about the second side."""
    if metric.better == "none":
        return ""
    if not np.isfinite([low, high]).all():
        return "no interval"
    if low <= 0 <= high:
        return "no difference"
    gain = {
        "higher": second - first,
        "lower": first - second,
        "one": abs(first - 1) - abs(second - 1),
    }[metric.better]
    return "better" if gain > 0 else "worse"


def as_text(table: pd.DataFrame, first: str, second: str) -> str:
    """Lines for the terminal."""
    lines = [f"second - first; first: {first}, second: {second}; 95 % intervals, paired frames"]
    for (subject, scenario), group in table.groupby(["subject", "scenario"], sort=False):
        lines.append(f"\n{subject}, {scenario}")
        for row in group.to_dict("records"):
            low, high = float(row["low"]), float(row["high"])
            interval = f"{low:+.4g} .. {high:+.4g}" if math.isfinite(low) else ""
            numbers = f"{row['first']:>9.4g} {row['second']:>9.4g}  {row['difference']:>+9.4g}"
            lines.append(
                f"  {row['metric']:<18} {numbers}  {interval:<24} {row['n_frames']:>5}"
                f"  {row['verdict']}"
            )
    return "\n".join(lines) + "\n"
