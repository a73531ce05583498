"""Renders in, scores with evaluator ids and intervals out; a subject's scores into metrics.csv."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
from jaxtyping import Float, UInt8

from emotalk_core.errors import ArtifactError, ConfigError, explain
from emotalk_core.evaluation import baselines
from emotalk_core.evaluation.audio_lips import LipRidge, fit_lip_ridge, frame_features
from emotalk_core.evaluation.collection import collect_tables
from emotalk_core.evaluation.compressed import compressed_pair
from emotalk_core.evaluation.frame_terms import FrameTerms, of_scores, write_terms
from emotalk_core.evaluation.frames import SubjectFrames, check_render, read_render_table
from emotalk_core.evaluation.metrics.base import CROSS, EMOTION, SELF
from emotalk_core.evaluation.readers import open_readers, pixel_readers
from emotalk_core.evaluation.scoring import (
    FrameSource,
    Subject,
    check_clips,
    gather_evidence,
    measure,
    metric_rows,
    metrics_of,
    read_faces,
    sync_distances,
)
from emotalk_core.evaluation.settings import EvaluationSettings
from emotalk_core.media.audio import read_audio
from emotalk_core.media.tables import check_length, read_table, write_rows, write_table
from emotalk_core.media.video import VideoReader
from emotalk_core.types.manifest import FPS, SAMPLE_RATE
from emotalk_core.types.metrics import H264_SCENARIO, SCENARIOS, MetricRow
from emotalk_core.types.renders import TEST_CLIP

logger = logging.getLogger(__name__)


def _subject_ridge(frames: SubjectFrames, audio: Path) -> tuple[LipRidge, np.ndarray]:
    """The subject's ridge, fitted on valid training frames, and the features of the whole clip."""
    features = frame_features(read_audio(audio), frames.manifest.n_frames)
    train = np.flatnonzero(frames.valid[: frames.manifest.n_train])
    return fit_lip_ridge(features[train], frames.lip_opening[train]), features


def expected_lips(
    frames: SubjectFrames, audio: Path, sounds: Mapping[str, Path]
) -> dict[str, Float[np.ndarray, " A"]]:
    """Lip opening that the sound of every clip lets expect, per 25 fps audio frame.

    `audio` is the subject's own sound, on whose training part the ridge is fitted; `sounds` maps a
    clip to the wav that drove it.
    """
    ridge, own = _subject_ridge(frames, audio)
    expected = {}
    for clip, wav in sounds.items():
        if wav == audio:
            features = own
        else:
            samples = read_audio(wav)
            features = frame_features(samples, len(samples) * FPS // SAMPLE_RATE + 1)
        expected[clip] = ridge.predict(features)
    return expected


@dataclass(frozen=True)
class Scores:
    """Rows and per-frame terms of one method in one scenario."""

    rows: list[MetricRow]
    terms: FrameTerms


def score_frames(
    source: FrameSource,
    table: pd.DataFrame,
    subject: Subject,
    scenario: str,
    method: str,
    settings: EvaluationSettings,
    seed: int,
) -> Scores:
    """Measure the frames of a table with every metric of the scenario."""
    check_clips(table)
    label = f"score {method} {scenario}"
    metrics = metrics_of(scenario, subject.readers)
    every = list(range(len(table)))
    readings = read_faces(source(every), table, subject, label)
    sync = sync_distances(source, table, subject, readings.faces)
    evidence = gather_evidence(source(every), table, subject, scenario, readings.faces, sync)
    clips = measure(evidence, metrics, len(table), label)
    row = partial(MetricRow, subject=subject.name, method=method, scenario=scenario)
    evaluators = subject.readers.evaluators
    rows = metric_rows(clips, metrics, row, evaluators, readings.hashes, settings.bootstrap, seed)
    return Scores(rows, of_scores(table, clips))


def _check_scenario(scenario: str) -> None:
    if scenario not in SCENARIOS:
        raise ConfigError(explain("scenario", scenario, f"wanted one of {SCENARIOS}", "correct it"))


def _check_tables(n_frames: int, action_units: Path, valence_arousal: Path) -> None:
    """The subject's tables belong to this clip.

    Of the action units only the length is looked at: AUE reads truth and render by one function, so
    that a table from elsewhere (OpenFace) is never compared with a packaged reading.
    """
    for path, rule in (
        (action_units, "read_face"),
        (valence_arousal, "read_face"),
    ):
        check_length(str(path), len(read_table(path, ("frame",))), n_frames, rule)


def score_method(
    *,
    subject: str,
    method: str,
    manifest: Path,
    video: Path,
    regions: Path,
    track: Path,
    action_units: Path,
    valence_arousal: Path,
    audio: Path,
    renders: Mapping[str, tuple[Path, Path]],
    scores: Path,
    terms: Path,
    settings: EvaluationSettings,
    seed: int,
    threads: int,
    clip_audio: Mapping[str, Path] | None = None,
    emotion_audio: Path | None = None,
) -> None:
    """Score the renders of one method.

    `renders` maps a scenario to its frames and table; `audio` is the subject's audio.wav;
    `clip_audio` maps a clip of cross_audio to the wav that drove it, `emotion_audio` is the wav
    that drove every emotion point (clips without a sound get no scores of lips against sound);
    `scores` is written with METRIC_COLUMNS, `terms` with the terms of every frame.

    Raises:
        ArtifactError: lengths, sizes or columns disagree (file and rule are named).
    """
    cv2.setNumThreads(threads)
    found: dict[tuple[str, str], Scores] = {}
    with SubjectFrames(manifest, video, regions, track) as frames:
        first = frames.manifest.n_train
        _check_tables(frames.manifest.n_frames, action_units, valence_arousal)
        for scenario, (render, render_table) in renders.items():
            _check_scenario(scenario)
            table = read_render_table(render_table, frames.manifest)
            clips = table["clip"].unique().tolist()
            driving = {
                SELF: dict.fromkeys(clips, audio),
                CROSS: clip_audio or {},
                EMOTION: dict.fromkeys(clips, emotion_audio) if emotion_audio else {},
            }[scenario]
            sounds = {c: driving[c] for c in clips if c in driving}
            with (
                VideoReader(render) as reader,
                open_readers(scenario, track, valence_arousal, first, settings) as readers,
            ):
                check_render(render, reader, table, frames.manifest)
                lips = expected_lips(frames, audio, sounds)
                every = settings.identity_every
                person = Subject(subject, frames.__getitem__, readers, lips, sounds, every)
                found[method, scenario] = score_frames(
                    partial(_chosen, reader), table, person, scenario, method, settings, seed
                )
                if scenario == SELF and settings.h264_crf:
                    found[method, H264_SCENARIO] = score_compressed(
                        reader, table, person, frames, method, settings, seed
                    )
    write_rows(scores, [row for score in found.values() for row in score.rows])
    write_terms(terms, {key: score.terms for key, score in found.items()})


def score_compressed(
    frames: Iterable[UInt8[np.ndarray, "H W 3"]],
    table: pd.DataFrame,
    subject: Subject,
    truth: SubjectFrames,
    method: str,
    settings: EvaluationSettings,
    seed: int,
) -> Scores:
    """Pixel metrics of self-reconstruction after H.264, under a scenario name of their own."""
    indices = [int(i) for i in table["source_frame"]]
    with compressed_pair(frames, truth, indices, settings.h264_crf) as (reader, true_frame):
        person = Subject(subject.name, true_frame, pixel_readers(subject.readers))
        source = partial(_chosen, reader)
        return score_frames(source, table, person, H264_SCENARIO, method, settings, seed)


def _chosen(reader: VideoReader, rows: Iterable[int]) -> Iterator[np.ndarray]:
    """The frames of some rows, read one by one."""
    return (reader[i] for i in rows)


def score_baselines(
    *,
    subject: str,
    manifest: Path,
    video: Path,
    regions: Path,
    track: Path,
    action_units: Path,
    valence_arousal: Path,
    audio: Path,
    scores: Path,
    terms: Path,
    settings: EvaluationSettings,
    seed: int,
    threads: int,
) -> None:
    """Score what costs nothing: the truth itself, chance, the mean frame and the nearest pose.

    ground_truth, mean_frame and nearest_pose are scored on the test part as self-reconstruction;
    mean_frame also as an answer to the 12 emotion points (a face that ignores what is asked for);
    chance is computed, not drawn.

    Raises:
        ArtifactError: lengths, sizes or columns disagree (file and rule are named).
    """
    cv2.setNumThreads(threads)
    found: dict[tuple[str, str], Scores] = {}
    with SubjectFrames(manifest, video, regions, track) as frames:
        _check_tables(frames.manifest.n_frames, action_units, valence_arousal)
        table = baselines.test_table(frames.manifest)
        sounds = {TEST_CLIP: audio}
        lips = expected_lips(frames, audio, sounds)
        mean = baselines.mean_frame(frames)
        nearest = baselines.nearest_poses(frames)
        first, every = frames.manifest.n_train, settings.identity_every
        sources: dict[str, FrameSource] = {
            "ground_truth": lambda test: (frames.picture(first + i) for i in test),
            "mean_frame": lambda test: (mean for _ in test),
            "nearest_pose": lambda test: (frames.picture(int(nearest[i])) for i in test),
        }
        with open_readers(SELF, track, valence_arousal, first, settings) as readers:
            person = Subject(subject, frames.__getitem__, readers, lips, sounds, every)
            for method, source in sources.items():
                found[method, SELF] = score_frames(
                    source, table, person, SELF, method, settings, seed
                )
                if settings.h264_crf:
                    pictures = source(range(len(table)))
                    found[method, H264_SCENARIO] = score_compressed(
                        pictures, table, person, frames, method, settings, seed
                    )
        still: FrameSource = lambda points: (mean for _ in points)  # noqa: E731
        with open_readers(EMOTION, track, valence_arousal, first, settings) as readers:
            person = Subject(subject, frames.__getitem__, readers, identity_every=every)
            points = baselines.points_table(frames.manifest)
            found["mean_frame", EMOTION] = score_frames(
                still, points, person, EMOTION, "mean_frame", settings, seed
            )
    chance = baselines.chance_rows(subject)
    write_rows(scores, [*chance, *(row for score in found.values() for row in score.rows)])
    write_terms(terms, {key: score.terms for key, score in found.items()})


def collect_metrics(*, subject: str, scores: list[Path], metrics: Path) -> None:
    """Join the scores of a subject into one checked, sorted table.

    Raises:
        ArtifactError: a table has foreign rows, double rows or a broken value.
    """
    if not scores:
        raise ArtifactError(f"{metrics}: no score tables were given; add a method to the config")
    write_table(metrics, collect_tables(subject, {p: read_table(p) for p in scores}))
