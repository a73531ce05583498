"""The circle: identity at the centre, linear in radius, smooth, mirrored except for contempt."""

from __future__ import annotations

import numpy as np
import pytest

from emotalk_core.emotion.circle import (
    CLASSES,
    EmotionCurve,
    curve_from_keyframes,
    evaluation_points,
    packaged_circle,
    parse_circle,
)
from emotalk_core.errors import ConfigError

# METHOD 1.6: the paper's points and labels (its "Angry" is the class "anger")
PAPER_POINTS = [
    (0.74, 0.31, "happy"),
    (0.31, 0.74, "surprise"),
    (-0.31, 0.74, "anger"),
    (-0.74, 0.31, "disgust"),
    (-0.74, -0.31, "sad"),
    (-0.31, -0.74, "sad"),
    (0.31, -0.74, "contempt"),
    (0.74, -0.31, "contempt"),
    (0.35, 0.35, "happy"),
    (-0.35, 0.35, "anger"),
    (-0.35, -0.35, "sad"),
    (0.35, -0.35, "contempt"),
]


def on_circle(degrees, radius=0.8):
    angle = np.radians(degrees)
    return radius * np.stack([np.cos(angle), np.sin(angle)], axis=-1)


def test_the_papers_points_and_labels():
    assert [(p.valence, p.arousal, p.label) for p in evaluation_points()] == PAPER_POINTS
    circle = packaged_circle()
    assert all(circle.label(v, a) == label for v, a, label in PAPER_POINTS)
    assert circle.label(0.0, 0.05) == "neutral"
    assert {label for _, _, label in PAPER_POINTS} <= set(CLASSES)


def test_identity_at_the_centre_and_linear_in_radius():
    circle = packaged_circle()
    assert np.all(circle.at((0.0, 0.0)) == 0)
    directions = on_circle(np.arange(0, 360, 7.0), radius=1.0)
    np.testing.assert_allclose(circle.at(0.6 * directions), 3 * circle.at(0.2 * directions))


def test_archetypes_hold_at_their_own_angle():
    circle = packaged_circle()
    points = circle.unit_radius * np.stack([np.cos(circle.angles), np.sin(circle.angles)], axis=1)
    np.testing.assert_allclose(circle.at(points), circle.weights, atol=1e-9)


def test_smooth_around_the_circle():
    circle = packaged_circle()
    values = circle.at(on_circle(np.arange(0, 360, 0.25)))
    steps = np.linalg.norm(np.diff(values, axis=0, append=values[:1]), axis=1)
    bends = np.linalg.norm(np.diff(values, 2, axis=0), axis=1)
    assert steps.max() < 0.02 * np.linalg.norm(circle.weights, axis=1).max()
    assert bends.max() < 0.1 * steps.max()  # no corner: neighbouring steps are alike


def test_unhappy_archetypes_hardly_bend_the_mouth():
    """Frowns above 0.6 made lips harder to find again and no reader surer (docs/emotion.md)."""
    circle = packaged_circle()
    frowns = [i for i, name in enumerate(circle.channels) if name.startswith("mouthFrown")]
    raised = circle.channels.index("mouthRaise")
    unhappy = [
        i for i, name in enumerate(circle.names) if name in ("anger", "disgust", "sad", "gloomy")
    ]
    assert len(frowns) == 2 and len(unhappy) == 4
    assert circle.weights[np.ix_(unhappy, frowns)].max() <= 0.6
    assert np.abs(circle.weights[unhappy, raised]).max() <= 0.3


def test_left_and_right_alike_except_contempt():
    circle = packaged_circle()
    left = [i for i, c in enumerate(circle.channels) if c.endswith("Left")]
    right = [
        circle.channels.index(circle.channels[i][:-4] + "Right") for i in left if _has_right(i)
    ]
    left = [i for i in left if _has_right(i)]
    lean = np.abs(circle.weights[:, left] - circle.weights[:, right]).sum(axis=1)
    contempt = np.array(["contempt" in name for name in circle.names])
    assert np.all(lean[~contempt] == 0)
    assert np.all(lean[contempt] > 0)


def _has_right(index):
    circle = packaged_circle()
    return circle.channels[index][:-4] + "Right" in circle.channels


def test_words():
    circle = packaged_circle()
    assert circle.point(" Happy ") == (0.74, 0.31)
    assert all(circle.label(*circle.point(w)) == w for w in ("happy", "sad", "surprise", "anger"))
    assert all(np.hypot(v, a) <= 0.85 for v, a in circle.words.values())
    with pytest.raises(ConfigError, match="wanted one of"):
        circle.point("hungry")


def test_curve_passes_through_keyframes_and_holds_its_ends():
    curve = curve_from_keyframes([(1.0, "neutral"), (3.0, "happy"), (4.0, (-0.2, 0.1))])
    at = curve.at(np.array([0.0, 1.0, 2.0, 3.0, 4.0, 9.0]))
    np.testing.assert_allclose(
        at, [(0, 0), (0, 0), (0.37, 0.155), (0.74, 0.31), (-0.2, 0.1), (-0.2, 0.1)], atol=1e-12
    )
    fine = curve.frames(125, 25)
    assert np.linalg.norm(np.diff(fine, axis=0), axis=1).max() < 0.08
    # eased: at a keyframe the motion stands still
    near = curve.at(np.array([3.0, 3.01]))
    assert np.linalg.norm(near[1] - near[0]) < 1e-3
    straight = EmotionCurve(curve.times, curve.points, smooth=False)
    np.testing.assert_allclose(straight.at(np.array([1.5]))[0], (0.185, 0.0775))


@pytest.mark.parametrize(
    "keyframes",
    [[], [(0, "happy"), (0, "sad")], [(0, (0.9, 0.9))]],
    ids=["none", "twice", "outside"],
)
def test_bad_keyframes_are_refused(keyframes):
    with pytest.raises(ConfigError):
        curve_from_keyframes(keyframes)


def test_a_broken_table_names_the_file():
    with pytest.raises(ConfigError, match=r"archetypes\.toml"):
        parse_circle("unit_radius = 0.8")


def test_the_circle_turns_evenly() -> None:
    """No step of 15 degrees is over 3 medians, and the direction of motion has no corner."""
    circle = packaged_circle()

    def ring(step: float) -> np.ndarray:
        angles = np.radians(np.arange(0, 360 + step, step))
        values = circle.at(0.8 * np.stack([np.cos(angles), np.sin(angles)], axis=1))
        return values / np.abs(circle.weights).max(axis=0)

    steps = np.linalg.norm(np.diff(ring(15.0), axis=0), axis=1)
    assert steps.max() < 3 * np.median(steps)
    turns = [np.abs(np.diff(ring(s), n=2, axis=0)).max() for s in (0.5, 0.25)]
    assert turns[1] < 0.3 * turns[0]  # a corner's would halve, a smooth one's quarter
