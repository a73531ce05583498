"""Lazy list of the metric files: to add a metric write one file and one line here."""

from __future__ import annotations

import importlib

from emotalk_core.evaluation.metrics.base import Metric

METRIC_FILES = (
    "emotalk_core.evaluation.metrics.psnr:METRICS",
    "emotalk_core.evaluation.metrics.ssim:METRICS",
    "emotalk_core.evaluation.metrics.sharpness:METRICS",
    "emotalk_core.evaluation.metrics.flicker:METRICS",
    "emotalk_core.evaluation.metrics.pose_jitter:METRICS",
    "emotalk_core.evaluation.metrics.landmark_distance:METRICS",
    "emotalk_core.evaluation.metrics.action_unit_error:METRICS",
    "emotalk_core.evaluation.metrics.lip_motion:METRICS",
    "emotalk_core.evaluation.metrics.lip_audio:METRICS",
    "emotalk_core.evaluation.metrics.valence_arousal:METRICS",
    "emotalk_core.evaluation.metrics.emotion_accuracy:METRICS",
)


def load_metrics() -> dict[str, Metric]:
    """Every metric by name, in the order of the files.

    Raises:
        ValueError: two files claim one name.
    """
    found: dict[str, Metric] = {}
    for entry in METRIC_FILES:
        module, attribute = entry.split(":")
        for metric in getattr(importlib.import_module(module), attribute):
            if metric.name in found:
                raise ValueError(f"metric={metric.name}: named twice; rename the one in {module}")
            found[metric.name] = metric
    return found


def scenario_metrics(scenario: str) -> list[Metric]:
    """The metrics that make sense in a scenario."""
    return [m for m in load_metrics().values() if scenario in m.scenarios]
