"""metrics.csv in, tables in the shape of the paper's T1, T2 and T3 out; one evaluator a column."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd

from emotalk_core.emotion.circle import CLASSES, evaluation_points
from emotalk_core.evaluation.baselines import COMPUTED
from emotalk_core.evaluation.evaluators import short_label
from emotalk_core.evaluation.metrics.base import CROSS, EMOTION, SELF, Metric
from emotalk_core.evaluation.metrics.registry import load_metrics
from emotalk_core.evaluation.report.plots import MINUS
from emotalk_core.evaluation.scoring import ALL_CLIPS, target_label
from emotalk_core.types.metrics import TRIVIAL_METHODS

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
    "lmd": "LMD",
    "aue_u": "AUE-U",
    "aue_l": "AUE-L",
    "lip_r": "lip r",
    "lip_amplitude": "lip amplitude",
    "lid_r": "lid r",
    "lip_audio_r": "lip-sound r",
    "sharpness": "sharpness",
    "flicker": "flicker",
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
T1 = (
    "psnr_full", "psnr_head", "psnr_mouth", "ssim_full", "ssim_head", "lmd", "lip_audio_r",
    "aue_u", "aue_l",
)  # fmt: skip
T1_MOTION = ("lip_r", "lip_amplitude", "lid_r", "sharpness", "flicker", "pose_jitter")
T2 = ("lip_audio_r", "pose_jitter")
T3 = (
    "lip_audio_r", "v_rmse", "a_rmse", "v_sa", "a_sa", "ccc_v", "ccc_a", "e_acc_top1",
    "e_acc_top3",
)  # fmt: skip
DASH = "\N{EN DASH}"
ARROWS = {"higher": "↑", "lower": "↓", "one": "→ 1", "none": ""}


@dataclass(frozen=True)
class Column:
    """One metric by one evaluator.

    Attributes:
        title: metric as the paper calls it (with the clip's name where there are several).
        arrow: direction of improvement.
        evaluator: id of who measured.
        stand_in: whether that is a packaged stand-in.
        meaning: one sentence.
    """

    title: str
    arrow: str
    evaluator: str
    stand_in: bool
    meaning: str
    unit: str


@dataclass(frozen=True)
class Cell:
    """Value and interval as text; best marks the best configured method of the column."""

    value: str
    interval: str
    best: bool = False


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
    """Mean over subjects of value, low and high."""
    values = rows[["value", "low", "high"]].astype(float)
    middle, low, high = (values[c].mean(skipna=False) for c in ("value", "low", "high"))
    return float(middle), float(low), float(high)


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
    found: dict[str, tuple[float, float, float]] = {}
    for method in methods:
        group = computed if method == "chance" else rows
        mine = group[(group["method"] == method) & group["evaluator"].isin([evaluator, COMPUTED])]
        if len(mine):
            found[method] = _average(mine)
    best = _best({m: v[0] for m, v in found.items()}, metric.better)
    cells = []
    for method in methods:
        if method not in found:
            cells.append(Cell("", ""))
            continue
        value, low, high = found[method]
        interval = f"{number(low)} … {number(high)}" if math.isfinite(low) and low < high else ""
        cells.append(Cell(number(value), interval, method == best))
    return cells


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
    known = load_metrics()
    here = metrics[metrics["scenario"] == scenario]
    clips = sorted(set(here["clip"]) - {ALL_CLIPS}) if per_clip else []
    groups = [(c, here[here["clip"] == c]) for c in clips]
    groups.append(("", here[here["clip"] == ALL_CLIPS]))
    methods = method_order(sorted(set(here["method"])))
    columns: list[Column] = []
    cells: list[list[Cell]] = []
    for clip, group in groups:
        for name in per_clip if clip else names:
            rows = group[group["metric"] == name]
            computed = here[(here["metric"] == name) & (here["clip"] == ALL_CLIPS)]
            for evaluator in sorted(set(rows["evaluator"]) - {COMPUTED}):
                reference = bool(rows[rows["evaluator"] == evaluator]["reference"].all())
                prefix = f"{clip}: " if clip else ("all: " if clips else "")
                metric = known[name]
                columns.append(
                    Column(
                        title=prefix + METRIC_NAMES.get(name, name),
                        arrow=ARROWS[metric.better],
                        evaluator=short_label(evaluator),
                        stand_in=not reference,
                        meaning=metric.meaning,
                        unit=metric.unit,
                    )
                )
                cells.append(_column_cells(rows, computed, methods, metric, evaluator))
    rows_out = []
    for index, method in enumerate(methods):
        mine = tuple(column[index] for column in cells)
        if any(c.value for c in mine):
            rows_out.append((method_name(method), method in TRIVIAL_METHODS, mine))
    return Table(title, note, tuple(columns), tuple(rows_out))


def paper_shaped_tables(metrics: pd.DataFrame) -> list[Table]:
    """T1, T2 and T3 of whatever was measured."""
    tables = [
        build_table(
            metrics,
            SELF,
            T1,
            "Self-reconstruction (shape of the paper's table 1)",
            "The held-out end of the clip: its sound, action units and emotion drive the avatar, "
            "its frames are the truth. PSNR of the truth with itself is infinite and left empty.",
        ),
        build_table(
            metrics,
            SELF,
            T1_MOTION,
            "Self-reconstruction: what whole-frame PSNR does not see",
            "Dead lips, frozen lids, blur and shaking hardly change PSNR; here they show.",
        ),
        build_table(
            metrics,
            CROSS,
            T2,
            "Other speech (shape of table 2)",
            "Speech that is not the clip's. There is no true video: the lips are compared with "
            "what a ridge regression on the subject's own training part expects from the sound.",
            per_clip=("lip_audio_r",),
        ),
        build_table(
            metrics,
            EMOTION,
            T3,
            "Emotion on demand (shape of table 3)",
            "Twelve valence-arousal points, read back by the emotion evaluator. Chance: answering "
            "V = A = 0 everywhere gives .505, any fixed sign .500, a random ranking 12.5 % and "
            "37.5 %; a constant ranking with sad, contempt and happy on top would reach 66.7 % in "
            "top 3.",
        ),
    ]
    return [t for t in tables if t.columns]


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
