"""The evaluators that look at pictures: RGB frames in, what metrics need to know of them out."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Protocol

import numpy as np
from jaxtyping import Float, UInt8

from emotalk_core.errors import WeightsError
from emotalk_core.evaluation.driven import DrivenClip
from emotalk_core.evaluation.evaluators import PACKAGED, Evaluator
from emotalk_core.evaluation.face_points import lid_opening, lip_opening
from emotalk_core.evaluation.metrics.base import EMOTION, SELF, EvaluatorKind, FaceReading
from emotalk_core.evaluation.reference_readers import open_reference_readers
from emotalk_core.evaluation.settings import EvaluationSettings
from emotalk_core.evaluation.sync_judge import SyncJudge
from emotalk_core.media.tables import read_arrays
from emotalk_core.perception.action_units.packaged import (
    ACTION_UNITS,
    MAX_INTENSITY,
    action_units,
    eye_closure,
)
from emotalk_core.perception.emotion.reader import EmotionReader as PackagedEmotion
from emotalk_core.perception.identity import IdentityReader, create_identity
from emotalk_core.perception.landmarks.packaged import FaceMeshLandmarks
from emotalk_core.perception.tracking.single_frame import SingleFrameFitter

logger = logging.getLogger(__name__)
PIXEL_KINDS = ("image", "perceptual", "lpips")  # evaluators of whole pictures
Frame = UInt8[np.ndarray, "H W 3"]
Landmarks = Float[np.ndarray, "478 3"]


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


class PointReader(Protocol):
    """68 points of a face whose FaceMesh landmarks are known."""

    def points(self, frame: Frame, landmarks: Landmarks) -> Float[np.ndarray, "68 2"]:
        """Points, px."""
        ...


class PictureDistance(Protocol):
    """A perceptual distance by a network."""

    def distance(self, render: Frame, truth: Frame) -> float:
        """0 for equal pictures."""
        ...


class SyncExpert(Protocol):
    """Distances of lips and sound by an expert that had no part in training."""

    def distances(self, clip: DrivenClip) -> Float[np.ndarray, "T S"]:
        """Distance of every frame to the sound shifted by -(S-1)/2 .. (S-1)/2 frames.

        A row is nan where the frame cannot be judged (no face, clip too short).
        """
        ...


@dataclass(frozen=True)
class FaceReaders:
    """The evaluators of one run; those that a scenario does not need are None.

    A picture that was read before is not read again: the mean frame is one picture, and the truth's
    render is its own source.
    """

    landmarks: LandmarkReader | None
    action_units: ActionUnitReader | None
    emotion: EmotionReader | None
    evaluators: Mapping[EvaluatorKind, Evaluator]
    identity: IdentityReader | None = None
    lpips: PictureDistance | None = None
    sync: Mapping[EvaluatorKind, SyncExpert] = field(default_factory=dict)
    fan: PointReader | None = None
    _known: dict[tuple[bytes, bool, bool], FaceReading | None] = field(default_factory=dict)

    def read(
        self, frame: Frame, with_emotion: bool = True, with_identity: bool = False
    ) -> FaceReading | None:
        """What the evaluators see in one frame; None where no face is found or looked for."""
        if self.landmarks is None:
            return None
        with_emotion = with_emotion and self.emotion is not None
        with_identity = with_identity and self.identity is not None
        digest = hashlib.blake2b(frame.tobytes(), digest_size=16).digest()
        key = (digest, with_emotion, with_identity)
        if key not in self._known:
            reading = self._read(self.landmarks, frame, with_emotion)
            if reading is not None and self.fan is not None:
                reading = replace(reading, fan=self.fan.points(frame, reading.landmarks))
            if reading is not None and with_identity and self.identity is not None:
                embedding = self.identity.embed(frame, reading.landmarks)
                reading = replace(reading, identity=embedding)
            self._known[key] = reading
        return self._known[key]

    def _read(
        self, landmarks: LandmarkReader, frame: Frame, with_emotion: bool
    ) -> FaceReading | None:
        points = landmarks.detect(frame)
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


def open_identity() -> IdentityReader | None:
    """The identity network; None with a warning where it is not installed."""
    try:
        return create_identity()
    except WeightsError as error:
        logger.warning("%s; the metric `identity` is left out", error)
        return None


def pixel_readers(readers: FaceReaders) -> FaceReaders:
    """The evaluators that compare pictures and look for no face."""
    pictures = {k: e for k, e in readers.evaluators.items() if k in PIXEL_KINDS}
    return FaceReaders(None, None, None, pictures, lpips=readers.lpips)


@contextmanager
def open_readers(
    scenario: str,
    track: Path,
    valence_arousal: Path,
    n_train: int,
    settings: EvaluationSettings | None = None,
) -> Iterator[FaceReaders]:
    """The evaluators that this machine has, opened for one scenario of one subject.

    Landmarks are read frame by frame without memory of the frame before, so that a reading depends
    on its own picture only. Action units and emotion are opened where the scenario has metrics of
    them.
    """
    with ExitStack() as stack:
        landmarks = stack.enter_context(FaceMeshLandmarks(static=True))
        units = PackagedActionUnits.from_track(track, n_train) if scenario == SELF else None
        reference = open_reference_readers(settings or EvaluationSettings())
        emotion: EmotionReader | None = None
        if scenario == EMOTION:
            emotion = reference.emotion or stack.enter_context(
                PackagedEmotion.from_subject(track, valence_arousal)
            )
        identity = reference.identity or open_identity()
        evaluators = {k: e for k, e in PACKAGED.items() if k != "identity" or identity is not None}
        judges: dict[EvaluatorKind, SyncExpert] = {"sync": SyncJudge.from_track(track, n_train)}
        if reference.syncnet is not None:
            judges["syncnet"] = reference.syncnet
        yield FaceReaders(
            landmarks,
            units,
            emotion,
            {**evaluators, **reference.evaluators},
            identity,
            reference.lpips,
            judges,
            reference.fan if scenario == SELF else None,
        )
