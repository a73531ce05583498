"""Terms of every metric and frame beside the scores: what paired comparisons are made of.

One .npz a score table. Arrays `{method}/{scenario}/clip` and `/source_frame` hold one entry a
frame, `{method}/{scenario}/{metric}@{evaluator kind}` [T,K] the terms, nan where not measured.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from jaxtyping import Float, Int

from emotalk_core.evaluation.scoring import ScoredClip
from emotalk_core.media.tables import read_arrays, write_arrays

CLIP, SOURCE = "clip", "source_frame"


@dataclass(frozen=True)
class FrameTerms:
    """Terms of one method in one scenario.

    Attributes:
        clips: [T] clip names.
        source_frames: [T] frame of the subject's clip that gave pose and truth.
        terms: "metric@kind" -> [T,K].
    """

    clips: np.ndarray
    source_frames: Int[np.ndarray, " T"]
    terms: Mapping[str, Float[np.ndarray, "T K"]]


def of_scores(table: pd.DataFrame, clips: Sequence[ScoredClip]) -> FrameTerms:
    """The terms of some scored clips, which follow each other as in their render table."""
    keys = clips[0].terms if clips else {}
    joined = {f"{name}@{kind}": _join([c.terms[name, kind] for c in clips]) for name, kind in keys}
    sources = table["source_frame"].to_numpy().astype(np.int64)
    return FrameTerms(table["clip"].to_numpy().astype(str), sources, joined)


def _join(parts: Sequence[np.ndarray]) -> np.ndarray:
    """Terms of several clips; a clip where nothing could be measured has no columns of its own."""
    width = max(p.shape[1] for p in parts)
    return np.concatenate([p if p.shape[1] else np.full((len(p), width), np.nan) for p in parts])


def write_terms(path: Path, terms: Mapping[tuple[str, str], FrameTerms]) -> None:
    """Write the terms of (method, scenario) pairs; metrics that measured nothing are left out."""
    arrays: dict[str, np.ndarray] = {}
    for (method, scenario), entry in terms.items():
        root = f"{method}/{scenario}"
        arrays[f"{root}/{CLIP}"] = entry.clips
        arrays[f"{root}/{SOURCE}"] = entry.source_frames
        for key, values in entry.terms.items():
            if np.isfinite(values).any():
                arrays[f"{root}/{key}"] = values
    write_arrays(path, **arrays)


def read_terms(path: Path) -> dict[tuple[str, str], FrameTerms]:
    """(method, scenario) -> terms."""
    arrays = read_arrays(path)
    roots = sorted({name.rsplit("/", 1)[0] for name in arrays})
    found = {}
    for root in roots:
        method, _, scenario = root.partition("/")
        mine = {n.rsplit("/", 1)[1]: a for n, a in arrays.items() if n.startswith(f"{root}/")}
        clips, sources = mine.pop(CLIP), mine.pop(SOURCE)
        found[method, scenario] = FrameTerms(clips, sources, mine)
    return found
