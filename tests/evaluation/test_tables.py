"""Tables over subjects: averages and intervals by hand, one evaluator a column, three formats."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from emotalk_core.emotion.circle import CLASSES, evaluation_points
from emotalk_core.errors import ArtifactError
from emotalk_core.evaluation.baselines import chance_rows, point_clip
from emotalk_core.evaluation.tables.build import confusion, paper_shaped_tables
from emotalk_core.evaluation.tables.formats import tex_escape
from emotalk_core.evaluation.tables.stage import write_tables
from emotalk_core.media.tables import read_table, write_rows, write_table
from emotalk_core.types.metrics import METRIC_COLUMNS, SPEED_COLUMNS, TABLE_FILES, MetricRow

STAND_IN = {"evaluator": "expert-1@" + "a" * 64, "reference": False}


def row(subject: str, method: str, metric: str, value: float, **more: object) -> MetricRow:
    fields = {
        "scenario": "self_reconstruction",
        "clip": "all",
        "n_frames": 50,
        "evaluator": "pixels-lossless-1",
        "reference": True,
        "frames_sha256": "b" * 64,
    }
    return MetricRow(subject, method, metric=metric, value=value, **{**fields, **more})


@pytest.fixture
def metrics(tmp_path: Path) -> list[Path]:
    """metrics.csv of two subjects."""
    paths = []
    for subject, psnr, half in (("anna", 30.0, 0.3), ("bert", 32.0, 0.4)):
        rows = [
            *chance_rows(subject),
            row(subject, "emotalk", "psnr_full", psnr, low=psnr - half, high=psnr + half),
            row(subject, "no_sync", "psnr_full", psnr - 1),
            row(subject, "emotalk", "sync_c", 0.3, **STAND_IN),
            row(subject, "emotalk", "sync_c", 6.0, evaluator="syncnet-1"),
            row(subject, "emotalk", "e_acc_top3", 0.4, scenario="emotion", **STAND_IN),
            row(subject, "no_sync", "e_acc_top3", 0.5, scenario="emotion", **STAND_IN),
        ]
        for k, point in enumerate(evaluation_points()):
            clip = point_clip(point.valence, point.arousal)
            rows += [
                row(
                    subject,
                    "emotalk",
                    f"e_share_{name}",
                    float(name == ("happy" if k % 2 else "sad")),
                    scenario="emotion",
                    clip=clip,
                    **STAND_IN,
                )
                for name in CLASSES
            ]
        paths.append(tmp_path / subject / "metrics.csv")
        write_rows(paths[-1], rows)
    return paths


def joined(paths: list[Path]) -> pd.DataFrame:
    return pd.concat([read_table(p, METRIC_COLUMNS) for p in paths]).fillna({"evaluator": ""})


def test_subjects_are_averaged_and_independent_intervals_shrink(metrics: list[Path]) -> None:
    table = paper_shaped_tables(joined(metrics))["table1_self_reconstruction"]
    assert [c.title for c in table.columns] == ["PSNR", "sync confidence", "Sync-C"]
    assert [c.stand_in for c in table.columns] == [False, True, False]
    rows = {name: cells for name, _, cells in table.rows}
    cell = rows["EmoTalk"][0]
    assert cell.numbers == pytest.approx((31.0, 30.75, 31.25))  # sqrt(.3^2 + .4^2) / 2 = .25
    assert cell.n_subjects == 2 and cell.best
    assert cell.interval == "30.75 … 31.25"
    assert rows["without sync loss"][0].interval == ""


def test_ablations_stand_in_the_order_of_the_paper(metrics: list[Path]) -> None:
    table = paper_shaped_tables(joined(metrics))["table4_ablations"]
    assert [name for name, _, _ in table.rows] == ["without sync loss", "EmoTalk"]
    assert [c.key for c in table.columns] == ["sync_c", "sync_c", "e_acc_top3"]
    assert [cells[-1].best for _, _, cells in table.rows] == [True, False]


def test_confusion_counts_points_of_a_class(metrics: list[Path]) -> None:
    table = confusion(joined(metrics)).set_index("wanted")
    assert table["n_points"].to_dict() == {
        label: [p.label for p in evaluation_points()].count(label) for label in table.index
    }
    np.testing.assert_allclose(table[list(CLASSES)].sum(axis=1), 1)
    odd = [k % 2 for k, p in enumerate(evaluation_points()) if p.label == "sad"]
    assert table.loc["sad", "happy"] == pytest.approx(np.mean(odd))


def test_all_files_are_written_and_equal_twice(metrics: list[Path], tmp_path: Path) -> None:
    speed = tmp_path / "speed_emotalk.csv"
    values = ("anna", "emotalk", "emotion", 31.5, 20, "cpu", "cpu", 1, 256, 256, 9000)
    write_table(speed, pd.DataFrame([values], columns=list(SPEED_COLUMNS)))
    contents = []
    for folder in ("one", "two"):
        paths = [tmp_path / folder / name for name in TABLE_FILES]
        write_tables(metrics=metrics, speeds=[speed], tables=paths)
        contents.append([p.read_bytes() for p in paths])
    assert contents[0] == contents[1]
    one = tmp_path / "one"
    numbers = read_table(one / "table1_self_reconstruction.csv").set_index("method")
    assert numbers.loc["EmoTalk", "psnr_full [pixels-lossless-1]"] == 31
    assert f"sync_c [expert-1@{'a' * 12}]" in numbers.columns
    page = (one / "table1_self_reconstruction.md").read_text()
    assert "| **31.00** <sub>30.75 … 31.25</sub> |" in page
    assert "sync confidence† ↑" in page and "Subjects: anna, bert." in page
    tex = (one / "table3_emotion.tex").read_text()
    assert r"\toprule" in tex and "37.5 \\%" in tex and r"Chance (computed) &" in tex
    assert "Nothing of this table" in (one / "table2_other_speech.md").read_text()
    assert read_table(one / "speed.csv")["fps"].item() == 31.5


def test_no_subjects_and_unknown_names_are_refused(metrics: list[Path], tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match="no subject has metrics"):
        write_tables(metrics=[], tables=[])
    with pytest.raises(ArtifactError, match="no such table"):
        write_tables(metrics=metrics, tables=[tmp_path / "table9.md"])


def test_tex_is_escaped() -> None:
    assert tex_escape("50 % of a_b \u2191") == r"50 \% of a\_b $\uparrow$"
