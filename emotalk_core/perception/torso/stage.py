"""Stage: video, regions, alpha and track in; torso.mkv (head removed) and background.png out."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
from jaxtyping import Bool, Float32, UInt8
from threadpoolctl import threadpool_limits

from emotalk_core.errors import InputError
from emotalk_core.media import progress
from emotalk_core.media.atomic import atomic_path
from emotalk_core.media.tables import check_length, describe, read_arrays, read_manifest
from emotalk_core.media.video import VideoReader, VideoWriter, expect_frames
from emotalk_core.perception.landmarks import topology as tp
from emotalk_core.perception.regions.face import ClipFaces, FaceShape
from emotalk_core.perception.regions.plate import Plate, clean_plate
from emotalk_core.perception.torso.behind import behind_head, head_hole
from emotalk_core.perception.torso.ceiling import compositing_ceiling
from emotalk_core.perception.torso.columns import Columns, read_columns, steady_colours
from emotalk_core.perception.torso.settings import TorsoSettings
from emotalk_core.types.regions import LABEL

logger = logging.getLogger(__name__)

CHECKED_FRAMES = 14  # frames whose compositing ceiling goes into the log
BODY_HAIR = 128  # head alpha (0..255) below which hair is not the head's
OVER_SHOULDERS, BESIDE_JAW = 0.12, 0.62  # of the face height: where long hair would hang


@dataclasses.dataclass(frozen=True)
class _Clip:
    """Paths and faces of a clip."""

    video: Path
    regions: Path
    alpha: Path
    faces: ClipFaces

    def frames(self) -> Iterator[tuple[int, np.ndarray, np.ndarray, np.ndarray]]:
        """Index, RGB, labels and alpha of every frame, streamed."""
        streams = (VideoReader(self.video), VideoReader(self.regions), VideoReader(self.alpha))
        for index, (frame, labels, alpha) in enumerate(zip(*streams)):
            yield index, frame, with_body_hair(labels, alpha), alpha


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
        threads: numeric threads.

    Raises:
        ArtifactError: frame counts disagree.
    """
    facts = read_manifest(manifest)
    for path, rule in ((video, "ingest"), (regions, "regions"), (alpha, "regions")):
        expect_frames(path, facts.n_frames, rule)
    landmarks = read_arrays(track, ("landmarks",))["landmarks"]
    check_length("track.npz", len(landmarks), facts.n_frames, "tracking")
    clip = _Clip(video, regions, alpha, ClipFaces(landmarks, (facts.height, facts.width)))
    with threadpool_limits(threads):
        plate, long_hair = _learn(clip, settings)
        kinds, steady = _all_columns(clip, settings)
        del kinds
        _write_torso(clip, torso, plate, steady, long_hair, settings)
    _write_png(background, plate.picture)


def _learn(clip: _Clip, settings: TorsoSettings) -> tuple[Plate, bool]:
    """Clean plate and whether hair hangs below the ears, from frames spread over the clip."""
    count = min(settings.plate_frames, len(clip.faces))
    chosen = np.linspace(0, len(clip.faces) - 1, count).round().astype(int).tolist()
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


def _look(
    frame: UInt8[np.ndarray, "H W 3"],
    labels: UInt8[np.ndarray, "H W"],
    alpha: UInt8[np.ndarray, "H W"],
    face: FaceShape,
    settings: TorsoSettings,
) -> tuple[Bool[np.ndarray, "H W"], Columns]:
    hole = head_hole(alpha, labels, face, settings)
    return hole, read_columns(frame, labels, hole, face)


def _all_columns(
    clip: _Clip, settings: TorsoSettings
) -> tuple[UInt8[np.ndarray, "T W"], Float32[np.ndarray, "T W 3"]]:
    """First pass: what lies under the head in every frame, smoothed in time."""
    kinds, colours = [], []
    for index, frame, labels, alpha in clip.frames():
        columns = _look(frame, labels, alpha, clip.faces[index], settings)[1]
        kinds.append(columns.kind)
        colours.append(columns.colour.astype(np.uint8))
    stacked = np.stack(kinds)
    return stacked, steady_colours(np.stack(colours), stacked, settings.steady_frames)


def _write_torso(
    clip: _Clip,
    torso: Path,
    plate: Plate,
    steady: Float32[np.ndarray, "T W 3"],
    long_hair: bool,
    settings: TorsoSettings,
) -> None:
    """Second pass: fill and write; measure the compositing ceiling on a few frames."""
    steps = progress.Progress("torso", len(clip.faces), logger)
    stride = max(1, len(clip.faces) // CHECKED_FRAMES)
    scores = []
    with VideoWriter(torso) as writer:
        for index, frame, labels, alpha in clip.frames():
            face = clip.faces[index]
            hole, columns = _look(frame, labels, alpha, face, settings)
            layer = behind_head(
                frame, labels, hole, columns, steady[index], plate, face, settings, long_hair
            )
            writer.write(layer)
            if index % stride == 0:
                found = compositing_ceiling(frame, alpha, layer, plate, face)
                scores.append(dataclasses.astuple(found))
            steps.step()
    names = [field.name for field in dataclasses.fields(found)]
    means = dict(zip(names, np.nanmean(scores, axis=0).tolist()))
    logger.info("torso: compositing ceiling %s", describe(means))


def _write_png(path: Path, picture: UInt8[np.ndarray, "H W 3"]) -> None:
    with atomic_path(path) as temporary:
        done = cv2.imwrite(str(temporary), cv2.cvtColor(picture, cv2.COLOR_RGB2BGR))
        if not done:
            raise InputError(f"cannot write {path}; free disk space and type the command again")
