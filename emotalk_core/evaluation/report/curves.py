"""Curves for the page: lip openings of truth, render and sound; losses out of training logs."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Float, UInt8

from emotalk_core.errors import ArtifactError
from emotalk_core.evaluation.face_points import lip_opening
from emotalk_core.evaluation.readers import LandmarkReader
from emotalk_core.evaluation.report.plots import Line, line_chart
from emotalk_core.types.manifest import FPS

# A line of media.progress: "label 120/900 (13 %) 24.1/s, 32 s left, loss=0.03, psnr=29"
PROGRESS = re.compile(r"(\d+)/\d+ \(\d+ %\) [\d.]+/s, \d+ s left((?:, [\w.]+=[-+\w.]+)+)")
SMOOTH = 5  # log lines
NUMBER = re.compile(r", ([\w.]+)=([-+\w.]+)")


def lip_openings(
    frames: Iterable[UInt8[np.ndarray, "H W 3"]], detector: LandmarkReader
) -> Float[np.ndarray, " N"]:
    """Lip opening of every frame in eye distances; nan without a face."""
    found = []
    for frame in frames:
        points = detector.detect(frame)
        found.append(np.nan if points is None else lip_opening(points))
    return np.array(found, dtype=np.float64)


def lip_chart(named: Sequence[tuple[str, Float[np.ndarray, " N"]]], description: str) -> str:
    """Lip openings over seconds."""
    lines = [Line(name, np.arange(len(y)) / FPS, y) for name, y in named]
    return line_chart(lines, "seconds", "lip opening (eye distances)", description)


def matched(
    expected: Float[np.ndarray, " N"], measured: Float[np.ndarray, " N"]
) -> Float[np.ndarray, " N"]:
    """`expected` brought to the mean and spread of `measured`: the ridge knows the shape only."""
    spread = np.nanstd(expected)
    scale = np.nanstd(measured) / spread if spread > 0 else 0.0
    return (expected - np.nanmean(expected)) * scale + np.nanmean(measured)


def sync_chart(lips: Mapping[str, Float[np.ndarray, "T S"]], description: str) -> str:
    """Mean distance of lips and sound over the shift of the sound, one line for each name."""
    lines = []
    for name, distances in lips.items():
        seen = distances[np.isfinite(distances).all(axis=1)]
        if len(seen):
            shifts = (np.arange(seen.shape[1]) - seen.shape[1] // 2) * 1000 / FPS
            lines.append(Line(name, shifts, seen.mean(axis=0)))
    return line_chart(lines, "sound shifted by, ms", "distance of lips and sound", description)


def training_series(log: Path) -> dict[str, tuple[list[float], list[float]]]:
    """Name -> (steps, values) of every number that a training log shows with its progress."""
    series: dict[str, tuple[list[float], list[float]]] = {}
    try:
        text = log.read_text(encoding="utf-8", errors="replace")
    except OSError as error:
        raise ArtifactError(
            f"{log}: not readable ({error}); run the training rule again"
        ) from error
    for step, numbers in PROGRESS.findall(text):
        for name, value in NUMBER.findall(numbers):
            try:
                number = float(value)
            except ValueError:
                continue
            steps, values = series.setdefault(name, ([], []))
            steps.append(float(step))
            values.append(number)
    return series


def smoothed(values: Float[np.ndarray, " N"]) -> Float[np.ndarray, " N"]:
    """Running mean over `SMOOTH` log lines: each shows the loss of one picture only."""
    padded = np.pad(values, SMOOTH // 2, mode="edge")
    return np.lib.stride_tricks.sliding_window_view(padded, SMOOTH).mean(axis=1)


def training_chart(title: str, log: Path) -> str:
    """Losses of one training stage over steps, "" when the log shows none."""
    lines = [
        Line(name, np.array(steps), smoothed(np.array(values)))
        for name, (steps, values) in sorted(training_series(log).items())
        if len(steps) > 1 and "loss" in name
    ]
    return line_chart(lines, "step", "loss", f"training losses of {title}")
