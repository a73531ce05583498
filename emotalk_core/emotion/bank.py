"""Filmed frames and emotion points in, images with labels, normals and checks out."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Executor, Future
from contextlib import ExitStack
from dataclasses import dataclass, replace
from queue import SimpleQueue

import numpy as np
from jaxtyping import Float, Float32, UInt8

from emotalk_core.emotion.basis import PersonNeutral
from emotalk_core.emotion.generator import EmotionalFaceGenerator, GeneratedFace
from emotalk_core.emotion.measures import eye_distance
from emotalk_core.emotion.poisson import CloneSettings, clone_face
from emotalk_core.emotion.quality import FaceQuality, QualityLimits, check_face
from emotalk_core.emotion.readings import FaceReader, SeenFace
from emotalk_core.emotion.warping import warp_labels, warp_normals
from emotalk_core.perception.glasses.retouch import rim_mask, with_glasses, without_glasses

TILT_SMOOTHING = 0.05  # eye distances; about the spacing of the landmarks that carry the motion


@dataclass(frozen=True)
class SourceFrame:
    """One filmed frame with everything that its edits need.

    Attributes:
        index: frame number in the clip.
        image, labels, normals: as in video.mkv, regions.mkv, normals.mkv.
        landmarks: tracked landmarks, px.
        glasses: [H,W] chance that a pixel shows the frame of glasses; None: none are worn.
    """

    index: int
    image: UInt8[np.ndarray, "H W 3"]
    labels: UInt8[np.ndarray, "H W"]
    normals: UInt8[np.ndarray, "H W 3"]
    landmarks: Float[np.ndarray, "478 2"]
    glasses: Float32[np.ndarray, "H W"] | None = None


class EmotionalFrame:
    """A filmed frame that a generator edits at any number of points; glasses stay where they are.

    Args:
        generator: emotional face generator.
        frame: RGB.
        landmarks: px.
        glasses: as of `SourceFrame`.
        clone: rectangles for Poisson cloning, None for the generator's whole image.
    """

    def __init__(
        self,
        generator: EmotionalFaceGenerator,
        frame: UInt8[np.ndarray, "H W 3"],
        landmarks: Float[np.ndarray, "478 2"],
        glasses: Float32[np.ndarray, "H W"] | None = None,
        clone: CloneSettings | None = None,
    ) -> None:
        self._generator, self._landmarks, self._clone = generator, landmarks, clone
        self._frame, self._bare, self._rims = frame, frame, None
        if glasses is not None:
            self._rims = rim_mask(glasses, landmarks)
            self._bare = without_glasses(frame, self._rims)

    def at(self, valence: float, arousal: float, person: PersonNeutral) -> GeneratedFace:
        """The edit at a point; see `EmotionalFaceGenerator.generate`."""
        face = self._generator.generate(self._bare, self._landmarks, valence, arousal, person)
        if self._clone is not None:
            face = clone_face(self._bare, self._landmarks, face, self._clone)
        if self._rims is None:
            return face
        image = with_glasses(face.image, self._frame, self._rims, self._landmarks)
        return replace(face, image=image)


@dataclass(frozen=True)
class BankImage:
    """One row of the bank."""

    source_frame: int
    valence: float
    arousal: float
    image: UInt8[np.ndarray, "H W 3"]
    labels: UInt8[np.ndarray, "H W"]
    normals: UInt8[np.ndarray, "H W 3"]
    landmarks: Float[np.ndarray, "478 2"]
    quality: FaceQuality


class BankMaker:
    """Edits frames and checks the edits; a context manager, since it holds native readers.

    Every image depends on its frame and its point alone, so the result does not depend on how the
    work is spread over threads.

    Args:
        generator: emotional face generator.
        person: the person's neutral face.
        clone: rectangles for Poisson cloning, None for the generator's whole image.
        limits: when an image is rejected.
        with_identity: whether identity is measured (slow).
        executor: runs the edits of a frame, at most `threads` at a time; None runs them in line.
        threads: number of face readers.
    """

    def __init__(
        self,
        generator: EmotionalFaceGenerator,
        person: PersonNeutral,
        clone: CloneSettings | None,
        limits: QualityLimits,
        with_identity: bool = False,
        executor: Executor | None = None,
        threads: int = 1,
    ) -> None:
        self._generator, self._person = generator, person
        self._clone, self._limits, self._with_identity = clone, limits, with_identity
        self._executor, self._threads = executor, threads
        self._stack = ExitStack()
        self._readers: SimpleQueue[FaceReader] = SimpleQueue()
        self._warm = False

    def __enter__(self) -> BankMaker:
        for _ in range(self._threads):
            self._readers.put(self._stack.enter_context(FaceReader(self._with_identity)))
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def edits(self, source: SourceFrame, points: Float[np.ndarray, "K 2"]) -> Iterator[BankImage]:
        """The frame at every point, in the order of the points."""
        before = self._read(source.image)
        shown = EmotionalFrame(
            self._generator, source.image, source.landmarks, source.glasses, self._clone
        )
        if not self._warm:
            # each reader's first face touches the process' error stream: never two at a time
            for _ in range(self._threads):
                self._read(source.image)
            self._warm = True
        if self._executor is None:
            yield from (self._edit(source, shown, before, v, a) for v, a in points.tolist())
            return
        jobs: list[Future[BankImage]] = [
            self._executor.submit(self._edit, source, shown, before, v, a)
            for v, a in points.tolist()
        ]
        for job in jobs:
            yield job.result()

    def _read(self, image: UInt8[np.ndarray, "H W 3"]) -> SeenFace | None:
        reader = self._readers.get()
        try:
            return reader.read(image)
        finally:
            self._readers.put(reader)

    def _edit(
        self,
        source: SourceFrame,
        shown: EmotionalFrame,
        before: SeenFace | None,
        valence: float,
        arousal: float,
    ) -> BankImage:
        face = shown.at(valence, arousal, self._person)
        return BankImage(
            source_frame=source.index,
            valence=valence,
            arousal=arousal,
            image=face.image,
            labels=warp_labels(source.labels, face.flow),
            normals=warp_normals(
                source.normals,
                face.flow,
                face.depth,
                TILT_SMOOTHING * eye_distance(source.landmarks),
            ),
            landmarks=face.landmarks,
            quality=check_face(face, before, self._read(face.image), self._limits),
        )
