"""The valence-arousal circle: points, words or curves over time in, expression channels out."""

from __future__ import annotations

import functools
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import resources
from typing import Any

import numpy as np
from jaxtyping import Float

from emotalk_core.errors import ConfigError, explain

TABLE_FILE = "archetypes.toml"

# EmoNet's eight classes, in the order of the columns of valence_arousal.csv (docs/artifacts.md).
CLASSES = ("neutral", "happy", "sad", "surprise", "fear", "disgust", "anger", "contempt")

# Channels that are no blendshapes: the face model's brow targets are too weak in landmark space, so
# the table lifts three parts of each brow directly (percent of the outer eye distance).
BROW_CHANNELS = ("browLiftInner", "browLiftMiddle", "browLiftOuter", "browSqueeze")
_BROW_KEYS = ("inner", "middle", "outer", "squeeze")
# What the mouth may do without a change of its opening: go up as a whole (same unit), draw the
# upper lip's outer edge in and push the lower one's out (shares of the lip's height).
MOUTH_CHANNELS = ("mouthRaise", "upperLipThin", "lowerLipPout")
_MOUTH_KEYS = ("raise", "thin", "pout")

# Inside, a point is called neutral: our choice, a fifth of the outer ring.
NEUTRAL_RADIUS = 0.15
# rad on both sides of an archetype in which the direction of motion around the circle turns: our
# choice, a sixth of the gap between two. Smoothstep over the whole gap stood still at every one.
ROUNDING = np.radians(7.5)
SIDES = ("Left", "Right")

Point = tuple[float, float]


@dataclass(frozen=True)
class EvaluationPoint:
    """One of the paper's 12 points (supplement S6) with the class that it should be read as."""

    valence: float
    arousal: float
    label: str


@dataclass(frozen=True)
class ExpressionCircle:
    """Continuous table from (valence, arousal) to expression channels.

    Attributes:
        channels: names of the C channels: blendshapes with side, then `BROW_CHANNELS` and
            `MOUTH_CHANNELS`.
        names: names of the A archetypes.
        angles: [A] increasing, rad, counted from the valence axis towards arousal.
        weights: [A,C] channel values of each archetype at `unit_radius`.
        unit_radius: radius at which the archetypes hold.
        evaluation_points: the paper's 12 points.
        words: emotion word -> (valence, arousal).
    """

    channels: tuple[str, ...]
    names: tuple[str, ...]
    angles: Float[np.ndarray, " A"]
    weights: Float[np.ndarray, "A C"]
    unit_radius: float
    evaluation_points: tuple[EvaluationPoint, ...]
    words: dict[str, Point]

    def at(self, points: Float[np.ndarray, "*n 2"] | Point) -> Float[np.ndarray, "*n C"]:
        """Channel values at points of the plane.

        Zero at the origin, linear along each ray, exact at the archetypes, continuously
        differentiable around the circle: straight between archetypes, rounded beside them.

        Args:
            points: (valence, arousal), meant for the unit disc.

        Returns:
            values: units as in archetypes.toml.
        """
        va = np.asarray(points, dtype=np.float64)
        radius = np.hypot(va[..., 0], va[..., 1]) / self.unit_radius
        angle = np.mod(np.arctan2(va[..., 1], va[..., 0]) - self.angles[0], 2 * np.pi)
        starts = self.angles - self.angles[0]
        widths = np.diff(np.append(starts, 2 * np.pi))
        corners = self._corners(widths)
        slopes = (np.roll(corners, -1, axis=0) - corners) / widths[:, None]
        before = np.searchsorted(starts, angle, side="right") - 1
        after = (before + 1) % len(self.angles)
        past = (angle - starts[before])[..., None]
        left = widths[before][..., None] - past  # to the next corner
        blend = corners[before] + past * slopes[before]
        # within ROUNDING of a corner the two straight pieces join in a parabola
        bends = (slopes - np.roll(slopes, 1, axis=0)) / (4 * ROUNDING)
        blend = blend + bends[before] * np.maximum(ROUNDING - past, 0.0) ** 2
        blend = blend + bends[after] * np.maximum(ROUNDING - left, 0.0) ** 2
        return radius[..., None] * blend

    def _corners(self, widths: Float[np.ndarray, " A"]) -> Float[np.ndarray, "A C"]:
        """Corners of the closed line whose rounding passes exactly through the archetypes.

        A parabola over +-d around a corner misses it by d/4 times the change of slope there.
        """
        n = len(widths)
        forward = (np.roll(np.eye(n), 1, axis=1) - np.eye(n)) / widths[:, None]
        bend = forward - np.roll(forward, 1, axis=0)
        corners: np.ndarray = np.linalg.solve(np.eye(n) + ROUNDING / 4 * bend, self.weights)
        return corners

    def as_dict(self, valence: float, arousal: float) -> dict[str, float]:
        """Channel name -> value at one point."""
        return dict(zip(self.channels, self.at((valence, arousal)).tolist()))

    def label(self, valence: float, arousal: float) -> str:
        """Class of a point: neutral near the centre, else that of the nearest evaluation point."""
        if np.hypot(valence, arousal) < NEUTRAL_RADIUS:
            return "neutral"
        return min(
            self.evaluation_points,
            key=lambda p: (p.valence - valence) ** 2 + (p.arousal - arousal) ** 2,
        ).label

    def point(self, word: str) -> Point:
        """(valence, arousal) of an emotion word; ConfigError lists the known words."""
        try:
            return self.words[word.strip().lower()]
        except KeyError as error:
            raise ConfigError(
                explain(
                    "emotion", repr(word), f"wanted one of {sorted(self.words)}", "or give [v, a]"
                )
            ) from error


def _sided(entry: dict[str, Any]) -> dict[str, float]:
    """Channels of one archetype with sides spelled out; left and right add to `both`."""
    values: dict[str, float] = {}
    for side in SIDES:
        for group in ("both", side.lower()):
            for name, value in entry.get(group, {}).items():
                values[name + side] = values.get(name + side, 0.0) + float(value)
    groups = (("brow", BROW_CHANNELS, _BROW_KEYS), ("mouth", MOUTH_CHANNELS, _MOUTH_KEYS))
    for group, names, keys in groups:
        for channel, key in zip(names, keys):
            values[channel] = float(entry.get(group, {}).get(key, 0.0))
    return values


def parse_circle(text: str) -> ExpressionCircle:
    """Build the table from the text of archetypes.toml; ConfigError names what is wrong."""
    try:
        data = tomllib.loads(text)
        entries = sorted(data["archetype"], key=lambda e: float(e["angle"]))
        values = [_sided(entry) for entry in entries]
        own = (*BROW_CHANNELS, *MOUTH_CHANNELS)
        channels = (*sorted({k for v in values for k in v} - set(own)), *own)
        return ExpressionCircle(
            channels=channels,
            names=tuple(str(e["name"]) for e in entries),
            angles=np.radians([float(e["angle"]) for e in entries]),
            weights=np.array([[v.get(c, 0.0) for c in channels] for v in values]),
            unit_radius=float(data["unit_radius"]),
            evaluation_points=tuple(EvaluationPoint(**p) for p in data["evaluation_point"]),
            words={k: (float(v[0]), float(v[1])) for k, v in data["words"].items()},
        )
    except (tomllib.TOMLDecodeError, KeyError, TypeError, ValueError) as error:
        raise ConfigError(
            f"{TABLE_FILE}: {error}; see the comments in the packaged file"
        ) from error


@functools.cache
def packaged_circle() -> ExpressionCircle:
    """The table that ships with the package."""
    return parse_circle(resources.files(__package__).joinpath(TABLE_FILE).read_text("utf-8"))


@functools.cache
def evaluation_points() -> tuple[EvaluationPoint, ...]:
    """The paper's 12 evaluation points with labels (METHOD 1.6), in the paper's order."""
    return packaged_circle().evaluation_points


@dataclass(frozen=True)
class EmotionCurve:
    """Valence and arousal over time, from keyframes.

    Attributes:
        times: [K] seconds, strictly increasing.
        points: [K,2] (valence, arousal).
        smooth: ease in and out of every keyframe (no corner in time) instead of straight lines.
    """

    times: Float[np.ndarray, " K"]
    points: Float[np.ndarray, "K 2"]
    smooth: bool = True

    def __post_init__(self) -> None:
        if len(self.times) == 0 or self.points.shape != (len(self.times), 2):
            raise ConfigError(
                explain("keyframes", self.points.shape, "wanted [K,2], K >= 1", "give at least one")
            )
        if np.any(np.diff(self.times) <= 0):
            raise ConfigError(
                explain(
                    "keyframes.times", self.times.tolist(), "must increase", "sort the keyframes"
                )
            )
        if np.any(np.hypot(*self.points.T) > 1 + 1e-9):
            raise ConfigError(
                explain(
                    "keyframes", self.points.tolist(), "points lie in the unit disc", "scale down"
                )
            )

    def at(self, seconds: Float[np.ndarray, " T"]) -> Float[np.ndarray, "T 2"]:
        """Points at given times; constant before the first and after the last keyframe."""
        t = np.clip(np.asarray(seconds, dtype=np.float64), self.times[0], self.times[-1])
        if len(self.times) == 1:
            return np.repeat(self.points, len(t), axis=0)
        left = np.clip(np.searchsorted(self.times, t, side="right") - 1, 0, len(self.times) - 2)
        share = (t - self.times[left]) / (self.times[left + 1] - self.times[left])
        if self.smooth:
            share = share * share * (3 - 2 * share)
        return (1 - share)[:, None] * self.points[left] + share[:, None] * self.points[left + 1]

    def frames(self, n_frames: int, fps: int) -> Float[np.ndarray, "T 2"]:
        """Points at the times of `n_frames` frames."""
        return self.at(np.arange(n_frames) / fps)


def curve_from_keyframes(
    keyframes: Sequence[tuple[float, str | Sequence[float]]], smooth: bool = True
) -> EmotionCurve:
    """Curve through keyframes (seconds, word or [v, a]), e.g. [(0, "neutral"), (2, "happy")]."""
    circle = packaged_circle()
    points = [
        circle.point(p) if isinstance(p, str) else (float(p[0]), float(p[1])) for _, p in keyframes
    ]
    return EmotionCurve(
        times=np.array([float(t) for t, _ in keyframes]),
        points=np.array(points, dtype=np.float64).reshape(-1, 2),
        smooth=smooth,
    )
