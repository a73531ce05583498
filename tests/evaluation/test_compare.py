"""Paired comparison: shared difficulty cancels, verdicts follow the metric's good direction."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from emotalk_core.cli import main
from emotalk_core.errors import ArtifactError
from emotalk_core.evaluation.compare import Side, compare, verdict
from emotalk_core.evaluation.frame_terms import FrameTerms, write_terms
from emotalk_core.evaluation.intervals import (
    BootstrapSettings,
    bootstrap_interval,
    paired_interval,
)
from emotalk_core.evaluation.metrics.base import mean_term
from emotalk_core.evaluation.metrics.registry import load_metrics

N = 120
SETTINGS = BootstrapSettings(block_frames=10, resamples=200)
SCENARIO = "self_reconstruction"


def hard_frames() -> np.ndarray:
    """PSNR of a method that finds some seconds much harder than others."""
    return 30 + 3 * np.sin(np.arange(N) / 15) + np.random.default_rng(0).normal(0, 0.2, N)


def results(folder: Path, psnr: np.ndarray, clips: list[str] | None = None) -> Path:
    folder.mkdir(parents=True)
    (folder / "metrics.csv").write_text("")
    entry = FrameTerms(
        np.array(clips or ["test"] * len(psnr)),
        np.arange(len(psnr)) + 1000,
        {
            "psnr_full@image": psnr[:, None],
            "lmd@landmarks": np.where(np.arange(len(psnr)) < 5, np.nan, 40 - psnr)[:, None],
        },
    )
    write_terms(folder / "scores/emotalk.npz", {("emotalk", SCENARIO): entry})
    return folder


def test_a_small_steady_gain_is_found_although_the_intervals_overlap(tmp_path: Path) -> None:
    first = results(tmp_path / "a/anna", hard_frames())
    second = results(tmp_path / "b/anna", hard_frames() + 0.1)
    table = compare(Side(tmp_path / "a", "emotalk"), Side(tmp_path / "b", "emotalk"), SETTINGS)
    rows = table.set_index("metric")
    assert rows["verdict"].to_dict() == {"psnr_full": "better", "lmd": "better"}
    assert rows.loc["psnr_full", "difference"] == pytest.approx(0.1)
    assert rows.loc["psnr_full", ["low", "high"]].tolist() == pytest.approx([0.1, 0.1])
    assert rows.loc["lmd", "n_frames"] == N - 5
    low, high = bootstrap_interval([hard_frames()[:, None]], mean_term, SETTINGS, 0)
    assert high - low > 0.5  # alone, the two could not be told apart
    same = compare(Side(first, "emotalk"), Side(first, "emotalk"), SETTINGS)
    assert set(same["verdict"]) == {"no difference"}
    assert set(compare(Side(second, "emotalk"), Side(first, "emotalk"), SETTINGS)["verdict"]) == {
        "worse"
    }


def test_the_paired_interval_is_that_of_the_differences() -> None:
    generator = np.random.default_rng(3)
    one, other = generator.normal(0, 1, (2, 200, 1))
    low, high = paired_interval([(one, other)], mean_term, SETTINGS, 5)
    wanted = bootstrap_interval([other - one], mean_term, SETTINGS, 5)
    assert (low, high) == pytest.approx(wanted)
    assert np.isnan(paired_interval([], mean_term, SETTINGS, 5)).all()


def test_verdicts() -> None:
    metrics = load_metrics()
    assert verdict(metrics["lmd"], 2.0, 1.0, -1.2, -0.8) == "better"
    assert verdict(metrics["psnr_full"], 31.0, 30.0, -1.2, -0.8) == "worse"
    assert verdict(metrics["sharpness"], 0.5, 1.1, 0.4, 0.8) == "better"
    assert verdict(metrics["lmd"], 2.0, 1.9, -0.3, 0.1) == "no difference"
    assert verdict(metrics["v_read"], 2.0, 1.9, -0.3, -0.1) == ""
    assert verdict(metrics["lmd"], 2.0, 1.9, np.nan, np.nan) == "no interval"


def test_different_frames_subjects_and_methods_are_refused(tmp_path: Path) -> None:
    long = Side(results(tmp_path / "a/anna", hard_frames()), "emotalk")
    short = Side(results(tmp_path / "b/anna", hard_frames()[:-1]), "emotalk")
    with pytest.raises(ArtifactError, match="only renders of the same frames"):
        compare(long, short, SETTINGS)
    with pytest.raises(ArtifactError, match="method=no_sync: terms are there of"):
        compare(long, Side(long.folder, "no_sync"), SETTINGS)
    with pytest.raises(ArtifactError, match=r"holds no metrics\.csv"):
        compare(long, Side(tmp_path / "nowhere", "emotalk"), SETTINGS)
    results(tmp_path / "c/bert", hard_frames()), results(tmp_path / "c/carl", hard_frames())
    with pytest.raises(ArtifactError, match="subject in common"):
        compare(long, Side(tmp_path / "c", "emotalk"), SETTINGS)


def test_the_command_prints_and_writes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    results(tmp_path / "a", hard_frames())
    results(tmp_path / "b", hard_frames() - 0.5)
    out = tmp_path / "table.csv"
    arguments = [str(tmp_path / "a"), str(tmp_path / "b"), "--csv", str(out), "--resamples", "50"]
    assert main(["compare", *arguments]) == 0
    text = capsys.readouterr().out
    assert "psnr_full" in text and "worse" in text
    assert pd.read_csv(out)["verdict"].tolist() == ["worse", "worse"]
    assert main(["compare", str(tmp_path), str(tmp_path / "x")]) == 1
