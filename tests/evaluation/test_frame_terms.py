"""Terms of frames: written, read back, and lined up over clips that differ in what they show."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from emotalk_core.evaluation.frame_terms import of_scores, read_terms, write_terms
from emotalk_core.evaluation.scoring import ScoredClip


def test_terms_keep_every_frame_and_its_place(tmp_path: Path) -> None:
    table = pd.DataFrame({"clip": ["a", "a", "b"], "source_frame": [5, 6, 5]})
    key, empty = ("lmd", "landmarks"), ("sync_d", "sync")
    first = ScoredClip("a", {key: np.array([[1.0], [np.nan]]), empty: np.zeros((2, 0))}, 2, 1)
    second = ScoredClip("b", {key: np.zeros((1, 0)), empty: np.zeros((1, 0))}, 1, 0)
    write_terms(tmp_path / "x.npz", {("emotalk", "emotion"): of_scores(table, [first, second])})
    terms = read_terms(tmp_path / "x.npz")["emotalk", "emotion"]
    assert terms.clips.tolist() == ["a", "a", "b"]
    assert terms.source_frames.tolist() == [5, 6, 5]
    assert set(terms.terms) == {"lmd@landmarks"}
    np.testing.assert_array_equal(terms.terms["lmd@landmarks"], [[1.0], [np.nan], [np.nan]])
