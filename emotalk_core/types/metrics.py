"""One row of metrics.csv and the fixed column order."""

from __future__ import annotations

from dataclasses import dataclass

# Order of columns in metrics.csv and every scores/*.csv.
METRIC_COLUMNS = (
    "subject",
    "method",
    "scenario",
    "clip",
    "metric",
    "value",
    "low",
    "high",
    "n_frames",
    "evaluator",
    "reference",
    "frames_sha256",
)
ALL_CLIPS = "all"  # the clip column of a row over every frame of a scenario
# Wall times of renders, apart from metrics.csv: they differ from run to run, scores do not.
SPEED_COLUMNS = (
    "subject",
    "method",
    "scenario",
    "fps",
    "n_frames",
    "device",
    "backend",
    "threads",
    "width",
    "height",
    "n_gaussians",
)
# The paper's tables over all subjects, in results/tables/.
TABLE_NAMES = (
    "table1_self_reconstruction",
    "table1_detail",
    "table1_after_h264",
    "table2_other_speech",
    "table3_emotion",
    "table4_ablations",
)
CONFUSION_FILE, SPEED_FILE = "confusion.csv", "speed.csv"
TABLE_FILES = (
    *(f"{name}.{suffix}" for name in TABLE_NAMES for suffix in ("csv", "md", "tex")),
    CONFUSION_FILE,
    SPEED_FILE,
)
TRIVIAL_METHODS = ("ground_truth", "chance", "mean_frame", "nearest_pose")
SCENARIOS = ("self_reconstruction", "cross_audio", "emotion")  # what is rendered
# Self-reconstruction after H.264, render and truth both: never mixed with lossless scores.
H264_SCENARIO = "self_reconstruction_h264"
SCORED_SCENARIOS = (*SCENARIOS, H264_SCENARIO)


@dataclass(frozen=True)
class MetricRow:
    """A measured number with the evaluator that produced it.

    Attributes:
        value: the metric over the clip; nan where undefined (an empty field in the CSV).
        low, high: 95 % interval of the value; nan where none was computed.
        evaluator: id of the measuring method, "@" and the sha256 of its weights where it has any.
        reference: True only for the paper's own network; a packaged stand-in says False.
        frames_sha256: hash over the scored frames (decoded pixels).
    """

    subject: str
    method: str
    scenario: str
    clip: str
    metric: str
    value: float
    n_frames: int
    evaluator: str
    reference: bool
    frames_sha256: str
    low: float = float("nan")
    high: float = float("nan")
