"""Expression channels in, landmark displacements of one frame out, the lips locked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from scipy.spatial.distance import cdist

from emotalk_core.emotion.basis import LandmarkBasis, PersonNeutral
from emotalk_core.emotion.circle import BROW_CHANNELS
from emotalk_core.emotion.landmark_sets import (
    BROWS,
    HAIRLINE,
    LEFT_EYE_OUTER,
    LEFT_LIP_CORNER,
    LID_MIDDLES,
    LIDS,
    LOWER_LIP_PAIRS,
    RIGHT_EYE_OUTER,
    RIGHT_LIP_CORNER,
    STABLE,
    UPPER_LIP_PAIRS,
)
from emotalk_core.emotion.measures import eye_distance, eye_openings
from emotalk_core.perception.landmarks.topology import EYES, LIPS, N_SURFACE, OVAL

# Lengths below are in outer eye distances unless said otherwise. Values: our choice, by eye and by
# landmark re-detection on eight people.
MAX_LID_CLOSING = 0.40  # share of the gap: beyond, the lid's rim smears
MAX_LID_WIDENING = 0.45  # share of the gap: beyond, the invented white of the eye shows
MAX_CORNER_SHIFT = 0.055  # lip corners; beyond, cheeks fold
CORNER_LIFT_POWER = 1.7  # how the corner's lift dies towards the middle of the lips
BROW_DROP_SHARE = 0.5  # of the room between brow and lid
BROW_LIFT_SHARE = 0.22  # of the room between brow and hairline
BROW_SIGMA = 0.17  # width of a brow bump
FACE_TO_LID = 0.25  # lids follow brows and cheeks only this much: the folds around take the rest
BLINK_RANGE = (0.45, 0.85)  # share of the usual eye opening: below the first a blink, no lid motion
# Distance from the lips where the bend field begins to fade, and the sigma of its fading.
LIP_BLEND = (0.01, 0.12)
OVAL_FADE = 0.16  # displacement fades to zero over this distance from the face oval

LID_CHANNELS = ("eyeWide", "eyeBlink", "eyeSquint")
# What a channel at 1 does to the lids, as shares of the gap between them (upper down, lower up).
# They do not follow the face model: its lid landmarks partly lie on the eyeballs and stand still.
UPPER_LID_SHARE = {"eyeBlink": 1.0, "eyeWide": -0.45}
LOWER_LID_SHARE = {"eyeSquint": 0.2, "cheekSquint": 0.15}


@dataclass(frozen=True)
class HeadPose:
    """Weak-perspective pose: px = scale * rotation @ metres + const (x right, y down, z away)."""

    rotation: Float[np.ndarray, "3 3"]
    scale: float  # px per metre


def smoothstep(x: Float[np.ndarray, "*n"] | float) -> Float[np.ndarray, "*n"]:
    """3x^2 - 2x^3 on [0,1], constant outside."""
    t = np.clip(x, 0.0, 1.0)
    return t * t * (3 - 2 * t)


def soft_limit(x: Float[np.ndarray, "*n"] | float, limit: float) -> Float[np.ndarray, "*n"]:
    """Identity near zero that approaches +-limit smoothly; zero where there is no room at all."""
    if limit <= 0:
        return np.zeros_like(x)
    ratio = np.asarray(x) / limit
    return limit * ratio / (1 + ratio**4) ** 0.25


def fit_pose(
    positions: Float[np.ndarray, "478 3"], landmarks: Float[np.ndarray, "478 2"]
) -> HeadPose:
    """Least-squares weak-perspective pose on the points that expression hardly moves."""
    ids = list(STABLE)
    shape = positions[ids] - positions[ids].mean(axis=0)
    image = landmarks[ids, :2] - landmarks[ids, :2].mean(axis=0)
    affine = np.linalg.lstsq(shape, image, rcond=None)[0].T
    u, singular, vt = np.linalg.svd(affine, full_matrices=False)
    rows = u @ vt
    rotation = np.vstack([rows, np.cross(rows[0], rows[1])])
    return HeadPose(rotation=rotation, scale=float(singular.mean()))


class DisplacementField:
    """Turns expression channels into displacements of the 478 landmarks of one frame.

    Args:
        basis: expression targets in landmark space.
    """

    def __init__(self, basis: LandmarkBasis) -> None:
        self._basis = basis
        self._column = {name: i for i, name in enumerate(basis.names)}
        self._bumps = self._brow_bumps()

    def _brow_bumps(self) -> dict[tuple[str, str], Float[np.ndarray, " 478"]]:
        """Smooth bump around each third of each brow, on the model's face (1 at its centre)."""
        points, unit = self._basis.positions, self._basis.eye_distance
        bumps = {}
        for side, parts in BROWS.items():
            for part, ids in parts.items():
                centre = points[list(ids)].mean(axis=0)
                above = points[:, 1] < centre[1]
                # wider towards the forehead, narrower towards the eye
                stretch = np.where(above, 0.75, 1.35)
                radius = np.hypot(points[:, 0] - centre[0], (points[:, 1] - centre[1]) * stretch)
                bump = np.exp(-((radius / (BROW_SIGMA * unit)) ** 2))
                bump[N_SURFACE:] = 0.0
                bumps[side, part] = bump
        return bumps

    def __call__(
        self,
        channels: Mapping[str, float],
        landmarks: Float[np.ndarray, "478 2"],
        person: PersonNeutral,
    ) -> Float[np.ndarray, "478 3"]:
        """Displacements, px (x right, y down, z away); irises never move.

        Args:
            channels: expression channels as `ExpressionCircle` gives them.
            landmarks: landmarks of the frame, px.
            person: the person's neutral face.
        """
        points = np.asarray(landmarks[:, :2], dtype=np.float64)
        unit = eye_distance(points)
        values = self._within_limits(channels, points, person)
        pose = fit_pose(person.positions, points)
        field = self._model_field(values)
        # the model's metres to this person's px: by outer eye distances, not by absolute size
        corners = person.positions[[LEFT_EYE_OUTER, RIGHT_EYE_OUTER]]
        person_distance = np.linalg.norm(corners[0] - corners[1])
        scale = pose.scale * person_distance / self._basis.eye_distance
        moved = scale * field @ pose.rotation.T
        move_lids(moved, points, values)
        limit_lids(moved, points)
        moved[N_SURFACE:] = 0.0
        still = (pose.scale * person.positions @ pose.rotation.T)[:, :2]
        lock_lips(moved, points, still, values)
        fade = smoothstep(cdist(still, still[list(OVAL)]).min(axis=1) / (OVAL_FADE * unit))
        return moved * fade[:, None]

    def _within_limits(
        self,
        channels: Mapping[str, float],
        points: Float[np.ndarray, "478 2"],
        person: PersonNeutral,
    ) -> dict[str, float]:
        """Channels fit to person and frame: blinks stay blinks, brows stay off lid and hair."""
        values = dict(channels)
        opening = eye_openings(points)
        for side in LIDS:
            low, high = BLINK_RANGE
            share = opening[side] / max(person.eye_opening[side], 1e-6)
            gate = float(smoothstep((share - low) / (high - low)))
            for name in LID_CHANNELS:
                if name + side in values:
                    values[name + side] *= gate
        below, above = brow_room(points)
        for name in BROW_CHANNELS[:3]:
            value = values.get(name, 0.0)
            room = BROW_LIFT_SHARE * above if value > 0 else BROW_DROP_SHARE * below
            values[name] = float(soft_limit(value, 100 * room))
        return values

    def _model_field(self, values: Mapping[str, float]) -> Float[np.ndarray, "478 3"]:
        """Displacements on the model's own face, metres."""
        deltas, unit = self._basis.deltas, self._basis.eye_distance
        field = np.zeros((len(self._basis.positions), 3))
        lids = list(EYES)
        for name, value in values.items():
            column = self._column.get(name)
            if column is None or value == 0:
                continue
            share = deltas[column].copy()
            if name.startswith((*UPPER_LID_SHARE, *LOWER_LID_SHARE)):
                share[lids] = 0.0
            field += value * share
        for (side, part), bump in self._bumps.items():
            lift = 0.01 * unit * values.get(f"browLift{part}", 0.0)
            field[:, 1] -= 0.8 * lift * bump
            if part == "Inner":
                inwards = 1.0 if side == "Right" else -1.0  # the person's right is image left
                field[:, 0] += inwards * 0.01 * unit * values.get("browSqueeze", 0.0) * bump
        field[lids] *= FACE_TO_LID
        return field


def brow_room(points: Float[np.ndarray, "478 2"]) -> tuple[float, float]:
    """Room of the brows' middles down to the lids and up to the hairline, eye distances."""
    axis = points[LEFT_EYE_OUTER] - points[RIGHT_EYE_OUTER]
    up = np.array([axis[1], -axis[0]]) / np.linalg.norm(axis)
    unit = np.linalg.norm(axis)

    def height(ids: tuple[int, ...]) -> float:
        return float((points[list(ids)] @ up).mean() / unit)

    brows = {side: height(parts["Middle"]) for side, parts in BROWS.items()}
    below = min(brows[side] - height(LID_MIDDLES[side][0]) for side in BROWS)
    above = height(HAIRLINE) - max(brows.values())
    return below, above


def move_lids(
    moved: Float[np.ndarray, "478 3"],
    points: Float[np.ndarray, "478 2"],
    values: Mapping[str, float],
) -> None:
    """Add in place what the lid channels do to the lids, along each pair's own gap."""
    for side, (upper, lower) in LIDS.items():
        down = sum(share * values.get(name + side, 0.0) for name, share in UPPER_LID_SHARE.items())
        up = sum(share * values.get(name + side, 0.0) for name, share in LOWER_LID_SHARE.items())
        for top, bottom in zip(upper[1:-1], lower[1:-1]):
            gap = points[bottom] - points[top]
            moved[top, :2] += down * gap
            moved[bottom, :2] -= up * gap


def limit_lids(moved: Float[np.ndarray, "478 3"], points: Float[np.ndarray, "478 2"]) -> None:
    """Limit in place how far each lid pair closes or widens, as a share of its own gap."""
    for upper, lower in LIDS.values():
        for top, bottom in zip(upper[1:-1], lower[1:-1]):
            gap = points[bottom] - points[top]
            length = float(np.linalg.norm(gap)) + 1e-9
            change = float((moved[bottom, :2] - moved[top, :2]) @ gap) / length
            limit = (MAX_LID_WIDENING if change > 0 else MAX_LID_CLOSING) * length
            excess = (change - float(soft_limit(change, limit))) * gap / length
            moved[bottom, :2] -= excess / 2
            moved[top, :2] += excess / 2


def lock_lips(
    moved: Float[np.ndarray, "478 3"],
    points: Float[np.ndarray, "478 2"],
    still: Float[np.ndarray, "478 2"],
    values: Mapping[str, float],
) -> None:
    """Replace the motion of the lips in place by a bend that cannot change their opening.

    Inside the mouth the displacement depends only on the position along the line between the lip
    corners, so an upper and a lower lip point above each other move alike. That position is taken
    from the neutral face in the frame's pose: speech moves the lips, but not what is added to
    them. The mouth may also go up or down as a whole, and the lips' outer edges move while the
    inner ones stay. Around the lips the bend blends into the expression's own field.

    Args:
        moved: displacements, px, changed.
        points: landmarks of the frame, px.
        still: landmarks of the neutral face in the frame's pose, px but for a shift.
        values: channels; those of `MOUTH_CHANNELS` are used.
    """
    unit = eye_distance(points)
    right, left = still[RIGHT_LIP_CORNER], still[LEFT_LIP_CORNER]
    half = float(np.linalg.norm(left - right)) / 2
    along = (left - right) / (2 * half)
    across = np.array([-along[1], along[0]])
    position = (still - (right + left) / 2) @ along / half
    reach = np.minimum(np.abs(position), 1.0)
    lift = np.minimum(np.abs(position), 1.15) ** CORNER_LIFT_POWER
    bend = np.zeros((len(still), 2))
    for corner, side in ((RIGHT_LIP_CORNER, position < 0), (LEFT_LIP_CORNER, position >= 0)):
        shift = moved[corner, :2]
        length = float(np.linalg.norm(shift))
        if length > 0:
            shift = shift * float(soft_limit(length, MAX_CORNER_SHIFT * unit)) / length
        sideways, upwards = float(shift @ along) * reach[side], float(shift @ across) * lift[side]
        bend[side] = sideways[:, None] * along + upwards[:, None] * across
    bend -= 0.01 * unit * values.get("mouthRaise", 0.0) * across
    start, sigma = LIP_BLEND
    distance = cdist(points, points[list(LIPS)]).min(axis=1) / unit
    weight = np.exp(-((np.maximum(distance - start, 0) / sigma) ** 2))
    moved[:, :2] = weight[:, None] * bend + (1 - weight)[:, None] * moved[:, :2]
    moved[:, 2] *= 1 - weight
    thin, pout = values.get("upperLipThin", 0.0), values.get("lowerLipPout", 0.0)
    for pairs, share in ((UPPER_LIP_PAIRS, thin), (LOWER_LIP_PAIRS, -pout)):
        for outer, inner in pairs:
            moved[outer, :2] += share * (points[inner] - points[outer])
