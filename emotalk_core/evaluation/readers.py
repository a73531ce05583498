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
from emotalk_core.evaluation.face_points import lid_opening, lip_opening
from emotalk_core.evaluation.metrics.base import EMOTION, SELF, EvaluatorKind, FaceReading
from emotalk_core.media.tables import read_arrays
from emotalk_core.perception.action_units.packaged import (
    ACTION_UNITS,
    MAX_INTENSITY,
    action_units,
    eye_closure,
)
from emotalk_core.perception.action_units.packaged import READER_ID as UNITS_ID
from emotalk_core.perception.action_units.packaged import STANDING_FOR as UNITS_STANDING_FOR
from emotalk_core.perception.emotion.reader import EmotionReader as PackagedEmotion
from emotalk_core.perception.landmarks.packaged import FaceMeshLandmarks
from emotalk_core.perception.tracking.single_frame import SingleFrameFitter

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


PACKAGED: Mapping[EvaluatorKind, Evaluator] = {
    "image": Evaluator("pixels-lossless-1"),
    "landmarks": Evaluator(FaceMeshLandmarks.id, FaceMeshLandmarks.standing_for),
    "lip_audio": Evaluator(f"{FaceMeshLandmarks.id}+{RIDGE_ID}", RIDGE_STANDING_FOR),
    "action_units": Evaluator(f"{FaceMeshLandmarks.id}+{UNITS_ID}", UNITS_STANDING_FOR),
    "emotion": Evaluator(PackagedEmotion.id, PackagedEmotion.standing_for),
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

    def read(self, frame: Frame, with_emotion: bool = True) -> FaceReading | None:
        """What the evaluators see in one frame; None where no face is found."""
        points = self.landmarks.detect(frame)
        if points is None:
            return None
        units = self.action_units.read(frame, points) if self.action_units is not None else {}
        if not with_emotion or self.emotion is None:
            return FaceReading(points, units)
        valence, arousal, posterior = self.emotion.read(frame, points)
        return FaceReading(points, units, float(valence), float(arousal), np.asarray(posterior))


@dataclass(frozen=True)
class PackagedActionUnits:
    """Action units of single frames of one person, from a fit of the expression model.

    Attributes:
        fitter: knows the person's neutral face.
        eye_opening: [N] of the person's training part; how far open eyes are is the person's own.
    """

    fitter: SingleFrameFitter
    eye_opening: Float[np.ndarray, " N"]

    @classmethod
    def from_track(cls, track: Path, n_train: int) -> PackagedActionUnits:
        """The reader of a tracked subject."""
        arrays = read_arrays(track, ("eye_opening", "valid"))
        own = arrays["eye_opening"][:n_train][arrays["valid"][:n_train].astype(bool)]
        return cls(SingleFrameFitter.from_track(track), own.astype(np.float64))

    def read(self, frame: Frame, landmarks: Landmarks) -> Mapping[str, float]:
        """Intensities 0..5 by name."""
        expression = self.fitter.fit(landmarks, frame.shape[1], frame.shape[0])
        lips = np.array([lip_opening(landmarks)])
        lids = np.array([lid_opening(landmarks)])
        values = action_units(expression[None], self.fitter.names, lips, lids)[0]
        units = dict(zip(ACTION_UNITS, values.tolist()))
        closure = eye_closure(np.concatenate([self.eye_opening, lids]))[-1]
        return {**units, "AU45": MAX_INTENSITY * float(closure)}


@contextmanager
def open_readers(
    scenario: str, track: Path, valence_arousal: Path, n_train: int
) -> Iterator[FaceReaders]:
    """The packaged evaluators, opened for one scenario of one subject.

    Landmarks are read frame by frame without memory of the frame before, so that a reading depends
    on its own picture only. Action units and emotion are opened where the scenario has metrics of
    them.
    """
    with ExitStack() as stack:
        landmarks = stack.enter_context(FaceMeshLandmarks(static=True))
        units = PackagedActionUnits.from_track(track, n_train) if scenario == SELF else None
        emotion = None
        if scenario == EMOTION:
            emotion = stack.enter_context(PackagedEmotion.from_subject(track, valence_arousal))
        yield FaceReaders(landmarks, units, emotion, PACKAGED)


def known_evaluators(ids: Sequence[str]) -> list[tuple[str, str]]:
    """(id, what it stands in for) of evaluator ids, "" for measures that replace nothing."""
    table = {e.id: e.standing_for for e in PACKAGED.values()}
    return [(i, table.get(i, "")) for i in ids]
