"""A frame and its landmarks in; valence, arousal, classes against the subject's rest out."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np
from jaxtyping import Float, UInt8

from emotalk_core.actor.face_model import landmark_basis
from emotalk_core.media.tables import read_arrays, read_table
from emotalk_core.perception.emotion.circumplex import (
    GAINS,
    class_circumplex,
    corner_asymmetry,
    eight_classes,
    expression_circumplex,
    relative_posterior,
    rest_prior,
)
from emotalk_core.perception.emotion.classes import (
    CLASSES,
    CLASSIFIER_ID,
    ExpressionClasses,
    upright_face,
)
from emotalk_core.perception.tracking.single_frame import SingleFrameFitter

READER_ID = f"{CLASSIFIER_ID}+expression-2"
STANDING_FOR = "EmoNet valence, arousal and 8 classes"
NETWORK_COLUMN = "network_{}"  # columns of valence_arousal.csv with the network's own posterior


@dataclass(frozen=True)
class SubjectRest:
    """What a subject looks like at rest: absolute readings of emotion are useless across people.

    Attributes:
        neutral: landmarks at rest, metres, world (track.npz).
        posterior: the class network's posterior at rest.
        formula: (valence, arousal) of the expression formula at rest.
        asymmetry: of the corners of the mouth at rest.
    """

    neutral: Float[np.ndarray, "478 3"]
    posterior: Float[np.ndarray, " 7"]
    formula: tuple[float, float] = (0.0, 0.0)
    asymmetry: float = 0.0


def average_rest() -> SubjectRest:
    """Rest of the average person: for a face that nothing is known about."""
    return SubjectRest(landmark_basis()[0].astype(np.float64), rest_prior())


def rest_of_readings(
    neutral: Float[np.ndarray, "478 3"],
    posterior: Float[np.ndarray, "T 7"],
    expression: Float[np.ndarray, "T 52"],
    names: tuple[str, ...],
) -> SubjectRest:
    """Rest as the median over frames of a person who is mostly at rest.

    Args:
        neutral: the person's landmarks at rest, metres.
        posterior: of the class network.
        expression: coefficients of the same frames.
        names: of the coefficients.
    """
    middle = np.median(posterior, axis=0)
    valence, arousal = np.median(expression_circumplex(expression, names), axis=0).tolist()
    return SubjectRest(
        neutral.astype(np.float64),
        middle / middle.sum(),
        (valence, arousal),
        float(np.median(corner_asymmetry(expression, names))),
    )


def subject_rest(track: Path, valence_arousal: Path) -> SubjectRest:
    """Rest of a subject from the artifacts of the tracking and emotion reading stages."""
    arrays = read_arrays(track, ("neutral", "expression", "expression_names", "valid"))
    columns = [NETWORK_COLUMN.format(name) for name in CLASSES]
    posterior = read_table(valence_arousal, columns)[columns].to_numpy(dtype=np.float64)
    seen = arrays["valid"].astype(bool)
    return rest_of_readings(
        arrays["neutral"],
        posterior[seen],
        arrays["expression"][seen].astype(np.float64),
        tuple(arrays["expression_names"].tolist()),
    )


def relative_reading(
    posterior: Float[np.ndarray, "*T 7"],
    expression: Float[np.ndarray, "*T 52"],
    names: tuple[str, ...],
    rest: SubjectRest,
) -> tuple[Float[np.ndarray, "*T 2"], Float[np.ndarray, "*T 8"]]:
    """(valence, arousal) in -1..1 and the eight classes, both relative to the person at rest.

    The mean of two independent readings (classes of the picture, formula of the geometry) times
    gains that were set on the digital actor.
    """
    classes = relative_posterior(posterior, rest.posterior)
    by_class = class_circumplex(classes) - class_circumplex(rest_prior())
    by_formula = expression_circumplex(expression, names) - rest.formula
    circumplex = np.clip((by_class + by_formula) / 2 * GAINS, -1, 1)
    asymmetry = corner_asymmetry(expression, names) - rest.asymmetry
    return circumplex, eight_classes(classes, asymmetry)


class EmotionReader:
    """Reads single frames; as a context manager it closes its network, else the process end does.

    Args:
        rest: of the subject; without it the average person's.
    """

    id = READER_ID
    standing_for = STANDING_FOR

    def __init__(self, rest: SubjectRest | None = None) -> None:
        self._rest = average_rest() if rest is None else rest
        self._fitter = SingleFrameFitter.of_person(self._rest.neutral)
        self._classes = ExpressionClasses()
        self._is_open = False

    @classmethod
    def from_neutral_frames(
        cls,
        frames: Iterable[UInt8[np.ndarray, "H W 3"]],
        landmarks: Iterable[Float[np.ndarray, "478 3"]],
        neutral: Float[np.ndarray, "478 3"] | None = None,
    ) -> EmotionReader:
        """The reader of a person of whom a few calm frames are at hand but no pipeline run.

        Args:
            frames: RGB, the person at rest (speaking is fine).
            landmarks: of the frames, as the detector gives them.
            neutral: the person's landmarks at rest, metres; the average person's without it.
        """
        start = average_rest() if neutral is None else replace(average_rest(), neutral=neutral)
        reader = cls(start)
        posteriors, expressions = [], []
        with reader:
            for frame, points in zip(frames, landmarks):
                posteriors.append(reader._classes.posterior(upright_face(frame, points)))
                expressions.append(reader._fitter.fit(points, frame.shape[1], frame.shape[0]))
        names = reader._fitter.names
        return cls(
            rest_of_readings(start.neutral, np.stack(posteriors), np.stack(expressions), names)
        )

    @classmethod
    def from_subject(cls, track: Path, valence_arousal: Path) -> EmotionReader:
        """The reader of a subject whose stages `track_head` and `read_face` are done."""
        return cls(subject_rest(track, valence_arousal))

    def __enter__(self) -> Self:
        self._open()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._classes.__exit__(kind, error, trace)
        self._is_open = False

    def _open(self) -> None:
        if not self._is_open:
            self._classes.__enter__()
            self._is_open = True

    def read(
        self,
        frame: UInt8[np.ndarray, "H W 3"],
        landmarks: Float[np.ndarray, "478 3"],
        expression: Float[np.ndarray, " 52"] | None = None,
    ) -> tuple[float, float, Float[np.ndarray, " 8"]]:
        """Valence and arousal in -1..1 and the posterior of `POSTERIOR_COLUMNS`.

        All are relative to the rest that the reader was made with.

        Args:
            frame: RGB.
            landmarks: px with relative depth, as the detector gives them.
            expression: tracked coefficients; fitted to this frame alone where there are none.
        """
        if expression is None:
            expression = self._fitter.fit(landmarks, frame.shape[1], frame.shape[0])
        self._open()
        posterior = self._classes.posterior(upright_face(frame, landmarks))
        circumplex, classes = relative_reading(
            posterior, expression, self._fitter.names, self._rest
        )
        return float(circumplex[0]), float(circumplex[1]), classes
