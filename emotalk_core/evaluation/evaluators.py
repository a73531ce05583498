"""Who measured: ids, the paper's networks they stand in for, and the sha256 of their weights."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from emotalk_core.actor.face_model import model_files as expression_files
from emotalk_core.evaluation.audio_lips import RIDGE_ID, RIDGE_STANDING_FOR
from emotalk_core.evaluation.metrics import pyramid_distance
from emotalk_core.evaluation.metrics.base import EvaluatorKind
from emotalk_core.evaluation.sync_judge import JUDGE_ID
from emotalk_core.media.atomic import sha256_file
from emotalk_core.perception.action_units.packaged import READER_ID as UNITS_ID
from emotalk_core.perception.action_units.packaged import STANDING_FOR as UNITS_STANDING_FOR
from emotalk_core.perception.emotion.classes import weights_path as class_file
from emotalk_core.perception.emotion.reader import EmotionReader
from emotalk_core.perception.identity import packaged as identity
from emotalk_core.perception.landmarks.packaged import FaceMeshLandmarks, model_files
from emotalk_core.speech.features.embedding import SpeechEmbedding
from emotalk_core.speech.sync.experts import STANDING_FOR as SYNC_STANDING_FOR
from emotalk_core.speech.sync.experts import general_file
from emotalk_core.speech.sync.sounds import EMBEDDING

SEPARATOR = "@"  # between id and sha256 in the evaluator column
MISSING_MARK = (
    "-without-"  # in the id of a packaged evaluator: the chosen network's file is missing
)
SHORT_DIGITS = 12  # of the sha256 where people read it


@lru_cache(maxsize=32)
def digest_of(files: tuple[Path, ...]) -> str:
    """Sha256 of a file; of several files that of their digests (hex, in order, no separator)."""
    digests = [sha256_file(path) for path in files]
    if len(digests) == 1:
        return digests[0]
    return hashlib.sha256("".join(digests).encode()).hexdigest()


@dataclass(frozen=True)
class Evaluator:
    """Who measured.

    Attributes:
        id: name and version of the measuring method.
        standing_for: the paper's network that it replaces, "" where it is the paper's own measure.
        files: the weight files that it reads; none for a formula.
    """

    id: str
    standing_for: str = ""
    files: Callable[[], Sequence[Path]] = tuple

    @property
    def reference(self) -> bool:
        """True only where the measure is the paper's own."""
        return not self.standing_for

    @property
    def label(self) -> str:
        """What the evaluator column says: the id and "@sha256" of its weights, if it has any."""
        files = tuple(self.files())
        return f"{self.id}{SEPARATOR}{digest_of(files)}" if files else self.id


def _face_and_expression() -> list[Path]:
    return [*model_files(), *expression_files()]


def _sync() -> list[Path]:
    return [*model_files(), *SpeechEmbedding.files(), general_file(EMBEDDING)]


def _emotion() -> list[Path]:
    return [*_face_and_expression(), class_file()]


PACKAGED: Mapping[EvaluatorKind, Evaluator] = {
    "image": Evaluator("pixels-lossless-1"),
    "perceptual": Evaluator(pyramid_distance.EVALUATOR_ID, pyramid_distance.STANDING_FOR),
    "landmarks": Evaluator(FaceMeshLandmarks.id, FaceMeshLandmarks.standing_for, model_files),
    "lip_audio": Evaluator(f"{FaceMeshLandmarks.id}+{RIDGE_ID}", RIDGE_STANDING_FOR, model_files),
    "sync": Evaluator(f"{FaceMeshLandmarks.id}+{JUDGE_ID}", SYNC_STANDING_FOR, _sync),
    "action_units": Evaluator(
        f"{FaceMeshLandmarks.id}+{UNITS_ID}", UNITS_STANDING_FOR, _face_and_expression
    ),
    "identity": Evaluator(identity.READER_ID, identity.STANDING_FOR, identity.DlibIdentity.files),
    "emotion": Evaluator(EmotionReader.id, EmotionReader.standing_for, _emotion),
}


def short_label(label: str) -> str:
    """An evaluator column's text for people: the first twelve digits of the sha256."""
    name, mark, digest = label.partition(SEPARATOR)
    return f"{name}{mark}{digest[:SHORT_DIGITS]}"


def known_evaluators(labels: Iterable[str]) -> list[tuple[str, str]]:
    """(short label, what it stands in for) of evaluator labels, "" for what replaces nothing."""
    table = {e.id: e.standing_for for e in PACKAGED.values()}
    names = [(text, text.partition(SEPARATOR)[0].partition(MISSING_MARK)[0]) for text in labels]
    return [(short_label(text), table.get(name, "")) for text, name in names]
