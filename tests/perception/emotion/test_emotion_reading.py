from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from emotalk_core.actor.face_model import landmark_basis
from emotalk_core.actor.identity import random_identity
from emotalk_core.actor.performance import ActorSettings, perform, with_emotion
from emotalk_core.actor.truth import render_performance
from emotalk_core.media.tables import write_arrays, write_table
from emotalk_core.perception.emotion.circumplex import (
    CONTEMPT_GAIN,
    POSTERIOR_COLUMNS,
    class_circumplex,
    corner_asymmetry,
    eight_classes,
    expression_circumplex,
    relative_posterior,
    rest_prior,
)
from emotalk_core.perception.emotion.classes import CLASSES, ExpressionClasses, upright_face
from emotalk_core.perception.emotion.reader import (
    NETWORK_COLUMN,
    EmotionReader,
    relative_reading,
    subject_rest,
)
from emotalk_core.perception.landmarks import topology as tp
from emotalk_core.perception.landmarks.packaged import FaceMeshLandmarks
from emotalk_core.perception.tracking.detector_model import DetectorModel
from emotalk_core.perception.tracking.single_frame import SingleFrameFitter

NAMES = landmark_basis()[2]


def coefficients(**values: float) -> np.ndarray:
    result = np.zeros(52)
    for name, value in values.items():
        result[NAMES.index(name)] = value
    return result


def seen_face(expression: np.ndarray, size: int = 256) -> np.ndarray:
    neutral, deltas, _ = landmark_basis()
    points = neutral + np.tensordot(expression, deltas, axes=1) + [0, 0, 0.8]
    pixels = points[:, :2] / points[:, 2:] * 2.4 * size + size / 2
    depth = (points[:, 2:] - 0.8) * 2.4 * size / 0.8
    return np.concatenate([pixels, depth], axis=1)


def test_certain_classes_lie_at_their_centroids() -> None:
    places = class_circumplex(np.eye(7))
    assert places[CLASSES.index("happy")].tolist() == [0.74, 0.31]
    assert places[CLASSES.index("neutral")].tolist() == [0, 0]
    assert np.hypot(*places[:-1].T) == pytest.approx(0.8, abs=0.03)


def test_expression_formula_worked_by_hand() -> None:
    smile = expression_circumplex(coefficients(mouthSmileLeft=1.0, mouthSmileRight=0.5), NAMES)
    assert smile == pytest.approx([0.75, 0.375])
    frown = expression_circumplex(coefficients(browDownLeft=1.0, browDownRight=1.0), NAMES)
    assert frown == pytest.approx([-0.9, 0.6])


def test_contempt_is_taken_from_neutral_and_happy() -> None:
    posterior = np.array([0.1, 0.0, 0.1, 0.2, 0.1, 0.1, 0.4])
    even = eight_classes(posterior, np.array(0.0))
    uneven = eight_classes(posterior, np.array(-0.5 / CONTEMPT_GAIN))
    contempt, neutral = (POSTERIOR_COLUMNS.index(n) for n in ("contempt", "neutral"))
    assert even[contempt] == 0 and uneven[contempt] == pytest.approx(0.3)
    assert uneven.sum() == pytest.approx(1) and uneven[neutral] == pytest.approx(0.2)


def test_corner_asymmetry_is_signed() -> None:
    assert corner_asymmetry(coefficients(mouthDimpleLeft=0.2), NAMES) == pytest.approx(0.2)
    assert corner_asymmetry(coefficients(mouthSmileRight=0.3), NAMES) == pytest.approx(-0.3)


def test_a_face_that_looks_afraid_at_rest_is_neutral_at_rest() -> None:
    rest = np.array([0.1, 0.0, 0.55, 0.02, 0.13, 0.0, 0.2])  # mostly fear
    assert relative_posterior(rest, rest) == pytest.approx(rest_prior())
    smiling = np.array([0.05, 0.0, 0.35, 0.42, 0.05, 0.0, 0.13])
    found = relative_posterior(smiling, rest)
    assert CLASSES[int(found.argmax())] == "happy" and found.sum() == pytest.approx(1)
    assert class_circumplex(found)[0] > 0.4
    many = relative_posterior(np.stack([rest, smiling]), rest)
    assert many[1] == pytest.approx(found)


def test_crop_levels_the_eyes_and_keeps_the_box() -> None:
    points = seen_face(coefficients())
    angle = np.radians(20)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    turned = points.copy()
    turned[:, :2] = (points[:, :2] - 128) @ turn.T + 128
    frame = np.zeros((256, 256, 3), np.uint8)
    for ring in (tp.RIGHT_EYE, tp.LEFT_EYE):
        x, y = turned[list(ring), :2].mean(axis=0)
        frame[int(y) - 4 : int(y) + 4, int(x) - 4 : int(x) + 4] = 255
    crop = upright_face(frame, turned)
    assert crop.shape == (64, 64)
    left, right = np.argwhere(crop[:, :32] > 60)[:, 0], np.argwhere(crop[:, 32:] > 60)[:, 0]
    assert abs(left.mean() - right.mean()) < 1.5


def test_network_is_a_deterministic_posterior_and_sees_rows_as_rows() -> None:
    face = np.tile(np.linspace(0, 255, 64, dtype=np.uint8)[:, None], (1, 64))
    with ExpressionClasses() as classes:
        first, again = classes.posterior(face), classes.posterior(face)
        mirrored, transposed = classes.posterior(face[:, ::-1]), classes.posterior(face.T)
    assert first.shape == (7,) and first.sum() == pytest.approx(1, abs=1e-4)
    assert np.array_equal(first, again)
    assert np.array_equal(first, mirrored)  # the picture does not change from left to right
    assert np.abs(first - transposed).max() > 0.01


def test_single_frames_give_the_expression_of_a_known_person() -> None:
    neutral = landmark_basis()[0].astype(np.float64)
    fitter = SingleFrameFitter(neutral, DetectorModel.of_geometry())
    truth = coefficients(jawOpen=0.4, browInnerUp=0.5)
    found = fitter.fit(seen_face(truth), 256, 256)
    assert np.abs(found - truth)[[NAMES.index("jawOpen"), NAMES.index("browInnerUp")]].max() < 0.15
    assert fitter.fit(seen_face(coefficients()), 256, 256).max() < 0.05


def test_reader_is_relative_to_the_subjects_median(tmp_path: Path) -> None:
    frames = 5
    expression = np.tile(coefficients(mouthSmileLeft=0.3, mouthSmileRight=0.3), (frames, 1))
    posterior = np.zeros((frames, 7))
    posterior[:, CLASSES.index("happy")] = 1
    table = pd.DataFrame(posterior, columns=[NETWORK_COLUMN.format(n) for n in CLASSES])
    write_table(tmp_path / "va.csv", table)
    write_arrays(
        tmp_path / "track.npz",
        neutral=landmark_basis()[0],
        expression=expression,
        expression_names=np.array(NAMES),
        valid=np.ones(frames, dtype=bool),
    )
    rest = subject_rest(tmp_path / "track.npz", tmp_path / "va.csv")
    assert rest.formula == pytest.approx((0.3, 0.15))
    assert rest.posterior.tolist() == posterior[0].tolist() and rest.asymmetry == 0
    here, classes = relative_reading(posterior[0], expression[0], NAMES, rest)
    assert here == pytest.approx([0, 0], abs=1e-9)
    assert classes[POSTERIOR_COLUMNS.index("neutral")] == pytest.approx(rest_prior()[-1])


def test_a_few_calm_frames_are_enough_for_a_reader() -> None:
    rng = np.random.default_rng(0)
    frame = rng.integers(0, 255, (256, 256, 3), dtype=np.uint8)
    points = seen_face(coefficients(mouthSmileLeft=0.3, mouthSmileRight=0.3))
    with EmotionReader.from_neutral_frames([frame] * 3, [points] * 3) as reader:
        valence, arousal, classes = reader.read(frame, points)
        smiling = seen_face(coefficients(mouthSmileLeft=0.8, mouthSmileRight=0.8))
        assert reader.read(frame, smiling)[0] > 0.1
    assert (valence, arousal) == pytest.approx((0, 0), abs=1e-6)
    assert classes.sum() == pytest.approx(1, abs=1e-4)
    assert EmotionReader.standing_for.startswith("EmoNet")


# What an acted emotion adds to speech (FACS predictions, sources in emotion/archetypes.toml)
ACTED = {
    "happy": {"mouthSmile": 0.7, "cheekSquint": 0.5},
    "sad": {"mouthFrown": 0.55, "browInnerUp": 0.6, "eyeBlink": 0.2, "mouthShrugLower": 0.3},
    "anger": {"browDown": 0.8, "noseSneer": 0.3, "eyeSquint": 0.4, "mouthPress": 0.4},
}
MOMENTS = (10, 40, 60)  # frames of the speech


@pytest.mark.parametrize("seed", [42, 44, 60], ids=["long hair", "beard", "glasses"])
def test_happy_is_above_neutral_is_above_sad_and_anger_for_strangers(seed: int) -> None:
    settings, identity = ActorSettings(seed=seed, seconds=3, size=256), random_identity(seed)
    spoken = perform(settings, identity)
    calm = np.zeros((len(spoken.poses), 2), np.float32)

    def played(emotion: str) -> list[np.ndarray]:
        extra = np.zeros(len(spoken.names), np.float32)
        for place, name in enumerate(spoken.names):
            both = name.removesuffix("Left").removesuffix("Right")
            extra[place] = ACTED.get(emotion, {}).get(both, 0.0)
        acted = with_emotion(spoken, np.tile(extra, (len(calm), 1)), calm)
        return [f.rgb for f in render_performance(identity, acted, settings, MOMENTS)]

    with FaceMeshLandmarks(static=True) as detector:

        def seen(pictures: list[np.ndarray]) -> list[tuple[np.ndarray, np.ndarray]]:
            pairs = [(picture, detector.detect(picture)) for picture in pictures]
            return [(picture, points) for picture, points in pairs if points is not None]

        neutral = seen(played("neutral"))
        with EmotionReader.from_neutral_frames(*zip(*neutral)) as reader:
            mean = {
                name: np.mean([reader.read(*pair)[:2] for pair in seen(played(name))], axis=0)
                for name in ACTED
            }
    assert mean["happy"][0] > 0.3
    assert mean["sad"][0] < -0.1 and mean["anger"][0] < -0.1
    assert mean["anger"][1] > mean["sad"][1]
