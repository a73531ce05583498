"""Seeds in; pictures of random actors with exact labels and found landmarks out."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from jaxtyping import Float32, UInt8

from emotalk_core.actor.face_model import load_face_model
from emotalk_core.actor.identity import NO_GLASSES, Identity, random_identity
from emotalk_core.actor.performance import ActorSettings, perform
from emotalk_core.actor.pose import Pose
from emotalk_core.actor.renderer import Actor
from emotalk_core.actor.visemes import VISEMES
from emotalk_core.media.atomic import atomic_path
from emotalk_core.media.progress import Progress
from emotalk_core.perception.landmarks import create_detector
from emotalk_core.perception.landmarks import topology as tp

logger = logging.getLogger(__name__)

FIRST_IDENTITY = 100_000  # seeds of the teachers: demos and tests use small numbers
# One standard deviation of pose: wider than a talking head's, so that edges of the range are inside
PITCH, YAW, ROLL = np.radians([8.0, 14.0, 6.0])
SWAY = 0.02  # metres
# How often a frame is one of real speech, which hardly opens the mouth; the others are made up
SPOKEN_SHARE, SPOKEN_SECONDS = 0.6, 8.0
# How often a made-up frame has each kind of mouth; the rest is two visemes at random
CLOSED_SHARE, WIDE_SHARE = 0.15, 0.2


@dataclass(frozen=True)
class Lesson:
    """One picture that teaches.

    Attributes:
        rgb: [S,S,3]. labels: [S,S] numbers of `types.regions`.
        landmarks: [478,2] px as the detector found them.
    """

    rgb: UInt8[np.ndarray, "S S 3"]
    labels: UInt8[np.ndarray, "S S"]
    landmarks: Float32[np.ndarray, "478 2"]

    def around_mouth(self, window: int) -> Lesson:
        """A square of `window` px around the lips (moved inside the picture)."""
        middle = self.landmarks[list(tp.OUTER_LIPS)].mean(axis=0)
        x, y = np.clip(np.round(middle - window / 2), 0, len(self.rgb) - window).astype(int)
        part = (slice(y, y + window), slice(x, x + window))
        moved: Float32[np.ndarray, "478 2"] = self.landmarks - np.array([x, y], np.float32)
        return Lesson(self.rgb[part].copy(), self.labels[part].copy(), moved)


def random_expression(
    names: tuple[str, ...], rng: np.random.Generator
) -> Float32[np.ndarray, " 52"]:
    """Two visemes blended, a mood, brows, a blink: anything that a talking face may show."""
    place = {name: k for k, name in enumerate(names)}
    weights = np.zeros(len(names), np.float32)
    kinds = sorted(VISEMES)
    kind = rng.random()
    if kind > CLOSED_SHARE:
        share = rng.uniform()
        for name, part in zip(rng.choice(kinds, 2), (share, 1 - share)):
            for target, value in VISEMES[name].expanded().items():
                weights[place[target]] += part * value * rng.uniform(0.6, 1.4)
    if kind > 1 - WIDE_SHARE:
        weights[place["jawOpen"]] += rng.uniform(0.1, 0.6)
    for name in names:
        if name.startswith(("brow", "cheek", "nose", "mouth")) and rng.random() < 0.08:
            weights[place[name]] += rng.uniform(0, 0.7)
    for base, most in (("mouthSmile", 0.9), ("mouthFrown", 0.5), ("browDown", 0.8)):
        if rng.random() < 0.2:
            both = rng.uniform(0, most)
            for side in ("Left", "Right"):
                weights[place[base + side]] += both
    blink = rng.choice([0.0, rng.uniform(0, 0.4), rng.uniform(0.4, 1)], p=[0.5, 0.35, 0.15])
    for side in ("Left", "Right"):
        weights[place["eyeBlink" + side]] = blink
        weights[place["eyeLookOut" + side]] = rng.uniform(0, 0.5) * (rng.random() < 0.3)
    return np.clip(weights, 0, 1)


def spoken_expressions(identity: Identity) -> Float32[np.ndarray, "T 52"]:
    """What a person shows while speaking for `SPOKEN_SECONDS`."""
    settings = ActorSettings(seed=identity.seed, seconds=SPOKEN_SECONDS)
    return perform(settings, identity).expression


def random_pose(rng: np.random.Generator) -> Pose:
    """A pose of head and shoulders."""
    shift = rng.normal(0, SWAY, 3)
    return Pose(
        pitch=float(np.clip(rng.normal(0, PITCH), -2 * PITCH, 2 * PITCH)),
        yaw=float(np.clip(rng.normal(0, YAW), -2 * YAW, 2 * YAW)),
        roll=float(np.clip(rng.normal(0, ROLL), -2 * ROLL, 2 * ROLL)),
        shift=(float(shift[0]), float(shift[1]), float(shift[2])),
    )


def lessons(
    seed: int, identities: int, frames: int, size: int, glasses: bool = True
) -> Iterator[Lesson]:
    """Random actors one after the other; frames in which no face is found are left out.

    Args:
        seed: of all of it.
        identities: how many people.
        frames: pictures of each.
        size: side of the pictures, px.
        glasses: people may wear some (the labels do not know them).
    """
    names = load_face_model().expression_names
    with create_detector(static=True) as detector:
        for number in range(identities):
            identity = random_identity(FIRST_IDENTITY + seed * identities + number)
            if not glasses:
                identity = replace(identity, glasses=NO_GLASSES)
            rng = np.random.default_rng([identity.seed, 4])
            actor = Actor(identity, size)
            spoken = spoken_expressions(identity)
            for _ in range(frames):
                speaks = rng.random() < SPOKEN_SHARE
                shown = rng.choice(spoken) if speaks else random_expression(names, rng)
                drawn = actor.render(shown, random_pose(rng))
                found = detector.detect(drawn.rgb)
                if found is None:
                    continue
                yield Lesson(drawn.rgb, drawn.labels, found[:, :2])


def write_lessons(
    path: Path,
    *,
    seed: int,
    identities: int,
    frames: int,
    size: int,
    window: int | None = None,
    glasses: bool = True,
) -> None:
    """All lessons as stacked arrays in one `.npz` (keys: the fields of `Lesson`).

    Args:
        path: written.
        seed: as of `lessons`.
        identities: the same.
        frames: the same.
        size: the same.
        window: px around the mouth that are kept; None: the whole picture.
        glasses: as of `lessons`.
    """
    steps = Progress("lessons", identities * frames, logger)
    found = []
    for lesson in lessons(seed, identities, frames, size, glasses):
        found.append(lesson if window is None else lesson.around_mouth(window))
        steps.step()
    with atomic_path(path) as temporary, temporary.open("wb") as file:
        np.savez(file, **{key: np.stack([getattr(v, key) for v in found]) for key in FIELDS})


FIELDS = tuple(Lesson.__dataclass_fields__)
