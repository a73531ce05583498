"""Tracked subjects as `benchmarks.emotion` takes them, and what its readers see in pictures."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from emotalk_core.emotion.bank import EmotionalFrame
from emotalk_core.emotion.basis import PersonNeutral, person_neutral
from emotalk_core.emotion.geometric import GeometricGenerator
from emotalk_core.emotion.measures import lip_opening
from emotalk_core.errors import WeightsError
from emotalk_core.media.tables import read_arrays, read_manifest
from emotalk_core.media.video import VideoReader
from emotalk_core.perception.emotion.circumplex import class_circumplex, expression_circumplex
from emotalk_core.perception.emotion.classes import ExpressionClasses, upright_face
from emotalk_core.perception.glasses.reader import GlassesReader, clip_glasses
from emotalk_core.perception.identity.packaged import DlibIdentity
from emotalk_core.perception.landmarks.packaged import FaceMeshLandmarks
from emotalk_core.perception.tracking.single_frame import SingleFrameFitter

RUN = 50  # consecutive frames of the lip correlation and the jitter


@dataclass
class Reading:
    """What the readers see in one image: landmarks, and (valence, arousal) twice."""

    landmarks: np.ndarray
    classes: np.ndarray
    formula: np.ndarray


class Readers:
    """Landmark models, class network and, where it is installed, the identity network."""

    def __init__(self, landmarker: Path | None) -> None:
        self._stack = ExitStack()
        self._classes = self._stack.enter_context(ExpressionClasses())
        self._mesh = self._stack.enter_context(FaceMeshLandmarks(static=True))
        self._task = _open_task(landmarker) if landmarker else None
        self.fitter: SingleFrameFitter | None = None
        try:
            self.identity: DlibIdentity | None = DlibIdentity()
        except WeightsError:
            self.identity = None

    def close(self) -> None:
        """Close the native graphs."""
        self._stack.close()

    def read(self, image: np.ndarray) -> Reading | None:
        """Landmarks, classes and formula of one image; None without a face."""
        found = self._task_reading(image) if self._task is not None else self._own_reading(image)
        if found is None:
            return None
        points, coefficients, names = found
        posterior = self._classes.posterior(upright_face(image, points))
        formula = expression_circumplex(coefficients, names)
        return Reading(points, class_circumplex(posterior), formula)

    def _own_reading(self, image: np.ndarray) -> tuple[np.ndarray, np.ndarray, Any] | None:
        points = self._mesh.detect(image)
        if points is None or self.fitter is None:
            return None
        return points, self.fitter.fit(points, image.shape[1], image.shape[0]), self.fitter.names

    def _task_reading(self, image: np.ndarray) -> tuple[np.ndarray, np.ndarray, Any] | None:
        import mediapipe

        picture = mediapipe.Image(
            image_format=mediapipe.ImageFormat.SRGB, data=np.ascontiguousarray(image)
        )
        found = self._task.detect(picture)
        if not found.face_landmarks:
            return None
        height, width = image.shape[:2]
        scale = np.array([width, height, width])
        points = np.array([[p.x, p.y, p.z] for p in found.face_landmarks[0]]) * scale
        shapes = found.face_blendshapes[0]
        values = np.array([shape.score for shape in shapes])
        return points, values, tuple(shape.category_name for shape in shapes)


def _open_task(path: Path) -> Any:
    from mediapipe.tasks import python
    from mediapipe.tasks.python import vision

    options = vision.FaceLandmarkerOptions(
        base_options=python.BaseOptions(model_asset_path=str(path)),
        output_face_blendshapes=True,
        num_faces=1,
    )
    return vision.FaceLandmarker.create_from_options(options)


@dataclass
class Subject:
    """A tracked clip."""

    folder: Path
    name: str
    size: int
    frames: VideoReader
    landmarks: np.ndarray
    valid: np.ndarray
    person: PersonNeutral
    fitter: SingleFrameFitter
    glasses: GlassesReader

    def shown(self, index: int, generator: GeometricGenerator) -> EmotionalFrame:
        """One frame, ready to be edited as the bank's are."""
        frame, points = self.frames[index], self.landmarks[index]
        return EmotionalFrame(generator, frame, points, self.glasses.cover(frame, points))

    def spread(self, count: int) -> list[int]:
        """Tracked frames spread over the clip."""
        seen = np.flatnonzero(self.valid)
        return [int(i) for i in seen[np.linspace(0, len(seen) - 1, count).astype(int)]]

    def run(self, count: int = RUN) -> range:
        """Consecutive frames in the middle of the clip."""
        start = max(0, (len(self.landmarks) - count) // 2)
        return range(start, min(start + count, len(self.landmarks)))


def open_subject(folder: Path) -> Subject:
    """Read the small artifacts and open the video of a results folder."""
    facts = read_manifest(folder / "manifest.json")
    arrays = read_arrays(folder / "track.npz", ("landmarks", "neutral", "valid"))
    valid = arrays["valid"].astype(bool)
    return Subject(
        folder,
        facts.subject,
        facts.width,
        VideoReader(folder / "video.mkv"),
        arrays["landmarks"].astype(np.float64),
        valid,
        person_neutral(arrays["neutral"], arrays["landmarks"], valid),
        SingleFrameFitter.of_person(arrays["neutral"]),
        clip_glasses(folder / "video.mkv", arrays["landmarks"], valid),
    )


@dataclass
class Tally:
    """Collected readings of pictures at the points, each minus that of its calm picture."""

    targets: list[np.ndarray] = field(default_factory=list)
    classes: list[np.ndarray] = field(default_factory=list)
    formula: list[np.ndarray] = field(default_factory=list)
    opening: list[float] = field(default_factory=list)
    identity: list[float] = field(default_factory=list)
    jacobian: list[float] = field(default_factory=list)
    milliseconds: list[float] = field(default_factory=list)
    wanted: int = 0

    def add(self, target: np.ndarray, before: Reading, after: Reading | None) -> None:
        """One picture; a lost face only counts as wanted."""
        self.wanted += 1
        if after is None:
            return
        self.targets.append(target)
        self.classes.append(after.classes - before.classes)
        self.formula.append(after.formula - before.formula)
        self.opening.append(lip_opening(after.landmarks) - lip_opening(before.landmarks))

    def responses(self) -> dict[str, float]:
        """Correlation, slope, right signs and RMSE of the three readings."""
        wanted, classes = np.array(self.targets), np.array(self.classes)
        formula = np.array(self.formula)
        named = {"classes": classes, "formula": formula, "mean": (classes + formula) / 2}
        return {
            f"{name}_{key}": value
            for name, read in named.items()
            for key, value in response(read, wanted).items()
        }


def response(read: np.ndarray, wanted: np.ndarray) -> dict[str, float]:
    """How (valence, arousal) readings follow what was asked for."""
    result = {}
    for axis, letter in enumerate("va"):
        got, want = read[:, axis], wanted[:, axis]
        result[f"{letter}_r"] = float(np.corrcoef(got, want)[0, 1])
        result[f"{letter}_slope"] = float(np.polyfit(want, got, 1)[0])
        result[f"{letter}_sign"] = float((np.sign(got) == np.sign(want)).mean())
        result[f"{letter}_rmse"] = float(np.sqrt(((got - want) ** 2).mean()))
    return result


def landmarks_of(readings: list[Reading | None]) -> np.ndarray:
    """Landmarks [T,478,3], px; nan where no face was found."""
    lost = np.full((478, 3), np.nan)
    return np.stack([lost if reading is None else reading.landmarks for reading in readings])
