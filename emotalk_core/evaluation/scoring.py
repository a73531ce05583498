"""Frames of one method and scenario in, terms of every metric and metric rows out."""

from __future__ import annotations

import logging
import math
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
from jaxtyping import Float, UInt8

from emotalk_core.emotion.circle import evaluation_points
from emotalk_core.errors import ArtifactError
from emotalk_core.evaluation.driven import DrivenClip
from emotalk_core.evaluation.evaluators import Evaluator
from emotalk_core.evaluation.frames import TrueFrame
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
from emotalk_core.evaluation.readers import FaceReaders
from emotalk_core.media.progress import Progress
from emotalk_core.media.video import FramesHash
from emotalk_core.types.metrics import ALL_CLIPS, MetricRow

logger = logging.getLogger(__name__)
Frames = Iterable[UInt8[np.ndarray, "H W 3"]]
# Frames of one table row range; called once to read and once to measure, so it must start afresh.
FrameSource = Callable[[Sequence[int]], Frames]
HISTORY = 2  # frames a metric may look back (second differences)
SAME_POINT = 0.02  # a target this close to one of the 12 points is that point (table rounding)


@dataclass(frozen=True)
class ScoredClip:
    """Terms of one clip.

    Attributes:
        terms: (metric, evaluator kind) -> [n_frames,K]; nan rows could not be measured.
        n_faces: frames in which a face was found.
    """

    name: str
    terms: Mapping[tuple[str, EvaluatorKind], Float[np.ndarray, "n K"]]
    n_frames: int
    n_faces: int


@dataclass(frozen=True)
class Readings:
    """What the face evaluators saw in the frames of a table, and the hashes of those frames.

    Attributes:
        faces: of every frame, None without a face.
        hashes: clip (and ALL_CLIPS) -> frames_sha256.
    """

    faces: Sequence[FaceReading | None]
    hashes: Mapping[str, str]


@dataclass(frozen=True)
class Subject:
    """What a scorer needs beside the frames that it judges.

    Attributes:
        name: subject column.
        truth: gives the subject's own frame of an index.
        readers: the evaluators.
        expected_lips: clip -> lip opening at every audio frame as the sound lets expect; clips
            without one get no lip_audio_r.
        sounds: clip -> the wav that drove it; clips without one get no sync scores.
        identity_every: the person is recognised in every n-th frame of a clip.
    """

    name: str
    truth: Callable[[int], TrueFrame]
    readers: FaceReaders
    expected_lips: Mapping[str, Float[np.ndarray, " A"]] = field(default_factory=dict)
    sounds: Mapping[str, Path] = field(default_factory=dict)
    identity_every: int = 1


def target_label(valence: float, arousal: float) -> str:
    """Emotion class of the evaluation point at (valence, arousal), "" when it is none of the 12."""
    if math.isnan(valence) or math.isnan(arousal):
        return ""
    nearest = min(
        evaluation_points(), key=lambda p: math.hypot(p.valence - valence, p.arousal - arousal)
    )
    distance = math.hypot(nearest.valence - valence, nearest.arousal - arousal)
    return nearest.label if distance <= SAME_POINT else ""


def clip_rows(table: pd.DataFrame) -> dict[str, list[int]]:
    """Row numbers of every clip, in order of appearance."""
    names = table["clip"].to_numpy()
    return {str(n): np.flatnonzero(names == n).tolist() for n in dict.fromkeys(names)}


def _asked_for_identity(table: pd.DataFrame, every: int) -> list[bool]:
    """Whether each row is an `every`-th frame of its clip."""
    return (table.groupby("clip", sort=False).cumcount() % every == 0).tolist()


def read_faces(frames: Frames, table: pd.DataFrame, subject: Subject, label: str) -> Readings:
    """Read every frame of a table once."""
    hashes = {name: FramesHash() for name in (ALL_CLIPS, *table["clip"].unique())}
    faces = []
    progress = Progress(f"{label}: reading faces", len(table), logger)
    asked = _asked_for_identity(table, subject.identity_every)
    for frame, clip, who in zip(frames, table["clip"], asked, strict=True):
        for name in {ALL_CLIPS, clip}:
            hashes[name].add(frame)
        faces.append(subject.readers.read(frame, with_identity=who))
        progress.step()
    if subject.readers.landmarks is not None:
        found, total = sum(face is not None for face in faces), len(faces)
        missed = 100 * (total - found) / max(total, 1)
        text = "%s: face found in %d of %d frames (%.1f %% missed)"
        logger.info(text, label, found, total, missed)
    return Readings(faces, {name: value.hexdigest() for name, value in hashes.items()})


def sync_distances(
    source: FrameSource, table: pd.DataFrame, subject: Subject, faces: Sequence[FaceReading | None]
) -> list[dict[str, Terms]]:
    """What every sync expert says about each row of a table; {} where none can."""
    found: list[dict[str, Terms]] = [{} for _ in faces]
    nowhere = np.full((478, 3), np.nan)
    for clip, rows in clip_rows(table).items():
        if clip not in subject.sounds:
            continue
        readings = [faces[i] for i in rows]
        driven = DrivenClip(
            partial(source, rows),
            np.stack([nowhere if r is None else r.landmarks for r in readings]),
            subject.sounds[clip],
            table["audio_frame"].to_numpy()[rows].astype(np.int64),
        )
        for kind, expert in subject.readers.sync.items():
            for row, distances in zip(rows, expert.distances(driven), strict=True):
                if np.isfinite(distances).all():
                    found[row][kind] = tuple(distances.tolist())
    return found


def gather_evidence(
    frames: Frames,
    table: pd.DataFrame,
    subject: Subject,
    scenario: str,
    faces: Sequence[FaceReading | None],
    sync: Sequence[Mapping[str, Terms]],
) -> Iterator[FrameEvidence]:
    """Pair every rendered frame with its source frame, its targets and the readings of both."""
    before: tuple[FrameEvidence, ...] = ()
    asked = _asked_for_identity(table, subject.identity_every)
    for number, (frame, row) in enumerate(zip(frames, table.to_dict("records"), strict=True)):
        clip, valence, arousal = str(row["clip"]), float(row["valence"]), float(row["arousal"])
        if before and before[-1].clip != clip:
            before = ()
        true = subject.truth(int(row["source_frame"]))
        evidence = FrameEvidence(
            clip=clip,
            render=frame,
            source=true.source,
            head=true.head,
            head_inner=true.head_inner,
            seam=true.seam,
            mouth_box=true.mouth_box,
            face=faces[number],
            source_face=subject.readers.read(
                true.source, with_emotion=False, with_identity=asked[number]
            ),
            valence=valence,
            arousal=arousal,
            label=target_label(valence, arousal) if scenario == EMOTION else "",
            lip_opening_from_audio=_expected(
                subject.expected_lips.get(clip), int(row["audio_frame"])
            ),
            sync_distances=sync[number],
            lpips=_lpips(subject.readers, frame, true.source),
            before=before,
        )
        yield evidence
        before = (*before, replace(evidence, before=()))[-HISTORY:]


def _lpips(
    readers: FaceReaders, frame: UInt8[np.ndarray, "H W 3"], truth: UInt8[np.ndarray, "H W 3"]
) -> float:
    return float("nan") if readers.lpips is None else readers.lpips.distance(frame, truth)


def _expected(openings: Float[np.ndarray, " A"] | None, audio_frame: int) -> float:
    """Expected opening of an audio frame; nan without sound for it."""
    if openings is None or not 0 <= audio_frame < len(openings):
        return float("nan")
    return float(openings[audio_frame])


def measure(
    evidence: Iterable[FrameEvidence], metrics: Sequence[Metric], total: int, label: str
) -> list[ScoredClip]:
    """Terms of every metric, clip by clip in order of appearance.

    A frame that a metric cannot measure (no face) keeps nan terms: it does not count in n_frames.
    """
    terms: dict[str, dict[tuple[str, EvaluatorKind], list[Terms | None]]] = {}
    faces: dict[str, list[bool]] = {}
    progress = Progress(label, total, logger)
    for frame in evidence:
        of_clip = terms.setdefault(frame.clip, {(m.name, m.evaluator): [] for m in metrics})
        faces.setdefault(frame.clip, []).append(frame.face is not None)
        for metric in metrics:
            of_clip[metric.name, metric.evaluator].append(metric.terms(frame))
        progress.step()
    return [
        ScoredClip(
            name,
            {key: _as_array(values) for key, values in terms[name].items()},
            len(faces[name]),
            sum(faces[name]),
        )
        for name in terms
    ]


def _as_array(terms: Sequence[Terms | None]) -> Float[np.ndarray, "n K"]:
    """Terms as rows, nan where there are none."""
    width = max((len(t) for t in terms if t is not None), default=0)
    nothing = (float("nan"),) * width
    rows = [nothing if t is None or any(map(math.isnan, t)) else t for t in terms]
    return np.array(rows, dtype=np.float64).reshape(len(terms), width)


def measured(terms: Float[np.ndarray, "n K"]) -> Float[np.ndarray, "m K"]:
    """The rows that could be measured."""
    return terms[~np.isnan(terms).any(axis=1)] if terms.shape[1] else terms[:0]


def finite(value: float) -> float:
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
            arrays = [measured(c.terms[metric.name, metric.evaluator]) for c in members]
            arrays = [a for a in arrays if len(a)]
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
                    value=finite(metric.reduce(terms)),
                    low=low,
                    high=high,
                    n_frames=len(terms),
                    evaluator=evaluator.label,
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


# Kinds whose reference networks need weights that few have: no warning where they are absent.
OPTIONAL = ("fan", "lpips", "syncnet")


def metrics_of(scenario: str, readers: FaceReaders) -> list[Metric]:
    """Metrics of a scenario that this run has an evaluator for; the others are named in the log."""
    wanted = scenario_metrics(scenario)
    usable = [m for m in wanted if m.evaluator in readers.evaluators]
    left_out = [m.name for m in wanted if m not in usable and m.evaluator not in OPTIONAL]
    if left_out:
        logger.warning("%s: no evaluator for %s", scenario, ", ".join(left_out))
    return usable
