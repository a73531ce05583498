"""Lazy table of the metric files: to add a metric write one file and one line here."""

from __future__ import annotations

from emotalk_core.evaluation.metrics.base import Metric
from emotalk_core.registry import Registry

# Idea -> the tuple of metrics that its file defines; their order is that of the tables.
METRIC_FILES = Registry(
    "metric",
    {
        "psnr": "emotalk_core.evaluation.metrics.psnr:METRICS",
        "ssim": "emotalk_core.evaluation.metrics.ssim:METRICS",
        "pyramid_distance": "emotalk_core.evaluation.metrics.pyramid_distance:METRICS",
        "lpips": "emotalk_core.evaluation.metrics.lpips:METRICS",
        "sharpness": "emotalk_core.evaluation.metrics.sharpness:METRICS",
        "flicker": "emotalk_core.evaluation.metrics.flicker:METRICS",
        "neck_seam": "emotalk_core.evaluation.metrics.neck_seam:METRICS",
        "pose_jitter": "emotalk_core.evaluation.metrics.pose_jitter:METRICS",
        "landmark_distance": "emotalk_core.evaluation.metrics.landmark_distance:METRICS",
        "action_unit_error": "emotalk_core.evaluation.metrics.action_unit_error:METRICS",
        "lip_motion": "emotalk_core.evaluation.metrics.lip_motion:METRICS",
        "sync": "emotalk_core.evaluation.metrics.sync:METRICS",
        "lip_audio": "emotalk_core.evaluation.metrics.lip_audio:METRICS",
        "identity": "emotalk_core.evaluation.metrics.identity:METRICS",
        "valence_arousal": "emotalk_core.evaluation.metrics.valence_arousal:METRICS",
        "emotion_accuracy": "emotalk_core.evaluation.metrics.emotion_accuracy:METRICS",
    },
)


def all_metrics() -> list[Metric]:
    """Every metric in the order of the files; a name occurs once for each kind of evaluator.

    Raises:
        ValueError: two files claim one name for the same evaluator.
    """
    found: dict[tuple[str, str], Metric] = {}
    for idea in METRIC_FILES.entries:
        for metric in METRIC_FILES.load(idea):
            key = (metric.name, metric.evaluator)
            if key in found:
                raise ValueError(f"metric={metric.name}: named twice; rename the one in {idea}")
            found[key] = metric
    return list(found.values())


def load_metrics() -> dict[str, Metric]:
    """Metrics by name; of a name with several evaluators (sync_c) the first."""
    found: dict[str, Metric] = {}
    for metric in all_metrics():
        found.setdefault(metric.name, metric)
    return found


def scenario_metrics(scenario: str) -> list[Metric]:
    """The metrics that make sense in a scenario."""
    return [m for m in all_metrics() if scenario in m.scenarios]
