"""What each expression target does to the 478 landmarks, and a person's neutral landmarks."""

from __future__ import annotations

import functools
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Bool, Float, Int

from emotalk_core.actor.face_model import landmark_basis
from emotalk_core.emotion.landmark_sets import LEFT_EYE_OUTER, LIDS, RIGHT_EYE_OUTER
from emotalk_core.emotion.measures import eye_openings
from emotalk_core.perception.landmarks.surface import mirrored_surface

STUCK = 0.5  # a landmark that moves less than this share of its mirror image did not hit the skin


@dataclass(frozen=True)
class LandmarkBasis:
    """Expression targets of the face model in landmark space.

    Attributes:
        names: names of the B blendshapes.
        positions: [478,3] neutral landmarks, metres, head axes (x image right, y down, z away).
        deltas: [B,478,3] displacement at weight 1, metres, same axes.
    """

    names: tuple[str, ...]
    positions: Float[np.ndarray, "478 3"]
    deltas: Float[np.ndarray, "B 478 3"]

    @property
    def eye_distance(self) -> float:
        """Distance of the outer eye corners, metres."""
        return float(
            np.linalg.norm(self.positions[LEFT_EYE_OUTER] - self.positions[RIGHT_EYE_OUTER])
        )


def symmetric(basis: LandmarkBasis) -> LandmarkBasis:
    """The basis with equal left and right halves of every sided target.

    Landmarks were placed on the model's mesh by detection, and some near the left eye fell on the
    eyeball, where nothing moves: such a stuck one takes its mirror image's motion, others the mean.
    """
    mirror = mirrored_landmarks()
    flip = np.array([-1.0, 1.0, 1.0])
    deltas = basis.deltas.copy()
    column = {name: i for i, name in enumerate(basis.names)}
    for name, left in column.items():
        right = column.get(name.removesuffix("Left") + "Right")
        if not name.endswith("Left") or right is None or name in ("jawLeft", "mouthLeft"):
            continue
        own, other = basis.deltas[left], (basis.deltas[right] * flip)[mirror]
        ours, theirs = np.linalg.norm(own, axis=1), np.linalg.norm(other, axis=1)
        share = np.where(ours < STUCK * theirs, 0.0, np.where(theirs < STUCK * ours, 1.0, 0.5))
        deltas[left] = share[:, None] * own + (1 - share)[:, None] * other
        deltas[right] = (deltas[left] * flip)[mirror]
    return replace(basis, deltas=deltas)


@functools.cache
def mirrored_landmarks() -> Int[np.ndarray, " 478"]:
    """Index of each landmark's mirror image."""
    # each iris: centre, image right, top, image left, bottom
    irises = [473, 476, 475, 474, 477, 468, 471, 470, 469, 472]
    return np.array([*mirrored_surface(), *irises])


@functools.cache
def packaged_basis() -> LandmarkBasis:
    """The targets of the packaged face model."""
    positions, deltas, names = landmark_basis()
    return symmetric(LandmarkBasis(names, positions.astype(np.float64), deltas.astype(np.float64)))


@dataclass(frozen=True)
class PersonNeutral:
    """What the generator must know of a person besides the frame.

    Attributes:
        positions: [478,3] neutral landmarks, metres, head axes (x image right, y down, z away).
        eye_opening: the person's usual opening of (right, left) eye, in outer eye distances.
    """

    positions: Float[np.ndarray, "478 3"]
    eye_opening: dict[str, float]


def person_neutral(
    positions: Float[np.ndarray, "478 3"],
    landmarks: Float[np.ndarray, "T 478 2"],
    valid: Bool[np.ndarray, " T"],
) -> PersonNeutral:
    """Neutral shape as tracked, usual eye opening as the median over valid frames.

    The median ignores blinks (a few per cent of the frames).
    """
    chosen = landmarks[valid] if valid.any() else landmarks
    openings = [eye_openings(frame) for frame in chosen]
    usual = {side: float(np.median([o[side] for o in openings])) for side in LIDS}
    return PersonNeutral(positions=np.asarray(positions, dtype=np.float64), eye_opening=usual)
