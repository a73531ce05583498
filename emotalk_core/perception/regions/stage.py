"""Stage: video and track in; regions.mkv (labels) and alpha.mkv (soft head) out."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from jaxtyping import UInt8

from emotalk_core.media import progress
from emotalk_core.media.side_by_side import one_thread_each, side_by_side
from emotalk_core.media.tables import check_length, describe, read_arrays, read_manifest
from emotalk_core.media.video import VideoReader, VideoWriter, expect_frames
from emotalk_core.perception.parsing.packaged import PartReader
from emotalk_core.perception.parsing.tasks import HEAD as HEAD_TASK
from emotalk_core.perception.parsing.tasks import MOUTH as MOUTH_TASK
from emotalk_core.perception.regions.clip_model import SEEN_CLASSES, ClipModel, build_clip_model
from emotalk_core.perception.regions.colours import look_up
from emotalk_core.perception.regions.face import ClipFaces, FaceShape
from emotalk_core.perception.regions.labels import Parts, head_alpha, label_map
from emotalk_core.perception.regions.matting import person_alpha
from emotalk_core.perception.regions.mouth_colours import learn_mouth_colours, near_lips
from emotalk_core.perception.regions.parsers import Parser, open_parser
from emotalk_core.perception.regions.person import PersonSegmenter, steady_masks
from emotalk_core.perception.regions.settings import RegionSettings
from emotalk_core.perception.teeth.packaged import find_teeth
from emotalk_core.perception.teeth.readers import TeethReader, open_teeth, paint_teeth
from emotalk_core.types.regions import HEAD, region_mask

logger = logging.getLogger(__name__)


class Readers:
    """The packaged networks of this stage."""

    def __init__(self) -> None:
        self.head, self.mouth = PartReader(HEAD_TASK), PartReader(MOUTH_TASK)

    def read(self, frame: UInt8[np.ndarray, "H W 3"], face: FaceShape, model: ClipModel) -> Parts:
        """What both see in a frame; the head's parts are steadied in time."""
        head = self.head.read(frame, face.outline, model.usual_parts, SEEN_CLASSES)
        return Parts(head, self.mouth.read(frame, face.exact))


def segment_regions(
    *,
    manifest: Path,
    video: Path,
    track: Path,
    regions: Path,
    alpha: Path,
    settings: RegionSettings,
    threads: int = 1,
) -> None:
    """Label every pixel of every frame and give the head's soft alpha (docs/artifacts.md).

    Args:
        manifest: of the ingest stage.
        video: of the ingest stage.
        track: of the tracking stage.
        regions: written.
        alpha: written.
        settings: config block `regions`.
        threads: frames at a time; the files are the same for any number.

    Raises:
        ArtifactError: frame counts disagree.
    """
    facts = read_manifest(manifest)
    expect_frames(video, facts.n_frames, "ingest")
    arrays = read_arrays(track, ("landmarks", "valid"))
    check_length("track.npz", len(arrays["landmarks"]), facts.n_frames, "tracking")
    faces = ClipFaces(arrays["landmarks"], (facts.height, facts.width), arrays["valid"])
    parser, teeth = open_parser(settings.parser), open_teeth(settings.teeth)
    torch.set_num_threads(1)  # as in `one_thread_each`
    if parser is not None:
        with one_thread_each():
            _write_parsed(video, regions, alpha, len(faces), parser, teeth, threads)
        return
    with one_thread_each(), PersonSegmenter() as segmenter:
        readers = Readers()
        model = learn_clip(video, faces, segmenter, readers, settings)
        logger.info(
            "regions: %s",
            describe(
                {
                    "mouth_colours": model.mouth is not None,
                    "long_hair": model.long_hair,
                    "beside_jaw": model.long_hair_share,
                    "plate_seen": float(model.plate.seen.mean()),
                }
            ),
        )
        if model.long_hair:
            logger.warning("regions: long hair; below the ears it is kept with the body")
        seen = steady_masks(VideoReader(video), segmenter)
        _write_all(regions, alpha, seen, _Labeller(faces, model, readers, teeth), threads)


def learn_clip(
    video: Path,
    faces: ClipFaces,
    segmenter: PersonSegmenter,
    readers: Readers,
    settings: RegionSettings,
) -> ClipModel:
    """The clip's model from frames spread over it (the only frames that are held together)."""
    chosen = faces.spread(settings.plate_frames)
    with VideoReader(video) as source:
        frames = np.stack([source[i] for i in chosen])
    person = np.stack([segmenter.segment(frame) for frame in frames])
    looks = [faces[i] for i in chosen]
    model = build_clip_model(frames, person, looks, readers.head, settings)
    mouths = [readers.mouth.read(frame, face.exact) for frame, face in zip(frames, looks)]
    seen = [(near_lips(m, f), p[m.box]) for m, f, p in zip(mouths, looks, frames)]
    return replace(model, mouth=learn_mouth_colours(seen))


@dataclass(frozen=True)
class _Labeller:
    """All that labels a frame of a clip but its pictures."""

    faces: ClipFaces
    model: ClipModel
    readers: Readers
    teeth: TeethReader | None

    def label(
        self,
        index: int,
        frame: UInt8[np.ndarray, "H W 3"],
        person: UInt8[np.ndarray, "H W"],
    ) -> tuple[UInt8[np.ndarray, "H W"], UInt8[np.ndarray, "H W"]]:
        """Label map and head alpha (0..255) of the frame of that number."""
        labels, head = segment_frame(frame, person, self.faces[index], self.model, self.readers)
        if self.teeth is not None:
            labels = paint_teeth(labels, self.teeth.teeth(frame))
        return labels, head


def _write_all(
    regions: Path,
    alpha: Path,
    seen: Iterable[tuple[UInt8[np.ndarray, "H W 3"], UInt8[np.ndarray, "H W"]]],
    labeller: _Labeller,
    threads: int,
) -> None:
    """Both files from frames and their person probability."""
    steps = progress.Progress("regions", len(labeller.faces), logger)
    areas = []
    frames = ((index, *pictures) for index, pictures in enumerate(seen))
    with VideoWriter(regions) as label_writer, VideoWriter(alpha) as alpha_writer:
        for labels, head in side_by_side(labeller.label, frames, threads):
            label_writer.write(labels)
            alpha_writer.write(head)
            areas.append(int(region_mask(labels, HEAD).sum()))
            steps.step()
    flicker = float(np.sqrt(np.mean(np.diff(areas, 2) ** 2.0)) / max(np.mean(areas), 1))
    logger.info("regions: head area flicker %.2f %%", 100 * flicker)


def _write_parsed(
    video: Path,
    regions: Path,
    alpha: Path,
    n_frames: int,
    parser: Parser,
    teeth: TeethReader | None,
    threads: int,
) -> None:
    """Both files by a face parsing network instead of the packaged method."""

    def parse(
        frame: UInt8[np.ndarray, "H W 3"],
    ) -> tuple[UInt8[np.ndarray, "H W"], UInt8[np.ndarray, "H W"]]:
        labels, head = parser.parse(frame)
        if teeth is None:
            mouth = (region_mask(labels, (n,)) for n in ("inner_mouth", "lips", "skin"))
            found = find_teeth(frame, *mouth)
        else:
            found = teeth.teeth(frame)
        return paint_teeth(labels, found), np.round(head * 255).astype(np.uint8)

    logger.info("regions: %s, teeth: %s", parser.id, teeth.id if teeth else "by colour")
    steps = progress.Progress("regions", n_frames, logger)
    frames = ((frame,) for frame in VideoReader(video))
    with VideoWriter(regions) as label_writer, VideoWriter(alpha) as alpha_writer:
        for labels, head in side_by_side(parse, frames, threads):
            label_writer.write(labels)
            alpha_writer.write(head)
            steps.step()


def segment_frame(
    frame: UInt8[np.ndarray, "H W 3"],
    person: UInt8[np.ndarray, "H W"],
    face: FaceShape,
    model: ClipModel,
    readers: Readers,
) -> tuple[UInt8[np.ndarray, "H W"], UInt8[np.ndarray, "H W"]]:
    """Label map and head alpha (0..255) of one frame."""
    opacity = person_alpha(frame, person, model.plate, face.unit)
    evidence = look_up(model.evidence, frame)
    head = head_alpha(opacity, face, evidence)
    parts = readers.read(frame, face, model)
    labels = label_map(opacity, head, face, model, frame, evidence, parts)
    return labels, np.round(head * 255).astype(np.uint8)
