"""Each fault of a render worsens exactly the metrics that should notice, by more than the interval.

The good render is the digital actor as an avatar might draw it; faults are put upon it. Metrics of
whole pictures contain the mouth and may notice wrong lips; everything else must stay.
"""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from emotalk_core.emotion.circle import evaluation_points
from emotalk_core.evaluation import stage
from emotalk_core.evaluation.metrics.base import EMOTION, SELF
from emotalk_core.evaluation.metrics.registry import load_metrics
from emotalk_core.evaluation.settings import EvaluationSettings
from emotalk_core.media.tables import read_table, write_table
from emotalk_core.media.video import write_video

from .actor_subject import ActorSubject, make_actor_subject

pytestmark = pytest.mark.slow
SETTINGS = EvaluationSettings(block_frames=12, resamples=200, identity_every=8, h264_crf=0)
PICTURE = {"psnr_full", "psnr_head", "ssim_full", "ssim_head", "pyramid_distance", "flicker"}
LIPS = {"lip_r", "lip_audio_r", "sync_c", "sync_d", "lmd", "aue_l", "psnr_mouth", "ssim_mouth"}
STEADY = {"lid_r", "neck_seam"}  # no fault touches lids or neck
RIGID = {"pose_jitter", "identity"}
# fault -> (what must notice, what else may, what must not)
TABLE = {
    "shuffled audio": (
        LIPS,
        PICTURE | {"aue_u"},
        STEADY | RIGID | {"lip_amplitude", "sharpness"},
    ),
    "frozen lips": (
        LIPS | {"lip_amplitude"},
        # landmark networks move every point a little with the mouth: shake of a tenth of a pixel
        PICTURE | {"aue_u", "pose_jitter"},
        STEADY | {"identity", "sharpness"},
    ),
    "blurred": (
        (PICTURE - {"flicker"}) | {"psnr_mouth", "ssim_mouth", "sharpness"},
        # all of these are read off the face, and readers see less in a blurred one
        {"flicker", "aue_u", "aue_l", "lmd", "lip_r", "lip_amplitude"} | RIGID,
        STEADY | {"lip_audio_r", "sync_c", "sync_d"},
    ),
}
EMOTIONS = {"v_rmse", "a_rmse", "v_sa", "a_sa", "ccc_v", "ccc_a", "e_acc_top1", "e_acc_top3"}


@pytest.fixture(scope="module")
def subject(tmp_path_factory: pytest.TempPathFactory) -> ActorSubject:
    return make_actor_subject(tmp_path_factory.mktemp("actor_subject"))


@pytest.fixture(scope="module")
def good(subject: ActorSubject) -> pd.DataFrame:
    return score(subject, SELF, subject.test_render("none"), subject.test_table())


def score(
    subject: ActorSubject, scenario: str, frames: list[np.ndarray], table: pd.DataFrame
) -> pd.DataFrame:
    """Rows over all clips, by metric."""
    folder = subject.folder / "render"
    video, csv = folder / f"{scenario}.mkv", folder / f"{scenario}.csv"
    write_video(video, frames)
    write_table(csv, table)
    scores = Path(folder / "scores.csv")
    stage.score_method(
        subject="actor",
        method="emotalk",
        **subject.paths(),
        renders={scenario: (video, csv)},
        scores=scores,
        terms=scores.with_suffix(".npz"),
        settings=SETTINGS,
        seed=0,
        threads=1,
    )
    rows = read_table(scores)
    return rows[rows["clip"] == "all"].set_index("metric")


def badness(metric: str, value: float) -> float:
    """How bad a value is: larger is worse; dead lips have no correlation at all."""
    if math.isnan(value):
        return math.inf
    better = load_metrics()[metric].better
    return {"higher": -value, "lower": value, "one": abs(value - 1)}[better]


def worsened(good: pd.DataFrame, bad: pd.DataFrame) -> set[str]:
    """Metrics that are worse than the worse end of the good render's interval (if it has one)."""
    found = set()
    for metric, row in good.iterrows():
        ends = row[["low", "high"]].astype(float)
        if load_metrics()[metric].better == "none" or not np.isfinite(ends).all():
            continue
        limit = max(badness(metric, v) for v in ends)
        if badness(metric, float(bad["value"].get(metric, math.nan))) > limit:
            found.add(str(metric))
    return found


def described(good: pd.DataFrame, bad: pd.DataFrame) -> str:
    """The two columns and the interval, for the message of a failure."""
    parts = {"good": good["value"], "low": good["low"], "high": good["high"], "bad": bad["value"]}
    return "\n" + pd.DataFrame(parts).to_string()


@pytest.mark.parametrize("fault", TABLE)
def test_exactly_what_should_notice_gets_worse(
    subject: ActorSubject, good: pd.DataFrame, fault: str
) -> None:
    bad = score(subject, SELF, subject.test_render(fault), subject.test_table())
    must, may, must_not = TABLE[fault]
    judged = {m for m in good.index if load_metrics()[m].better != "none"}
    assert judged == must | may | must_not, "every metric has a place, and none has two"
    assert not (must & may or must & must_not or may & must_not)
    worse = worsened(good, bad)
    assert must <= worse, (must - worse, described(good, bad))
    assert not worse & must_not, (worse & must_not, described(good, bad))


def test_a_wrong_emotion_worsens_what_reads_emotion_and_nothing_else(
    subject: ActorSubject,
) -> None:
    points = list(evaluation_points())
    table = subject.emotion_table()
    right = score(subject, EMOTION, subject.emotion_render(points), table)
    opposite = points[4:8] + points[:4] + points[10:] + points[8:10]
    wrong = score(subject, EMOTION, subject.emotion_render(opposite), table)
    worse = worsened(right, wrong)
    assert worse == EMOTIONS, (EMOTIONS ^ worse, described(right, wrong))
