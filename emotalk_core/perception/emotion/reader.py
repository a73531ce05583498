"""A frame and its landmarks in; valence, arousal, classes against the subject's rest out."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np
from jaxtyping import Float, UInt8

from emotalk_core.actor.face_model import landmark_basis
from emotalk_core.media.tables import read_arrays, read_table
from emotalk_core.perception.emotion.circumplex import (
    POSTERIOR_COLUMNS,
    class_circumplex,
    eight_classes,
    expression_circumplex,
)
from emotalk_core.perception.emotion.classes import (
    CLASSES,
    CLASSIFIER_ID,
    ExpressionClasses,
    upright_face,
)
from emotalk_core.perception.tracking.single_frame import SingleFrameFitter

READER_ID = f"{CLASSIFIER_ID}+expression-1"
STANDING_FOR = "EmoNet valence, arousal and 8 classes"


@dataclass(frozen=True)
class SubjectRest:
    """What a subject looks like at rest: absolute readings of emotion are useless across people.

    Attributes:
        neutral: landmarks at rest, metres, world (track.npz).
        circumplex: median of the unshifted (valence, arousal) over the subject's clip.
    """

    neutral: Float[np.ndarray, "478 3"]
    circumplex: tuple[float, float] = (0.0, 0.0)


def average_rest() -> SubjectRest:
    """Rest of the average person: for a face that nothing is known about."""
    return SubjectRest(landmark_basis()[0].astype(np.float64))


def subject_rest(track: Path, valence_arousal: Path) -> SubjectRest:
    """Rest of a subject from the artifacts of the tracking and emotion reading stages."""
    arrays = read_arrays(track, ("neutral", "expression", "expression_names"))
    names = tuple(arrays["expression_names"].tolist())
    table = read_table(valence_arousal, [f"p_{name}" for name in POSTERIOR_COLUMNS])
    posterior = np.stack([table[f"p_{name}"].to_numpy() for name in POSTERIOR_COLUMNS], axis=1)
    readings = combined_circumplex(
        seven_classes(posterior), arrays["expression"].astype(np.float64), names
    )
    median = np.median(readings, axis=0)
    return SubjectRest(arrays["neutral"].astype(np.float64), (float(median[0]), float(median[1])))


def seven_classes(posterior: Float[np.ndarray, "*T 8"]) -> Float[np.ndarray, "*T 7"]:
    """The network's own classes back from the eight columns of the table."""
    column = {name: i for i, name in enumerate(POSTERIOR_COLUMNS)}
    result = posterior[..., [column[name] for name in CLASSES]].copy()
    result[..., CLASSES.index("neutral")] += posterior[..., column["contempt"]]
    return result


def combined_circumplex(
    posterior: Float[np.ndarray, "*T 7"],
    expression: Float[np.ndarray, "*T 52"],
    names: tuple[str, ...],
) -> Float[np.ndarray, "*T 2"]:
    """Mean of the two independent readings: classes of the picture, formula of the geometry."""
    return (class_circumplex(posterior) + expression_circumplex(expression, names)) / 2


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
    def from_subject(cls, track: Path, valence_arousal: Path) -> EmotionReader:
        """The reader of a subject whose stages `track_head` and `read_emotion` are done."""
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

        Args:
            frame: RGB.
            landmarks: px with relative depth, as the detector gives them.
            expression: tracked coefficients; fitted to this frame alone where there are none.
        """
        if expression is None:
            expression = self._fitter.fit(landmarks, frame.shape[1], frame.shape[0])
        self._open()
        names = self._fitter.names
        posterior = self._classes.posterior(upright_face(frame, landmarks))
        reading = combined_circumplex(posterior, expression, names)
        valence, arousal = np.clip(reading - self._rest.circumplex, -1, 1)
        return float(valence), float(arousal), eight_classes(posterior, expression, names)
