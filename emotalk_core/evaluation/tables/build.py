"""metrics.csv in, tables in the shape of the paper's T1 to T4 out; one evaluator a column."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from emotalk_core.emotion.circle import CLASSES, evaluation_points
from emotalk_core.evaluation.baselines import COMPUTED
from emotalk_core.evaluation.evaluators import short_label
from emotalk_core.evaluation.metrics.base import CROSS, EMOTION, SELF, Metric
from emotalk_core.evaluation.metrics.registry import load_metrics
from emotalk_core.evaluation.scoring import ALL_CLIPS, target_label
from emotalk_core.types.metrics import H264_SCENARIO, TRIVIAL_METHODS
from emotalk_core.types.renders import point_clip

METHOD_NAMES = {
    "ground_truth": "Ground truth",
    "chance": "Chance (computed)",
    "mean_frame": "Mean training frame",
    "nearest_pose": "Nearest training pose",
    "emotalk": "EmoTalk",
    "emotalk_no_emotion": "EmoTalk without emotion branch",
    "no_normal": "without normal loss",
    "no_sync": "without sync loss",
    "combined_face": "combined face branch",
    "talkinggaussian": "without emotion, normals, sync",
}
METRIC_NAMES = {
    "psnr_full": "PSNR",
    "psnr_head": "PSNR head",
    "psnr_mouth": "PSNR mouth",
    "ssim_full": "SSIM",
    "ssim_head": "SSIM head",
    "ssim_mouth": "SSIM mouth",
    "lpips": "LPIPS",
    "pyramid_distance": "pyramid distance",
    "lmd": "LMD",
    "sync_e": "Sync-E",
    "sync_d": "sync distance",
    "sync_c": "Sync-C",
    "sync_offset": "sync offset",
    "aue_u": "AUE-U",
    "aue_l": "AUE-L",
    "identity": "identity",
    "lip_r": "lip r",
    "lip_amplitude": "lip amplitude",
    "lid_r": "lid r",
    "lip_audio_r": "lip-sound r",
    "sharpness": "sharpness",
    "flicker": "flicker",
    "neck_seam": "neck seam",
    "pose_jitter": "pose jitter",
    "v_rmse": "V-RMSE",
    "a_rmse": "A-RMSE",
    "v_sa": "V-SA",
    "a_sa": "A-SA",
    "ccc_v": "V-CCC",
    "ccc_a": "A-CCC",
    "e_acc_top1": "E-Acc top 1",
    "e_acc_top3": "E-Acc top 3",
}
STAND_IN_NAMES = {"sync_c": "sync confidence"}  # SyncNet's own names are for SyncNet
SYNC = ("sync_e", "sync_d", "sync_c")
# The paper's columns first, then those that are ours.
T1 = (
    "psnr_full", "ssim_full", "lpips", "pyramid_distance", "lmd", *SYNC, "lip_audio_r", "aue_u",
    "aue_l",
)  # fmt: skip
T1_DETAIL = (
    "psnr_head", "psnr_mouth", "ssim_head", "ssim_mouth", "lip_r", "lip_amplitude", "lid_r",
    "sharpness", "flicker", "neck_seam", "pose_jitter", "identity",
)  # fmt: skip
T1_H264 = ("psnr_full", "psnr_head", "psnr_mouth", "ssim_full", "ssim_head", "ssim_mouth", "lpips")
T2 = (*SYNC, "lip_audio_r")
T2_ALL = ("pose_jitter", "neck_seam", "identity")
T3 = (
    *SYNC, "lip_audio_r", "v_rmse", "a_rmse", "v_sa", "a_sa", "ccc_v", "ccc_a", "e_acc_top1",
    "e_acc_top3", "identity",
)  # fmt: skip
T4_SELF = ("lpips", "pyramid_distance", "sync_c", "lip_audio_r")
T4_EMOTION = ("v_rmse", "a_rmse", "e_acc_top1", "e_acc_top3")
# Rows of the paper's table 4, in its order; TalkingGaussian is what all of them take away.
ABLATIONS = (
    "no_normal", "no_sync", "combined_face", "emotalk_no_emotion", "talkinggaussian", "emotalk",
)  # fmt: skip
DASH = "\N{EN DASH}"
MINUS = "\N{MINUS SIGN}"
SHARE = "e_share_"  # metrics that hold the columns of the confusion matrix
ARROWS = {"higher": "↑", "lower": "↓", "one": "→ 1", "none": ""}


@dataclass(frozen=True)
class Column:
    """One metric by one evaluator.

    Attributes:
        key: metric as metrics.csv calls it (with the clip's name where there are several).
        title: metric as the paper calls it (with the clip's name where there are several).
        arrow: direction of improvement.
        evaluator: id of who measured.
        stand_in: whether that is a packaged stand-in.
        meaning: one sentence.
    """

    key: str
    title: str
    arrow: str
    evaluator: str
    stand_in: bool
    meaning: str
    unit: str


@dataclass(frozen=True)
class Cell:
    """Value and interval as numbers and as text; best marks the best configured method.

    Attributes:
        numbers: value, low, high; nan where undefined.
        n_subjects: over how many subjects they are averaged; 0 in an empty cell.
    """

    numbers: tuple[float, float, float] = (math.nan, math.nan, math.nan)
    n_subjects: int = 0
    best: bool = False

    @property
    def value(self) -> str:
        """Value for people; empty where nothing was measured."""
        return number(self.numbers[0]) if self.n_subjects else ""

    @property
    def interval(self) -> str:
        """Interval for people; empty where there is none."""
        _, low, high = self.numbers
        return f"{number(low)} … {number(high)}" if math.isfinite(low) and low < high else ""


@dataclass(frozen=True)
class Table:
    """A table ready for the page."""

    title: str
    note: str
    columns: tuple[Column, ...]
    rows: tuple[tuple[str, bool, tuple[Cell, ...]], ...]  # (name, is a trivial row, cells)

    @property
    def has_stand_ins(self) -> bool:
        """Whether any column was measured by a packaged stand-in."""
        return any(c.stand_in for c in self.columns)


def number(value: float) -> str:
    """Three decimals below ten, two above, a dash where undefined."""
    if not math.isfinite(value):
        return DASH
    text = f"{value:.2f}" if abs(value) >= 10 else f"{value:.3f}"
    return text.replace("-", MINUS)


def method_order(methods: Sequence[str]) -> list[str]:
    """Trivial rows first, in their fixed order, then the configured methods by name."""
    own = sorted(m for m in methods if m not in TRIVIAL_METHODS)
    first = sorted(own, key=lambda m: (m != "emotalk", m))
    return [m for m in TRIVIAL_METHODS if m in methods] + first


def method_name(method: str) -> str:
    """Name for people."""
    return METHOD_NAMES.get(method, method.replace("_", " "))


def _average(rows: pd.DataFrame) -> tuple[float, float, float]:
    """Mean over subjects with its interval; subjects are independent, so half widths add squared.

    One subject keeps its own interval. nan where one subject has no value.
    """
    values, low, high = (rows[c].to_numpy(dtype=float) for c in ("value", "low", "high"))
    mean = float(values.mean())
    below, above = (float(np.sqrt((d**2).sum()) / len(rows)) for d in (values - low, high - values))
    return mean, mean - below, mean + above


def _best(values: dict[str, float], better: str) -> str:
    """The configured method with the best value, "" when there is nothing to compare."""
    own = {m: v for m, v in values.items() if m not in TRIVIAL_METHODS and math.isfinite(v)}
    if len(own) < 2 or better == "none":
        return ""
    score = {"higher": lambda v: -v, "lower": lambda v: v, "one": lambda v: abs(v - 1)}[better]
    return min(own, key=lambda m: score(own[m]))


def _column_cells(
    rows: pd.DataFrame,
    computed: pd.DataFrame,
    methods: Sequence[str],
    metric: Metric,
    evaluator: str,
) -> list[Cell]:
    """Cells of one column, one a method; computed chance fits every evaluator and clip."""
    found: dict[str, tuple[tuple[float, float, float], int]] = {}
    for method in methods:
        group = computed if method == "chance" else rows
        mine = group[(group["method"] == method) & group["evaluator"].isin([evaluator, COMPUTED])]
        if len(mine):
            found[method] = _average(mine), mine["subject"].nunique()
    best = _best({m: v[0][0] for m, v in found.items()}, metric.better)
    return [Cell(*found[m], m == best) if m in found else Cell() for m in methods]


def _title(name: str, reference: bool) -> str:
    if not reference and name in STAND_IN_NAMES:
        return STAND_IN_NAMES[name]
    return METRIC_NAMES.get(name, name)


Filled = list[tuple[Column, list[Cell]]]


def filled_columns(
    here: pd.DataFrame, group: pd.DataFrame, name: str, methods: Sequence[str], prefix: str = ""
) -> Filled:
    """A column for every evaluator of a metric.

    Args:
        here: rows of the scenario (computed chance lies among them).
        group: those of the clip that is shown.
        name: of the metric.
        methods: rows of the table.
        prefix: before the titles, where clips stand side by side.
    """
    rows = group[group["metric"] == name]
    computed = here[(here["metric"] == name) & (here["clip"] == ALL_CLIPS)]
    metric = load_metrics()[name]
    filled: Filled = []
    for evaluator in sorted(set(rows["evaluator"]) - {COMPUTED}):
        reference = bool(rows[rows["evaluator"] == evaluator]["reference"].all())
        column = Column(
            key=prefix + name,
            title=prefix + _title(name, reference),
            arrow=ARROWS[metric.better],
            evaluator=short_label(evaluator),
            stand_in=not reference,
            meaning=metric.meaning,
            unit=metric.unit,
        )
        filled.append((column, _column_cells(rows, computed, methods, metric, evaluator)))
    return filled


def _assemble(title: str, note: str, filled: Filled, methods: Sequence[str]) -> Table:
    """Columns side by side; methods without a single value get no row."""
    rows_out = []
    for index, method in enumerate(methods):
        mine = tuple(cells[index] for _, cells in filled)
        if any(c.value for c in mine):
            rows_out.append((method_name(method), method in TRIVIAL_METHODS, mine))
    return Table(title, note, tuple(column for column, _ in filled), tuple(rows_out))


def build_table(
    metrics: pd.DataFrame,
    scenario: str,
    names: Sequence[str],
    title: str,
    note: str,
    per_clip: Sequence[str] = (),
) -> Table:
    """One table: rows are methods, columns are (metric, evaluator) pairs, subjects averaged.

    Metrics named in `per_clip` get a column for every clip before that over all clips.
    """
    here = metrics[metrics["scenario"] == scenario]
    methods = method_order(sorted(set(here["method"])))
    clips = sorted(set(here["clip"]) - {ALL_CLIPS}) if per_clip else []
    filled: Filled = []
    for clip in clips:
        group = here[here["clip"] == clip]
        for name in per_clip:
            filled += filled_columns(here, group, name, methods, f"{clip}: ")
    group = here[here["clip"] == ALL_CLIPS]
    for name in names:
        filled += filled_columns(here, group, name, methods, "all: " if clips else "")
    return _assemble(title, note, filled, methods)


def ablation_table(metrics: pd.DataFrame) -> Table:
    """The paper's table 4: what every part is worth, in two scenarios side by side."""
    methods = [m for m in ABLATIONS if m in set(metrics["method"])]
    everything = metrics[metrics["clip"] == ALL_CLIPS]
    filled: Filled = []
    for scenario, names in ((SELF, T4_SELF), (EMOTION, T4_EMOTION)):
        here = everything[everything["scenario"] == scenario]
        for name in names:
            filled += filled_columns(here, here, name, methods)
    return _assemble(
        "Ablations (shape of table 4)",
        "One part of the method taken away at a time; the paper's three columns are LPIPS, Sync-C "
        "(self-reconstruction) and E-Acc (emotion).",
        filled,
        methods,
    )


def paper_shaped_tables(metrics: pd.DataFrame) -> dict[str, Table]:
    """T1 to T4 of whatever was measured, by file name."""
    tables = {
        "table1_self_reconstruction": build_table(
            metrics,
            SELF,
            T1,
            "Self-reconstruction (shape of the paper's table 1)",
            "The held-out end of the clip: its sound, action units and emotion drive the avatar, "
            "its frames are the truth. PSNR of the truth with itself is infinite and left empty. "
            "Frames a second are wall time and therefore in speed.csv.",
        ),
        "table1_detail": build_table(
            metrics,
            SELF,
            T1_DETAIL,
            "Self-reconstruction: what whole-frame PSNR does not see",
            "Dead lips, frozen lids, blur and shaking hardly change PSNR; here they show.",
        ),
        "table1_after_h264": build_table(
            metrics,
            H264_SCENARIO,
            T1_H264,
            "Self-reconstruction after H.264",
            "Render and truth after the same video encoder, as neighbouring projects score.",
        ),
        "table2_other_speech": build_table(
            metrics,
            CROSS,
            (*T2, *T2_ALL),
            "Other speech (shape of table 2)",
            "Speech that is not the clip's. There is no true video: the lips are compared with "
            "what experts, fitted or trained elsewhere, expect from the sound.",
            per_clip=T2,
        ),
        "table3_emotion": build_table(
            metrics,
            EMOTION,
            T3,
            "Emotion on demand (shape of table 3)",
            "Twelve valence-arousal points, read back by the emotion evaluator. Chance: answering "
            "V = A = 0 everywhere gives .505, any fixed sign .500, a random ranking 12.5 % and "
            "37.5 %; a constant ranking with sad, contempt and happy on top would reach 66.7 % in "
            "top 3.",
        ),
        "table4_ablations": ablation_table(metrics),
    }
    return {name: table for name, table in tables.items() if table.columns}


def confusion(metrics: pd.DataFrame) -> pd.DataFrame:
    """Share of frames of each wanted class that are read as each class, by method.

    Columns: method, evaluator, wanted, n_points, then the eight classes. Points and subjects weigh
    alike.
    """
    rows = metrics[(metrics["scenario"] == EMOTION) & (metrics["clip"] != ALL_CLIPS)]
    rows = rows[rows["metric"].str.startswith(SHARE)]
    wanted = {point_clip(p.valence, p.arousal): p.label for p in evaluation_points()}
    rows = rows.assign(
        wanted=rows["clip"].map(wanted),
        read=rows["metric"].str.removeprefix(SHARE),
        evaluator=rows["evaluator"].map(short_label),
    ).dropna(subset=["wanted"])
    keys = ["method", "evaluator", "wanted"]
    if rows.empty:
        return pd.DataFrame(columns=[*keys, "n_points", *CLASSES])
    shares = rows.pivot_table(index=keys, columns="read", values="value", aggfunc="mean")
    points = rows.groupby(keys)["clip"].nunique().rename("n_points")
    return points.to_frame().join(shares.reindex(columns=list(CLASSES))).reset_index()


@dataclass(frozen=True)
class ReadPoint:
    """Target and mean reading of one evaluation point for one method."""

    clip: str
    label: str
    target: tuple[float, float]
    read: tuple[float, float]
    shares: tuple[float, ...]


def read_points(
    metrics: pd.DataFrame, method: str, targets: dict[str, tuple[float, float]]
) -> list[ReadPoint]:
    """What the evaluator read at each point (rows v_read, a_read and e_share_*).

    `targets` maps the clips of the emotion scenario to their valence and arousal.
    """
    rows = metrics[(metrics["scenario"] == EMOTION) & (metrics["method"] == method)]
    values = {(c, m): v for c, m, v in zip(rows["clip"], rows["metric"], rows["value"])}
    points = []
    for clip, (valence, arousal) in targets.items():
        if (clip, "v_read") not in values:
            continue
        points.append(
            ReadPoint(
                clip,
                target_label(valence, arousal),
                (valence, arousal),
                (float(values[clip, "v_read"]), float(values[clip, "a_read"])),
                tuple(float(values.get((clip, f"e_share_{c}"), math.nan)) for c in CLASSES),
            )
        )
    order = {(p.valence, p.arousal): i for i, p in enumerate(evaluation_points())}
    return sorted(points, key=lambda p: order.get(p.target, len(order)))
