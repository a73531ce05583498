"""The evaluators that look at faces: one RGB frame in, landmarks, action units and emotion out."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
from jaxtyping import Float, UInt8

from emotalk_core.evaluation.audio_lips import RIDGE_ID, RIDGE_STANDING_FOR
from emotalk_core.evaluation.metrics.base import EvaluatorKind, FaceReading
from emotalk_core.perception.landmarks.packaged import FaceMeshLandmarks

Frame = UInt8[np.ndarray, "H W 3"]
Landmarks = Float[np.ndarray, "478 3"]


@dataclass(frozen=True)
class Evaluator:
    """Who measured.

    Attributes:
        id: goes into the evaluator column.
        standing_for: the paper's network that it replaces, "" where it is the paper's own measure.
    """

    id: str
    standing_for: str = ""

    @property
    def reference(self) -> bool:
        """True only where the measure is the paper's own."""
        return not self.standing_for


MESH = FaceMeshLandmarks
PACKAGED: Mapping[EvaluatorKind, Evaluator] = {
    "image": Evaluator("pixels-lossless-1"),
    "landmarks": Evaluator(MESH.id, MESH.standing_for),
    "lip_audio": Evaluator(f"{MESH.id}+{RIDGE_ID}", RIDGE_STANDING_FOR),
}


class LandmarkReader(Protocol):
    """478 FaceMesh points of a frame in px, None without a face."""

    def detect(self, frame: Frame) -> Landmarks | None:
        """Points or None."""
        ...


class ActionUnitReader(Protocol):
    """17 intensities (0..5) of a face by name."""

    def read(self, frame: Frame, landmarks: Landmarks) -> Mapping[str, float]:
        """Intensities by name."""
        ...


class EmotionReader(Protocol):
    """Valence, arousal and eight class probabilities of a face."""

    def read(
        self, frame: Frame, landmarks: Landmarks
    ) -> tuple[float, float, Float[np.ndarray, " 8"]]:
        """(valence, arousal, posterior)."""
        ...


@dataclass(frozen=True)
class FaceReaders:
    """The evaluators of one run; units and emotion are read only where a scenario needs them."""

    landmarks: LandmarkReader
    action_units: ActionUnitReader | None
    emotion: EmotionReader | None
    evaluators: Mapping[EvaluatorKind, Evaluator]

    def read(self, frame: Frame, with_emotion: bool, with_units: bool) -> FaceReading | None:
        """What the evaluators see in one frame; None where no face is found."""
        points = self.landmarks.detect(frame)
        if points is None:
            return None
        units: Mapping[str, float] = {}
        if with_units and self.action_units is not None:
            units = self.action_units.read(frame, points)
        if not (with_emotion and self.emotion is not None):
            return FaceReading(points, units)
        valence, arousal, posterior = self.emotion.read(frame, points)
        return FaceReading(points, units, float(valence), float(arousal), np.asarray(posterior))


@contextmanager
def open_readers(
    scenario: str, action_units: Path, valence_arousal: Path, track: Path
) -> Iterator[FaceReaders]:
    """The packaged evaluators, opened for one scenario.

    Landmarks are read frame by frame without memory of the frame before, so that a reading depends
    on its own picture only.
    """
    with ExitStack() as stack:
        landmarks = stack.enter_context(FaceMeshLandmarks(static=True))
        yield FaceReaders(landmarks, None, None, PACKAGED)


def known_evaluators(ids: Sequence[str]) -> list[tuple[str, str]]:
    """(id, what it stands in for) of evaluator ids, "" for measures that replace nothing."""
    table = {e.id: e.standing_for for e in PACKAGED.values()}
    return [(i, table.get(i, "")) for i in ids]
