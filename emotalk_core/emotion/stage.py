"""Stage: a subject's frames, track, labels and normals in, its emotional training images out."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
from jaxtyping import Float, Float32, Int

from emotalk_core.emotion.bank import BankImage, BankMaker, SourceFrame
from emotalk_core.emotion.basis import person_neutral
from emotalk_core.emotion.circle import packaged_circle
from emotalk_core.emotion.poisson import CloneSettings
from emotalk_core.emotion.quality import QualityLimits
from emotalk_core.emotion.registry import GENERATORS, TRAINED, create_generator
from emotalk_core.emotion.sampling import choose_frames, sample_points
from emotalk_core.errors import ArtifactError, ConfigError, explain
from emotalk_core.media.progress import Progress
from emotalk_core.media.tables import (
    check_length,
    read_arrays,
    read_manifest,
    write_arrays,
    write_table,
)
from emotalk_core.media.video import VideoReader, VideoWriter, expect_frames
from emotalk_core.perception.glasses.reader import GlassesReader, clip_glasses

logger = logging.getLogger(__name__)

INDEX_COLUMNS = (
    "image",
    "source_frame",
    "valence",
    "arousal",
    "label",
    "accepted",
    "reason",
    "lip_opening_change",
    "lip_width_change",
    "smallest_jacobian",
    "valence_read",
    "arousal_read",
    "identity_distance",
)
TRACK_ARRAYS = (
    "landmarks",
    "neutral",
    "expression",
    "expression_names",
    "lip_opening",
    "eye_opening",
    "reprojection_error",
    "valid",
)


@dataclass(frozen=True)
class BankSettings:
    """The block `emotion_bank` of the config.

    Attributes:
        n_points: K valence-arousal points (smoke 6, small 24, paper 60).
        n_frames: M frames (smoke 6, small 40, paper 200).
        radius: of the disc that the points fill (METHOD 4.1).
        holdout_radius: of the balls around the 12 evaluation points that stay empty (METHOD 4.1).
        generator: name in `emotion.registry.GENERATORS`.
        clone: Poisson-clone eye and mouth rectangles onto the frame (paper S4.1). The geometric
            generator changes nothing but the face, so it is off by default; a network needs it.
        clone_eye_margin, clone_mouth_margin: growth of the rectangles, outer eye distances.
        max_lip_opening_change, max_lip_width_change, min_jacobian, max_identity_distance: see
            `quality.QualityLimits`.
        measure_identity: embed every image (dlib; a fifth of a second each).
        max_rejected: share of rejected images above which the stage fails.
    """

    n_points: int = 24
    n_frames: int = 40
    radius: float = 0.85
    holdout_radius: float = 0.08
    generator: str = "geometric"
    clone: bool = False
    clone_eye_margin: float = 0.12
    clone_mouth_margin: float = 0.25
    max_lip_opening_change: float = 0.05
    max_lip_width_change: float = 0.2
    min_jacobian: float = 0.1
    max_identity_distance: float = 0.6
    measure_identity: bool = False
    max_rejected: float = 0.3

    def __post_init__(self) -> None:
        checks = (
            ("n_points", self.n_points >= 1, "at least 1"),
            ("n_frames", self.n_frames >= 1, "at least 1"),
            ("radius", 0 < self.radius <= 1, "in (0, 1]"),
            ("holdout_radius", 0 <= self.holdout_radius < self.radius, "in [0, radius)"),
            ("generator", self.generator in GENERATORS.entries, f"one of {GENERATORS.names()}"),
            ("max_rejected", 0 <= self.max_rejected <= 1, "in [0, 1]"),
        )
        wrong = [
            explain(f"emotion_bank.{name}", getattr(self, name), f"wanted {wanted}", "correct it")
            for name, fine, wanted in checks
            if not fine
        ]
        if wrong:
            raise ConfigError("\n".join(wrong))


def make_bank(
    *,
    manifest: Path,
    video: Path,
    track: Path,
    regions: Path,
    normals: Path,
    bank_frames: Path,
    bank_regions: Path,
    bank_normals: Path,
    bank_landmarks: Path,
    bank_index: Path,
    settings: BankSettings,
    seed: int,
    threads: int,
    checkpoint: Path | None = None,
) -> None:
    """Write M frames at K points each with labels, normals, landmarks, quality (docs/artifacts.md).

    The paper draws images on the fly during training (S10); a finite seeded bank is this pipeline's
    deviation (METHOD 4.1). Rejected images stay in the files with accepted=False. A generator that
    is trained for each subject reads its `checkpoint`.

    Raises:
        ArtifactError: inputs disagree with the manifest, or too many images were rejected (then no
            file is written).
        InputError: the training part has no usable frame.
    """
    facts = read_manifest(manifest)
    arrays = read_arrays(track, TRACK_ARRAYS)
    check_length(str(track), len(arrays["landmarks"]), facts.n_frames, "track_head")
    for path, rule in (
        (video, "ingest"),
        (regions, "segment_regions"),
        (normals, "estimate_normals"),
    ):
        expect_frames(path, facts.n_frames, rule)

    cv2.setNumThreads(1)  # images run side by side; threads inside one image would only fight
    circle = packaged_circle()
    generator = create_generator(settings.generator, checkpoint)
    if generator.standing_for:
        logger.warning("generator %s stands in for %s", generator.id, generator.standing_for)
    if settings.generator in TRAINED and not settings.clone:
        logger.warning(
            "generator %s repaints the whole face and emotion_bank.clone is off: the paper clones "
            "only the eye and mouth rectangles (presets/glef.yaml)",
            generator.id,
        )
    valid = arrays["valid"][: facts.n_train].astype(bool)
    person = person_neutral(arrays["neutral"], arrays["landmarks"][: facts.n_train], valid)
    points = sample_points(
        settings.n_points, settings.radius, circle.evaluation_points, settings.holdout_radius, seed
    )
    frames = choose_frames(arrays, facts.n_train, settings.n_frames, person)
    if len(frames) < settings.n_frames:
        logger.warning(
            "emotion_bank.n_frames=%d: the training part has only %d usable frames; using those",
            settings.n_frames,
            len(frames),
        )
    glasses = clip_glasses(video, arrays["landmarks"][: facts.n_train], valid)
    sources = _read_sources(video, regions, normals, arrays["landmarks"], frames, glasses)
    with ExitStack() as stack:
        executor = stack.enter_context(ThreadPoolExecutor(threads)) if threads > 1 else None
        maker = stack.enter_context(
            BankMaker(
                generator,
                person,
                _clone_settings(settings),
                _limits(settings),
                settings.measure_identity,
                executor,
                threads,
            )
        )
        writers = [
            stack.enter_context(VideoWriter(path))
            for path in (bank_frames, bank_regions, bank_normals)
        ]
        progress = Progress("bank images", len(frames) * len(points), logger)
        rows: list[tuple[object, ...]] = []
        arrived: list[Float32[np.ndarray, "478 2"]] = []
        for source in sources:
            for made in maker.edits(source, points):
                for writer, picture in zip(writers, (made.image, made.labels, made.normals)):
                    writer.write(picture)
                rows.append(_row(len(rows), made))
                arrived.append(made.landmarks.astype(np.float32))
                progress.step()
        index = pd.DataFrame(rows, columns=list(INDEX_COLUMNS))
        _judge(index, settings.max_rejected)
    for path in (bank_frames, bank_regions, bank_normals):
        expect_frames(path, len(index), "make_emotion_bank")
    write_arrays(bank_landmarks, landmarks=np.stack(arrived))
    write_table(bank_index, index)


def _clone_settings(settings: BankSettings) -> CloneSettings | None:
    if not settings.clone:
        return None
    return CloneSettings(settings.clone_eye_margin, settings.clone_mouth_margin)


def _limits(settings: BankSettings) -> QualityLimits:
    return QualityLimits(
        settings.max_lip_opening_change,
        settings.max_lip_width_change,
        settings.min_jacobian,
        settings.max_identity_distance,
    )


def _read_sources(
    video: Path,
    regions: Path,
    normals: Path,
    landmarks: Float[np.ndarray, "T 478 2"],
    frames: Int[np.ndarray, " M"],
    glasses: GlassesReader,
) -> Iterator[SourceFrame]:
    """One chosen frame after the other; only one is in memory."""
    with (
        VideoReader(video) as pictures,
        VideoReader(regions) as labels,
        VideoReader(normals) as tilts,
    ):
        for index in frames.tolist():
            image, points = pictures[index], landmarks[index].astype(np.float64)
            yield SourceFrame(
                index=index,
                image=image,
                labels=labels[index],
                normals=tilts[index],
                landmarks=points,
                glasses=glasses.cover(image, points),
            )


def _row(number: int, made: BankImage) -> tuple[object, ...]:
    """One line of index.csv."""
    quality = made.quality
    return (
        number,
        made.source_frame,
        made.valence,
        made.arousal,
        packaged_circle().label(made.valence, made.arousal),
        quality.accepted,
        quality.reason,
        quality.lip_opening_change,
        quality.lip_width_change,
        quality.smallest_jacobian,
        quality.valence_read,
        quality.arousal_read,
        quality.identity_distance,
    )


def _judge(index: pd.DataFrame, max_rejected: float) -> None:
    """Log what was rejected and why; ArtifactError when it is too much."""
    reasons = Counter(index.loc[~index["accepted"], "reason"])
    rejected = sum(reasons.values())
    opening = index["lip_opening_change"].abs()
    logger.info(
        "%d of %d images rejected %s; lip opening changed by %.4f on average, %.4f at most "
        "(outer eye distances)",
        rejected,
        len(index),
        dict(reasons),
        opening.mean(),
        opening.max(),
    )
    if rejected > max_rejected * len(index):
        raise ArtifactError(
            explain(
                "emotion bank",
                f"{rejected} of {len(index)} images rejected {dict(reasons)}",
                f"wanted at most {max_rejected:.0%}",
                "look at quality.png (is the face large and sharp?) or raise max_rejected",
            )
        )
