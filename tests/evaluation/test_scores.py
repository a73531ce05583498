"""Scores of renders whose faults are known: each fault worsens what should notice it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest

from emotalk_core.emotion.circle import CLASSES, evaluation_points
from emotalk_core.errors import ArtifactError, ConfigError
from emotalk_core.evaluation import stage
from emotalk_core.evaluation.baselines import chance_values, points_table
from emotalk_core.evaluation.settings import EvaluationSettings
from emotalk_core.media.tables import read_manifest, read_table
from emotalk_core.media.video import frames_sha256
from emotalk_core.types.metrics import H264_SCENARIO, METRIC_COLUMNS

from .conftest import N_FRAMES, N_TRAIN, NO_FACE, TinySubject, readers

COMMON = ("manifest", "video", "regions", "track", "action_units", "valence_arousal", "audio")
SETTINGS = EvaluationSettings(block_frames=8, resamples=40)


@pytest.fixture(autouse=True)
def pixel_readers(monkeypatch: pytest.MonkeyPatch) -> None:
    @contextmanager
    def opened(*_: object) -> Iterator[object]:
        yield readers()

    monkeypatch.setattr(stage, "open_readers", opened)


def self_table(rows: int = N_FRAMES - N_TRAIN) -> pd.DataFrame:
    frames = np.arange(N_TRAIN, N_TRAIN + rows)
    return pd.DataFrame(
        {
            "frame": np.arange(rows),
            "clip": "test",
            "source_frame": frames,
            "audio_frame": frames,
            "valence": 0.0,
            "arousal": 0.0,
        }
    )


def score(
    tiny: TinySubject,
    frames: np.ndarray,
    table: pd.DataFrame,
    scenario: str = "self_reconstruction",
    clip_audio: dict[str, Path] | None = None,
    emotion_audio: Path | None = None,
) -> pd.DataFrame:
    video, csv = tiny.add_render(scenario, frames, table)
    scores = tiny.folder / "scores" / "emotalk" / f"{scenario}.csv"
    stage.score_method(
        subject="tiny",
        method="emotalk",
        **tiny.paths(*COMMON),
        renders={scenario: (video, csv)},
        scores=scores,
        terms=scores.with_suffix(".npz"),
        settings=SETTINGS,
        seed=0,
        threads=1,
        clip_audio=clip_audio,
        emotion_audio=emotion_audio,
    )
    return read_table(scores, METRIC_COLUMNS)


def values(rows: pd.DataFrame, clip: str = "all") -> dict[str, float]:
    mine = rows[(rows["clip"] == clip) & (rows["scenario"] != H264_SCENARIO)]
    return dict(zip(mine["metric"], mine["value"]))


def faulty(truth: np.ndarray, fault: str) -> np.ndarray:
    """A copy of the truth with one fault."""
    frames = truth.copy()
    if fault == "blur":
        frames = np.stack([cv2.GaussianBlur(f, (0, 0), 1.5) for f in frames])
        frames[:, 0, :5] = truth[:, 0, :5]  # the readings stay
    elif fault == "frozen lips":
        frames[:, 0, 0] = frames[0, 0, 0]
    elif fault == "other sound":
        frames[:, 0, 0] = np.roll(truth[:, 0, 0], 13, axis=0)
    elif fault == "wrong face":
        frames[:, 0, 1] += 10
    return frames


def test_a_perfect_render_scores_perfectly(tiny: TinySubject) -> None:
    rows = score(tiny, tiny.frames[N_TRAIN:], self_table())
    got = values(rows)
    assert np.isnan(got["psnr_full"])
    for name in ("ssim_full", "ssim_head", "lip_r", "lip_amplitude", "sharpness"):
        assert got[name] == pytest.approx(1)
    for name in ("lmd", "aue_u", "aue_l", "flicker", "pose_jitter", "neck_seam"):
        assert got[name] == 0
    assert got["pyramid_distance"] == 0 and got["identity"] == pytest.approx(1)
    assert got["lip_audio_r"] > 0.5
    assert got["sync_offset"] == 0 and got["sync_c"] > 0.1
    lossless, coded = (rows[(rows["scenario"] == H264_SCENARIO) == is_coded] for is_coded in (0, 1))
    assert set(lossless["frames_sha256"]) == {frames_sha256(tiny.frames[N_TRAIN:])}
    assert len(set(coded["frames_sha256"]) - set(lossless["frames_sha256"])) == 1
    assert set(coded["evaluator"]) == {"pixels-lossless-1", "pixel-reader"}
    references = lossless.set_index("metric")["reference"]
    assert references["ssim_full"] and not references["lmd"]


@pytest.mark.parametrize(
    ("fault", "notices", "blind"),
    [
        ("blur", {"ssim_full", "ssim_head", "sharpness"}, {"lip_r", "aue_u", "lip_audio_r"}),
        ("frozen lips", {"lip_amplitude"}, {"sharpness", "aue_l"}),
        ("other sound", {"lip_r", "lip_audio_r"}, {"sharpness", "lip_amplitude"}),
        ("wrong face", {"aue_u", "aue_l"}, {"lip_r", "lmd", "lip_audio_r"}),
    ],
)
def test_each_fault_moves_exactly_what_should_notice(
    tiny: TinySubject, fault: str, notices: set[str], blind: set[str]
) -> None:
    truth = tiny.frames[N_TRAIN:]
    good = score(tiny, truth, self_table())
    bad = score(tiny, faulty(truth, fault), self_table())
    limits = {m: (lo, hi) for m, lo, hi in zip(good["metric"], good["low"], good["high"])}
    before, after = values(good), values(bad)
    for name in notices:
        low, high = limits[name]
        assert not low <= after[name] <= high, name
        assert abs(after[name] - before[name]) > 0.05, name
    for name in blind:
        assert after[name] == pytest.approx(before[name], abs=0.06), name


def test_frames_without_a_face_are_counted_not_dropped(
    tiny: TinySubject, caplog: pytest.LogCaptureFixture
) -> None:
    frames = tiny.frames[N_TRAIN:].copy()
    frames[5:8, 0, 0] = NO_FACE
    with caplog.at_level("INFO"):
        rows = score(tiny, frames, self_table())
    rows = rows[rows["scenario"] != H264_SCENARIO].set_index("metric")
    assert rows.loc["ssim_full", "n_frames"] == len(frames)
    assert rows.loc["lmd", "n_frames"] == len(frames) - 3
    assert f"face found in {len(frames) - 3} of {len(frames)}" in caplog.text


def test_unequal_lengths_sizes_and_clips_are_refused(tiny: TinySubject) -> None:
    truth = tiny.frames[N_TRAIN:]
    with pytest.raises(ArtifactError, match="scores of unequal"):
        score(tiny, truth[:-1], self_table())
    with pytest.raises(ArtifactError, match="is 40x48, the clip is 48x48"):
        score(tiny, truth[:, :, :40], self_table())
    torn = self_table().assign(clip=["a", "b"] * (len(truth) // 2))
    with pytest.raises(ArtifactError, match="one run of rows a clip"):
        score(tiny, truth, torn)
    outside = self_table().assign(source_frame=N_FRAMES)
    with pytest.raises(ArtifactError, match="source_frame="):
        score(tiny, truth, outside)
    with pytest.raises(ConfigError, match="wanted one of"):
        score(tiny, truth, self_table(), "singing")


def emotion_render(tiny: TinySubject, obey: bool) -> tuple[np.ndarray, pd.DataFrame]:
    """Ten frames a point whose pixels read as the target, or as nothing at all."""
    points = points_table(read_manifest(tiny["manifest"]))
    table = points.loc[points.index.repeat(10)].reset_index(drop=True)
    table["audio_frame"] = list(range(10)) * len(points)
    frames = np.repeat(tiny.frames[N_TRAIN : N_TRAIN + 1], len(table), axis=0)
    if obey:
        frames[:, 0, 2] = (
            np.round(100 + 100 * table["valence"]).astype(np.uint8).to_numpy()[:, None]
        )
        frames[:, 0, 3] = (
            np.round(100 + 100 * table["arousal"]).astype(np.uint8).to_numpy()[:, None]
        )
        labels = [p.label for p in evaluation_points() for _ in range(10)]
        frames[:, 0, 4] = np.array([CLASSES.index(n) for n in labels], np.uint8)[:, None]
    return frames, table


def test_emotion_scores_of_an_obedient_and_a_deaf_face(tiny: TinySubject) -> None:
    obedient = values(score(tiny, *emotion_render(tiny, True), "emotion"))
    assert obedient["v_rmse"] == pytest.approx(0, abs=1e-9)
    assert obedient["e_acc_top1"] == obedient["e_acc_top3"] == 1
    assert obedient["ccc_a"] == pytest.approx(1)
    rows = score(tiny, *emotion_render(tiny, False), "emotion")
    deaf = values(rows)
    chance = chance_values()
    for name in ("v_rmse", "a_rmse"):
        assert deaf[name] == pytest.approx(chance["emotion", name], abs=1e-4)
    # neutral first, then ties in the order of CLASSES: happy (2) and sad (3 of 12) lie in its top 3
    assert deaf["e_acc_top1"] == 0
    assert deaf["e_acc_top3"] == pytest.approx(5 / 12)
    assert deaf["e_share_neutral"] == 1
    assert values(rows, "v+0.74_a+0.31")["v_read"] == 0
    assert "lip_audio_r" not in deaf  # no sound was given


def test_chance_levels_are_the_computed_ones() -> None:
    chance = chance_values()
    assert chance["emotion", "v_rmse"] == pytest.approx(0.505, abs=5e-4)
    assert chance["emotion", "a_rmse"] == pytest.approx(0.505, abs=5e-4)
    assert chance["emotion", "e_acc_top3"] == 0.375
    assert chance["emotion", "v_sa"] == 0.5
    on_top = {"sad", "contempt", "happy"}
    gamed = np.mean([p.label in on_top for p in evaluation_points()])
    assert gamed == pytest.approx(2 / 3)


def test_other_speech_needs_its_own_sound(tiny: TinySubject) -> None:
    table = self_table().assign(clip="poem")
    table["audio_frame"] = np.arange(len(table)) + N_TRAIN
    frames = tiny.frames[N_TRAIN:]
    silent = values(score(tiny, frames, table, "cross_audio"))
    heard = values(score(tiny, frames, table, "cross_audio", {"poem": tiny["audio"]}))
    assert set(silent) == {"pose_jitter", "neck_seam", "identity"}
    assert heard["lip_audio_r"] > 0.5 and heard["sync_offset"] == 0


def test_emotion_points_are_judged_by_their_own_sound_only(tiny: TinySubject) -> None:
    frames, table = emotion_render(tiny, False)
    table["audio_frame"] = np.arange(len(table)) % N_FRAMES
    frames[:, 0, 0] = tiny.frames[table["audio_frame"].to_numpy(), 0, 0]  # lips of those frames
    other = values(score(tiny, frames, table, "emotion", {"poem": tiny["audio"]}))
    own = values(score(tiny, frames, table, "emotion", None, tiny["audio"]))
    assert "lip_audio_r" not in other
    assert own["lip_audio_r"] > 0.5


def baselines(tiny: TinySubject) -> Path:
    scores = tiny.folder / "scores" / "baselines.csv"
    stage.score_baselines(
        subject="tiny",
        **tiny.paths(*COMMON),
        scores=scores,
        terms=scores.with_suffix(".npz"),
        settings=SETTINGS,
        seed=0,
        threads=1,
    )
    return scores


def test_baselines_hold_the_four_trivial_methods(tiny: TinySubject) -> None:
    rows = read_table(baselines(tiny), METRIC_COLUMNS)
    here = rows[rows["scenario"] == "self_reconstruction"]
    assert set(rows["method"]) == {"ground_truth", "chance", "mean_frame", "nearest_pose"}
    truth = values(here[here["method"] == "ground_truth"])
    assert np.isnan(truth["psnr_full"]) and truth["ssim_full"] == pytest.approx(1)
    still = values(here[here["method"] == "mean_frame"])
    assert still["lip_amplitude"] == 0 and np.isnan(still["lip_r"])
    wanted = tiny.frames[:N_TRAIN].mean(axis=0).round()
    error = ((tiny.frames[N_TRAIN:] - wanted) / 255) ** 2
    psnr = -10 * np.log10(error.mean(axis=(1, 2, 3)))
    assert still["psnr_full"] == pytest.approx(psnr.mean(), abs=1e-3)
    nearest = here[here["method"] == "nearest_pose"]
    last = tiny.frames[N_TRAIN - 1]
    assert set(nearest["frames_sha256"]) == {frames_sha256([last] * (N_FRAMES - N_TRAIN))}


def test_collected_metrics_are_sorted_complete_and_the_same_bytes_twice(tiny: TinySubject) -> None:
    score(tiny, tiny.frames[N_TRAIN:], self_table())
    files = [baselines(tiny), tiny.folder / "scores" / "emotalk" / "self_reconstruction.csv"]
    out = tiny.folder / "metrics.csv"
    stage.collect_metrics(subject="tiny", scores=files, metrics=out)
    first = out.read_bytes()
    score(tiny, tiny.frames[N_TRAIN:], self_table())
    stage.collect_metrics(subject="tiny", scores=files[::-1], metrics=out)
    assert out.read_bytes() == first
    table = read_table(out, METRIC_COLUMNS)
    assert list(table.columns) == list(METRIC_COLUMNS)
    key = table[["scenario", "method", "clip", "metric", "evaluator"]].apply(tuple, axis=1)
    assert key.is_monotonic_increasing and key.is_unique


def test_collection_refuses_foreign_double_and_unknown_rows(tiny: TinySubject) -> None:
    path = baselines(tiny)
    out = tiny.folder / "metrics.csv"
    good = pd.read_csv(path)

    def refuse(table: pd.DataFrame, match: str) -> None:
        broken = tiny.folder / "scores" / "broken.csv"
        table.to_csv(broken, index=False)
        with pytest.raises(ArtifactError, match=match):
            stage.collect_metrics(subject="tiny", scores=[broken], metrics=out)

    refuse(good.assign(subject="other"), "rows of subject")
    refuse(pd.concat([good, good.tail(1)]), "two rows for")
    refuse(good.assign(metric="beauty"), "not in the registry")
    refuse(good.drop(columns="evaluator"), "columns")
    refuse(good.assign(frames_sha256=""), "without the hash")
    refuse(good.assign(low=2.0, high=1.0), "low > high")
    with pytest.raises(ArtifactError, match="no score tables"):
        stage.collect_metrics(subject="tiny", scores=[], metrics=out)
    assert not out.exists()
