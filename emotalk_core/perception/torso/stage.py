"""Stage: video, regions, alpha and track in; torso.mkv (head removed) and background.png out."""

from __future__ import annotations

import dataclasses
import itertools
import logging
from collections import deque
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TypeVar

import cv2
import numpy as np
from jaxtyping import Bool, UInt8

from emotalk_core.errors import InputError
from emotalk_core.media import progress
from emotalk_core.media.atomic import atomic_path
from emotalk_core.media.side_by_side import one_thread_each, side_by_side
from emotalk_core.media.tables import check_length, describe, read_arrays, read_manifest
from emotalk_core.media.video import VideoReader, VideoWriter, expect_frames
from emotalk_core.perception.landmarks import topology as tp
from emotalk_core.perception.regions.face import ClipFaces, FaceShape
from emotalk_core.perception.regions.plate import Plate, clean_plate
from emotalk_core.perception.torso.behind import behind_head, head_hole
from emotalk_core.perception.torso.ceiling import Ceiling, compositing_ceiling
from emotalk_core.perception.torso.columns import (
    Columns,
    read_columns,
    steady_colours,
    time_weights,
)
from emotalk_core.perception.torso.settings import TorsoSettings
from emotalk_core.types.regions import LABEL

T = TypeVar("T")
logger = logging.getLogger(__name__)

CHECKED_FRAMES = 14  # frames whose compositing ceiling goes into the log
BODY_HAIR = 128  # head alpha (0..255) below which hair is not the head's
OVER_SHOULDERS, BESIDE_JAW = 0.12, 0.62  # of the face height: where long hair would hang


@dataclasses.dataclass(frozen=True)
class _Look:
    """One frame with what must be replaced and what lies under it."""

    index: int
    frame: UInt8[np.ndarray, "H W 3"]
    labels: UInt8[np.ndarray, "H W"]
    alpha: UInt8[np.ndarray, "H W"]
    hole: Bool[np.ndarray, "H W"]
    columns: Columns


@dataclasses.dataclass(frozen=True)
class _Clip:
    """Paths and faces of a clip."""

    video: Path
    regions: Path
    alpha: Path
    faces: ClipFaces

    def looks(self, settings: TorsoSettings, threads: int) -> Iterator[_Look]:
        """All frames, streamed, so many at a time."""

        def look(
            index: int,
            frame: UInt8[np.ndarray, "H W 3"],
            seen: UInt8[np.ndarray, "H W"],
            alpha: UInt8[np.ndarray, "H W"],
        ) -> _Look:
            labels, face = with_body_hair(seen, alpha), self.faces[index]
            hole = head_hole(alpha, labels, face, settings)
            return _Look(index, frame, labels, alpha, hole, read_columns(frame, labels, hole, face))

        streams = (VideoReader(self.video), VideoReader(self.regions), VideoReader(self.alpha))
        return side_by_side(look, zip(itertools.count(), *streams), threads)


def with_body_hair(
    labels: UInt8[np.ndarray, "H W"], alpha: UInt8[np.ndarray, "H W"]
) -> UInt8[np.ndarray, "H W"]:
    """Labels in which long hair below the ears, which moves with the body, is clothes."""
    hanging = (labels == LABEL["hair"]) & (alpha < BODY_HAIR)
    return np.where(hanging, np.uint8(LABEL["clothes"]), labels)


def separate_torso(
    *,
    manifest: Path,
    video: Path,
    regions: Path,
    alpha: Path,
    track: Path,
    torso: Path,
    background: Path,
    settings: TorsoSettings,
    threads: int = 1,
) -> None:
    """Make the layer behind the head and the clean plate (docs/artifacts.md).

    Args:
        manifest: of the ingest stage.
        video: of the ingest stage.
        regions: of the regions stage.
        alpha: of the regions stage.
        track: of the tracking stage.
        torso: written.
        background: written.
        settings: config block `torso`.
        threads: frames at a time; the files are the same for any number.

    Raises:
        ArtifactError: frame counts disagree.
    """
    facts = read_manifest(manifest)
    for path, rule in ((video, "ingest"), (regions, "regions"), (alpha, "regions")):
        expect_frames(path, facts.n_frames, rule)
    arrays = read_arrays(track, ("landmarks", "valid"))
    check_length("track.npz", len(arrays["landmarks"]), facts.n_frames, "tracking")
    faces = ClipFaces(arrays["landmarks"], (facts.height, facts.width), arrays["valid"])
    clip = _Clip(video, regions, alpha, faces)
    with one_thread_each():
        plate, long_hair = _learn(clip, settings)
        _write_torso(clip, torso, plate, long_hair, settings, threads)
    _write_png(background, plate.picture)


def _learn(clip: _Clip, settings: TorsoSettings) -> tuple[Plate, bool]:
    """Clean plate and whether hair hangs below the ears, from frames spread over the clip."""
    chosen = clip.faces.spread(settings.plate_frames)
    with (
        VideoReader(clip.video) as video,
        VideoReader(clip.regions) as regions,
        VideoReader(clip.alpha) as alpha,
    ):
        frames = np.stack([video[i] for i in chosen])
        heads = np.stack([alpha[i] for i in chosen])
        labels = np.stack([with_body_hair(regions[i], a) for i, a in zip(chosen, heads)])
    person = np.maximum(heads, np.where(labels != LABEL["background"], 255, 0)).astype(np.uint8)
    plate = clean_plate(frames, person, clip.faces[0].unit)
    shares = [_beside_jaw(clip.faces[i], label) for i, label in zip(chosen, labels)]
    long_hair = float(np.mean(shares)) > settings.long_hair_share
    logger.info(
        "torso: %s",
        describe({"plate_seen": float(plate.seen.mean()), "beside_jaw": float(np.mean(shares))}),
    )
    return plate, long_hair


def _beside_jaw(face: FaceShape, labels: UInt8[np.ndarray, "H W"]) -> float:
    """Share of body that is not neck beside the jaw."""
    place = (face.above_ears < 0) & (face.above(face.outline[tp.CHIN]) > OVER_SHOULDERS)
    place &= (face.oval(1.12) < 0.5) & (face.aside < BESIDE_JAW)
    return float((labels[place] == LABEL["clothes"]).mean()) if place.any() else 0.0


def _with_neighbours(looks: Iterable[T], reach: int) -> Iterator[list[T]]:
    """Every frame in the middle of its neighbours; the clip's ends stand for what is beyond."""
    window = 2 * reach + 1
    held: deque[T] = deque(maxlen=window)
    for look in looks:
        held.extend([look] * (1 if held else reach + 1))
        if len(held) == window:
            yield list(held)
    missing = window - len(held)  # the clip is shorter than what one frame looks ahead
    for ahead in range(reach):
        held.append(held[-1])
        if ahead >= missing - 1:
            yield list(held)


def _write_torso(
    clip: _Clip,
    torso: Path,
    plate: Plate,
    long_hair: bool,
    settings: TorsoSettings,
    threads: int,
) -> None:
    """Fill and write; measure the compositing ceiling on a few frames."""
    steps = progress.Progress("torso", len(clip.faces), logger)
    stride = max(1, len(clip.faces) // CHECKED_FRAMES)
    weights = time_weights(settings.steady_frames)

    def fill(around: list[_Look]) -> tuple[UInt8[np.ndarray, "H W 3"], Ceiling | None]:
        look = around[len(around) // 2]
        face = clip.faces[look.index]
        steady = steady_colours([other.columns for other in around], weights)
        layer = behind_head(
            look.frame,
            look.labels,
            look.hole,
            look.columns,
            steady,
            plate,
            face,
            settings,
            long_hair,
        )
        if look.index % stride:
            return layer, None
        return layer, compositing_ceiling(look.frame, look.alpha, layer, plate, face)

    scores = []
    windows = _with_neighbours(clip.looks(settings, threads), len(weights) // 2)
    with VideoWriter(torso) as writer:
        for layer, found in side_by_side(fill, ((around,) for around in windows), threads):
            writer.write(layer)
            if found is not None:
                scores.append(dataclasses.astuple(found))
            steps.step()
    names = [field.name for field in dataclasses.fields(Ceiling)]
    means = dict(zip(names, np.nanmean(scores, axis=0).tolist()))
    logger.info("torso: compositing ceiling %s", describe(means))


def _write_png(path: Path, picture: UInt8[np.ndarray, "H W 3"]) -> None:
    with atomic_path(path) as temporary:
        done = cv2.imwrite(str(temporary), cv2.cvtColor(picture, cv2.COLOR_RGB2BGR))
        if not done:
            raise InputError(f"cannot write {path}; free disk space and type the command again")
