"""Frames of one method and scenario in, metric rows with intervals out."""

from __future__ import annotations

import logging
import math
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from jaxtyping import Float, UInt8

from emotalk_core.emotion.circle import evaluation_points
from emotalk_core.errors import ArtifactError
from emotalk_core.evaluation.frames import SubjectFrames
from emotalk_core.evaluation.intervals import BootstrapSettings, bootstrap_interval
from emotalk_core.evaluation.metrics.base import (
    EMOTION,
    EvaluatorKind,
    FaceReading,
    FrameEvidence,
    Metric,
    Terms,
)
from emotalk_core.evaluation.metrics.registry import scenario_metrics
from emotalk_core.evaluation.readers import Evaluator, FaceReaders
from emotalk_core.media.progress import Progress
from emotalk_core.types.metrics import MetricRow

logger = logging.getLogger(__name__)
ALL_CLIPS = "all"  # the clip column of a row over every frame of a scenario
HISTORY = 2  # frames a metric may look back (second differences)
SAME_POINT = 0.02  # a target this close to one of the 12 points is that point (table rounding)


@dataclass(frozen=True)
class ScoredClip:
    """Terms of one clip.

    Attributes:
        terms: metric -> terms of the frames that could be measured, in time order.
        n_frames: frames of the clip; the difference to len(terms) was not measurable.
        n_faces: frames in which a face was found.
    """

    name: str
    terms: Mapping[str, list[Terms]]
    n_frames: int
    n_faces: int


@dataclass(frozen=True)
class Subject:
    """What a scorer needs beside the frames that it judges.

    Attributes:
        name: subject column.
        frames: the subject's own frames.
        readers: the evaluators.
        expected_lips: clip -> lip opening at every audio frame as the sound lets expect; clips
            without one get no lip_audio_r.
    """

    name: str
    frames: SubjectFrames
    readers: FaceReaders
    expected_lips: Mapping[str, Float[np.ndarray, " A"]]


def target_label(valence: float, arousal: float) -> str:
    """Emotion class of the evaluation point at (valence, arousal), "" when it is none of the 12."""
    if math.isnan(valence) or math.isnan(arousal):
        return ""
    nearest = min(
        evaluation_points(), key=lambda p: math.hypot(p.valence - valence, p.arousal - arousal)
    )
    distance = math.hypot(nearest.valence - valence, nearest.arousal - arousal)
    return nearest.label if distance <= SAME_POINT else ""


def gather_evidence(
    frames: Iterable[UInt8[np.ndarray, "H W 3"]],
    table: pd.DataFrame,
    subject: Subject,
    scenario: str,
) -> Iterator[FrameEvidence]:
    """Pair every rendered frame with its source frame, its targets and the readings of both."""
    cache: dict[int, FaceReading | None] = {}
    before: tuple[FrameEvidence, ...] = ()
    for frame, row in zip(frames, table.to_dict("records"), strict=True):
        index, clip = int(row["source_frame"]), str(row["clip"])
        valence, arousal = float(row["valence"]), float(row["arousal"])
        if before and before[-1].clip != clip:
            before = ()
        true = subject.frames[index]
        if index not in cache:
            cache[index] = subject.readers.read(true.source, with_emotion=False)
        evidence = FrameEvidence(
            clip=clip,
            render=frame,
            source=true.source,
            head=true.head,
            head_inner=true.head_inner,
            mouth_box=true.mouth_box,
            face=subject.readers.read(frame),
            source_face=cache[index],
            valence=valence,
            arousal=arousal,
            label=target_label(valence, arousal) if scenario == EMOTION else "",
            lip_opening_from_audio=_expected(
                subject.expected_lips.get(clip), int(row["audio_frame"])
            ),
            before=before,
        )
        yield evidence
        before = (*before, replace(evidence, before=()))[-HISTORY:]


def _expected(openings: Float[np.ndarray, " A"] | None, audio_frame: int) -> float:
    """Expected opening of an audio frame; nan without sound for it."""
    if openings is None or not 0 <= audio_frame < len(openings):
        return float("nan")
    return float(openings[audio_frame])


def measure(
    evidence: Iterable[FrameEvidence], metrics: Sequence[Metric], total: int, label: str
) -> list[ScoredClip]:
    """Terms of every metric, clip by clip in order of appearance.

    A metric whose value would need a frame that cannot be measured (no face) skips that frame; the
    skipped frames show in the n_frames column and in the log.
    """
    terms: dict[str, dict[str, list[Terms]]] = {}
    counts: dict[str, list[int]] = {}
    progress = Progress(label, total, logger)
    for frame in evidence:
        of_clip = terms.setdefault(frame.clip, {m.name: [] for m in metrics})
        count = counts.setdefault(frame.clip, [0, 0])
        count[0] += 1
        count[1] += frame.face is not None
        for metric in metrics:
            values = metric.terms(frame)
            if values is not None and not any(math.isnan(v) for v in values):
                of_clip[metric.name].append(values)
        progress.step()
    clips = [ScoredClip(name, terms[name], *counts[name]) for name in terms]
    frames, faces = sum(c.n_frames for c in clips), sum(c.n_faces for c in clips)
    missed = 100 * (frames - faces) / max(frames, 1)
    logger.info("%s: face found in %d of %d frames (%.1f %% missed)", label, faces, frames, missed)
    return clips


def _as_array(terms: Sequence[Terms]) -> Float[np.ndarray, "n K"]:
    return np.array(terms, dtype=np.float64).reshape(len(terms), -1)


def _finite(value: float) -> float:
    """Undefined and infinite values (PSNR of equal pictures) are empty fields in the table."""
    return value if math.isfinite(value) else float("nan")


def metric_rows(
    clips: Sequence[ScoredClip],
    metrics: Sequence[Metric],
    row: Callable[..., MetricRow],
    evaluators: Mapping[EvaluatorKind, Evaluator],
    hashes: Mapping[str, str],
    bootstrap: BootstrapSettings,
    seed: int,
) -> list[MetricRow]:
    """One row a metric over all clips, and one a clip where there are several.

    `row` is MetricRow with subject, method and scenario already set; `hashes` maps a clip (and
    ALL_CLIPS) to its frames_sha256; the draws of a metric and clip depend on `seed` and their
    names only.
    """
    groups = {ALL_CLIPS: list(clips)}
    if len(clips) > 1:
        groups.update({c.name: [c] for c in clips})
    rows = []
    for metric in metrics:
        evaluator = evaluators[metric.evaluator]
        for clip, members in groups.items():
            arrays = [_as_array(c.terms[metric.name]) for c in members if c.terms[metric.name]]
            if not arrays:
                continue
            draw = seed + zlib.crc32(f"{metric.name} {clip}".encode())
            low, high = (
                bootstrap_interval(arrays, metric.reduce, bootstrap, draw)
                if metric.better != "none"
                else (float("nan"), float("nan"))
            )
            terms = np.concatenate(arrays)
            rows.append(
                row(
                    clip=clip,
                    metric=metric.name,
                    value=_finite(metric.reduce(terms)),
                    low=low,
                    high=high,
                    n_frames=len(terms),
                    evaluator=evaluator.id,
                    reference=evaluator.reference,
                    frames_sha256=hashes[clip],
                )
            )
    return rows


def check_clips(table: pd.DataFrame) -> None:
    """Clips must be runs of consecutive rows, and none may be called like the row over all."""
    names = table["clip"].tolist()
    runs = [n for i, n in enumerate(names) if i == 0 or names[i - 1] != n]
    if len(runs) != len(set(runs)) or (ALL_CLIPS in runs and len(runs) > 1):
        raise ArtifactError(
            f"render table: clip={runs}: wanted one run of rows a clip and no clip named "
            f"{ALL_CLIPS!r}; delete it so that rule render_scenarios makes it again"
        )


def metrics_of(scenario: str, subject: Subject) -> list[Metric]:
    """Metrics of a scenario that this run has an evaluator for; the others are named in the log."""
    wanted = scenario_metrics(scenario)
    usable = [m for m in wanted if m.evaluator in subject.readers.evaluators]
    left_out = [m.name for m in wanted if m not in usable]
    if left_out:
        logger.warning("%s: no evaluator for %s", scenario, ", ".join(left_out))
    return usable
