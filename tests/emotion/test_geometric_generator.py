"""The generator's promises: lips keep their opening, background stays, nothing folds."""

from __future__ import annotations

import itertools
from pathlib import Path

import cv2
import numpy as np
import pytest

from emotalk_core.emotion.basis import PersonNeutral, mirrored_landmarks, packaged_basis
from emotalk_core.emotion.circle import MOUTH_CHANNELS, evaluation_points, packaged_circle
from emotalk_core.emotion.displacement import DisplacementField, brow_room, fit_pose, soft_limit
from emotalk_core.emotion.flow import choose_controls, guarded_flow, largest_gain
from emotalk_core.emotion.geometric import GeometricGenerator
from emotalk_core.emotion.landmark_sets import BROWS, INNER_LIP_MIDDLES, LIP_OUTLINES
from emotalk_core.emotion.measures import eye_distance, eye_openings, lip_opening, lip_width
from emotalk_core.emotion.registry import GENERATORS, create_generator
from emotalk_core.errors import ConfigError
from emotalk_core.perception.landmarks.topology import OVAL
from tests.emotion.conftest import draw_face, rotation

POINTS = [(p.valence, p.arousal) for p in evaluation_points()]
REAL = Path(__file__).parents[2] / "../shared/real"


@pytest.fixture(scope="module")
def generator():
    return GeometricGenerator()


def open_mouth(face):
    """The same face with the lips parted by 12 % of the eye distance."""
    points = face.landmarks.copy()
    basis = packaged_basis()
    jaw = basis.deltas[basis.names.index("jawOpen")][:, :2] * 800.0
    return points + 0.5 * jaw


def arrive(points, flow):
    """Where source points land: solves y + flow(y) = x."""
    target = points.copy()
    for _ in range(40):
        x, y = (target - 0.5).T.astype(np.float32)
        target = points - cv2.remap(flow, x, y, cv2.INTER_LINEAR)[:, 0]
    return target


def test_pose_is_recovered():
    drawn = draw_face(yaw=0.3, pitch=-0.1)
    pose = fit_pose(drawn.person.positions, drawn.landmarks)
    np.testing.assert_allclose(pose.rotation, rotation(0.3, -0.1), atol=1e-6)
    assert pose.scale == pytest.approx(800.0)


@pytest.mark.parametrize("point", POINTS)
def test_lips_keep_their_opening(generator, face, point):
    points = open_mouth(face)
    made = generator.generate(face.image, points, *point, face.person)
    assert lip_opening(points) > 0.05
    unit = eye_distance(points)
    # wanted, and realised by the dense flow
    assert abs(lip_opening(made.landmarks) - lip_opening(points)) < 2e-3
    landed = arrive(points, made.flow)
    assert abs(lip_opening(landed) - lip_opening(points)) < 3e-3
    lips = list(LIP_OUTLINES)
    assert np.linalg.norm(landed[lips] - made.landmarks[lips], axis=1).mean() < 1e-3 * unit
    assert abs(lip_width(made.landmarks) - lip_width(points)) < 0.2


@pytest.mark.parametrize("channel", MOUTH_CHANNELS)
def test_the_mouth_moves_as_a_whole_and_keeps_its_inner_edges(face, channel):
    points = open_mouth(face)
    field = DisplacementField(packaged_basis())
    values = {"mouthRaise": 3.0, "upperLipThin": 0.4, "lowerLipPout": 0.3}
    moved = field({channel: values[channel]}, points, face.person)[:, :2]
    inner = [i for pair in INNER_LIP_MIDDLES for i in pair]
    np.testing.assert_allclose(moved[inner] - moved[inner[0]], 0, atol=0.02)
    upper, lower = moved[0, 1], moved[17, 1]  # middles of the outer edges, y down
    unit = eye_distance(points)
    if channel == "mouthRaise":
        np.testing.assert_allclose(moved[inner, 1], -0.03 * unit, rtol=0.05)
        assert upper == pytest.approx(-0.03 * unit, rel=0.05)
        return
    np.testing.assert_allclose(moved[inner], 0, atol=0.02)
    edge, inside = (0, 13) if channel == "upperLipThin" else (17, 14)
    height = abs(points[edge, 1] - points[inside, 1])
    grown = upper if channel == "upperLipThin" else lower  # both push down
    assert grown == pytest.approx(values[channel] * height, rel=0.2)


@pytest.mark.parametrize("point", POINTS)
def test_background_is_untouched_and_nothing_folds(generator, face, point):
    made = generator.generate(face.image, face.landmarks, *point, face.person)
    hull = cv2.convexHull(face.landmarks[list(OVAL)].astype(np.float32))
    outside = np.ones(face.image.shape[:2], np.uint8)
    centre = face.landmarks[list(OVAL)].mean(axis=0)
    cv2.fillConvexPoly(outside, (centre + 1.3 * (hull[:, 0] - centre)).astype(np.int32), 0)
    assert outside.sum() > 500
    assert np.all(made.flow[outside > 0] == 0)
    assert np.array_equal(made.image[outside > 0], face.image[outside > 0])
    assert made.smallest_jacobian >= 0.2 - 1e-3
    assert 0 < made.gain <= 1


def test_the_centre_is_the_identity(generator, face):
    made = generator.generate(face.image, face.landmarks, 0.0, 0.0, face.person)
    assert np.array_equal(made.image, face.image)
    assert not made.flow.any()


def test_small_steps_on_the_circle_make_small_steps_of_the_flow(generator, face):
    angles = np.radians(np.arange(0, 60, 4.0))
    flows = [
        generator.generate(face.image, face.landmarks, *p, face.person).flow
        for p in 0.8 * np.stack([np.cos(angles), np.sin(angles)], axis=1)
    ]
    steps = [float(np.abs(b - a).mean()) for a, b in itertools.pairwise(flows)]
    assert max(steps) < 3 * np.median(steps)


def test_emotions_move_what_they_should(generator, face):
    def moved(valence, arousal):
        made = generator.generate(face.image, face.landmarks, valence, arousal, face.person)
        return made.landmarks - face.landmarks

    unit = eye_distance(face.landmarks)
    happy, surprise, anger, sad = (moved(*POINTS[i]) for i in (0, 1, 2, 4))
    corners = [61, 291]
    inner = [i for side in BROWS.values() for i in side["Inner"]]
    assert happy[corners, 1].max() < -0.02 * unit  # up
    assert sad[corners, 1].min() > 0.01 * unit  # down
    assert surprise[inner, 1].max() < -0.02 * unit
    assert anger[inner, 1].min() > 0.01 * unit
    openings = [eye_openings(face.landmarks + m)["Left"] for m in (happy, surprise, sad)]
    usual = eye_openings(face.landmarks)["Left"]
    assert openings[1] > 1.15 * usual
    assert openings[0] < usual and openings[2] < usual
    # contempt lifts one corner more than the other
    contempt = moved(*POINTS[7])
    assert contempt[291, 1] < contempt[61, 1] - 0.01 * unit


def test_closed_eyes_stay_closed(face):
    blink = face.landmarks.copy()
    for upper, lower in ((159, 145), (158, 153), (160, 144), (386, 374), (385, 380), (387, 373)):
        blink[upper] = blink[lower] - [0, 0.3]
    field = DisplacementField(packaged_basis())
    moved = field(packaged_circle().as_dict(*POINTS[1]), blink, face.person)
    after = eye_openings(blink + moved[:, :2])
    assert max(after.values()) < 0.02


def test_lids_and_irises_obey_their_limits(face):
    field = DisplacementField(packaged_basis())
    strong = {"eyeBlinkLeft": 3.0, "eyeBlinkRight": 3.0}
    moved = field(strong, face.landmarks, face.person)
    ratio = (
        eye_openings(face.landmarks + moved[:, :2])["Left"] / eye_openings(face.landmarks)["Left"]
    )
    assert 0.59 < ratio < 0.7
    assert not moved[468:].any()
    lifted = field({"browLiftMiddle": 1000.0}, face.landmarks, face.person)
    _, above = brow_room(face.landmarks)
    rise = -lifted[[i for s in BROWS.values() for i in s["Middle"]], 1].mean()
    assert 0 < rise < 0.25 * above * eye_distance(face.landmarks)


def test_gain_in_closed_form():
    trace, determinant = np.array([-1.2, 0.3, -0.5]), np.array([0.2, 0.1, 0.0])
    gain = largest_gain(trace, determinant, 0.2)
    # first row: 1 - 1.2 g + 0.2 g^2 = 0.2  ->  g = (1.2 - sqrt(1.44 - 0.64)) / 0.4
    assert gain == pytest.approx((1.2 - np.sqrt(0.8)) / 0.4)
    assert largest_gain(np.array([0.5]), np.array([0.1]), 0.2) == 1.0
    assert largest_gain(np.array([-1.0]), np.array([0.0]), 0.2) == pytest.approx(0.8)


def test_the_guard_weakens_a_folding_motion(face):
    controls = choose_controls(packaged_basis().positions)
    wild = np.zeros((478, 3))
    wild[[i for s in BROWS.values() for i in s["Middle"]], 1] = 0.4 * eye_distance(face.landmarks)
    warp = guarded_flow(face.landmarks, wild, controls, face.image.shape[:2])
    assert warp.gain < 0.9
    assert warp.smallest_jacobian >= 0.2 - 1e-3


def test_the_iris_stays_round_and_still(generator, face):
    made = generator.generate(face.image, face.landmarks, *POINTS[1], face.person)
    x, y = np.round(face.landmarks[473] - 0.5).astype(int)
    before, after = (im[y - 2 : y + 3, x - 2 : x + 3].mean() for im in (face.image, made.image))
    assert after == pytest.approx(before, abs=6)


def test_basis_is_symmetric():
    basis = packaged_basis()
    mirror = mirrored_landmarks()
    assert np.array_equal(mirror[mirror], np.arange(478))
    left = basis.deltas[basis.names.index("mouthSmileLeft")]
    right = basis.deltas[basis.names.index("mouthSmileRight")]
    np.testing.assert_allclose((left * [-1, 1, 1])[mirror], right, atol=1e-12)


def test_soft_limit():
    assert soft_limit(0.01, 1.0) == pytest.approx(0.01, rel=1e-3)
    assert soft_limit(50.0, 1.0) == pytest.approx(1.0)
    assert soft_limit(3.0, -1.0) == 0


def test_registry():
    assert GENERATORS.names() == ["geometric", "glef"]
    made = create_generator("geometric")
    assert made.id and "g_LEF" in made.standing_for
    with pytest.raises(ConfigError, match="did you mean 'geometric'"):
        create_generator("geometrical")


@pytest.mark.parametrize("clip,limit", [("markey.mp4", 0.01), ("obama.mp4", 0.016)])
def test_real_people_keep_face_and_lips(generator, clip, limit):
    from emotalk_core.perception.landmarks.packaged import FaceMeshLandmarks

    if not (REAL / clip).exists():
        pytest.skip("../shared/real is absent")
    capture = cv2.VideoCapture(str(REAL / clip))
    changes = []
    with FaceMeshLandmarks(static=True) as detector:
        for number in range(82):
            image = capture.read()[1]
            if number not in (20, 80):
                continue
            frame = np.ascontiguousarray(image[..., ::-1])
            before = detector.detect(frame)
            person = PersonNeutral(packaged_basis().positions, eye_openings(before))
            for point in POINTS:
                made = generator.generate(frame, before, *point, person)
                after = detector.detect(made.image)
                assert after is not None
                changes.append(abs(lip_opening(after) - lip_opening(before)))
    assert np.mean(changes) < limit
