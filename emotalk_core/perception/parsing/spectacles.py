"""A face's picture in, the same with random glasses drawn on and where their frame lies out."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from jaxtyping import Float, Float32

from emotalk_core.perception.landmarks import topology as tp
from emotalk_core.perception.parsing.noise import noise_field

SHIFT_BITS = 4  # cv2 takes corners in sixteenths of a pixel
LENS_POINTS = 64
# Ranges; lengths are shares of the distance between the outer eye corners (about 90 mm)
HALF_WIDTH, HALF_HEIGHT = (0.21, 0.33), (0.14, 0.29)  # of a lens: 38 to 60 mm, 25 to 52 mm
SQUARENESS = (1.7, 5.0)  # exponent of the outline: 2 an ellipse, large a rectangle
TAPER, CAT_EYE = (-0.1, 0.35), (-0.1, 0.25)  # narrower below; upper outer corner raised
LOWER, APART, PARALLAX = (-0.02, 0.08), (-0.03, 0.05), 0.04  # of the lens against the eye
THICKNESS = (0.008, 0.07)  # log-uniform: thin wire to broad plastic
TEMPLE_RISE = (0.02, 0.2)  # of the hinge above the middle of the lens
# How often: only the upper half has a rim; the upper half is thicker; a rim hardly to be seen
HALF_RIM_SHARE, BROWLINE_SHARE, RIMLESS_SHARE = 0.12, 0.15, 0.06
TEMPLES_SHARE, SECOND_BRIDGE_SHARE = 0.75, 0.08
LEAST_CONTRAST = 45.0  # grey levels between a frame and the skin
DARK_SHARE, METAL_SHARE = 0.6, 0.2  # of frame colours; the others are any colour
CLEAR_SHARE, MOTTLED_SHARE = 0.06, 0.25  # frames that one sees through; tortoiseshell and shine
TINTED_SHARE, GLARE_SHARE, SHADOW_SHARE = 0.25, 0.35, 0.4
# Of pictures: dark hairs across the face and bags under the eyes, which are no frame
STRANDS_SHARE, BAGS_SHARE = 0.25, 0.7

Picture = Float32[np.ndarray, "S S 3"]
Mask = Float32[np.ndarray, "S S"]


@dataclass(frozen=True)
class _Outline:
    """Shape of one lens; the other is its mirror image."""

    half: tuple[float, float]
    squareness: float
    taper: float
    cat_eye: float

    def points(self, outwards: float) -> Float[np.ndarray, "P 2"]:
        """Closed outline about its middle; `outwards` is the sign of x away from the nose."""
        turn = 2 * np.pi * np.arange(LENS_POINTS) / LENS_POINTS
        cos, sin = np.cos(turn), np.sin(turn)
        p = self.squareness
        radius = (np.abs(cos) ** p + np.abs(sin) ** p) ** (-1 / p)
        x, y = radius * cos, radius * sin  # y down
        x = x * (1 - self.taper * np.clip(y, 0, 1))
        y = y - self.cat_eye * np.clip(x, 0, 1) ** 2 * (y < 0)
        return np.stack([outwards * self.half[0] * x, self.half[1] * y], axis=1)


def _line(mask: Mask, points: Float[np.ndarray, "P 2"], thick: float, closed: bool) -> None:
    """Draw a smooth line into a mask, 0..1, in place."""
    drawn = np.zeros(mask.shape, np.uint8)
    corners = np.round(points * 2**SHIFT_BITS).astype(np.int32)[:, None]
    width = max(round(thick), 1)
    cv2.polylines(drawn, [corners], closed, (255,), width, cv2.LINE_AA, SHIFT_BITS)
    np.maximum(mask, drawn.astype(np.float32) / 255 * min(thick, 1.0), out=mask)


def _colour(rng: np.random.Generator) -> Float[np.ndarray, " 3"]:
    """Of a frame: black and brown plastic, metal, or anything."""
    kind = rng.random()
    if kind < DARK_SHARE:
        return rng.uniform(5, 70) * np.exp(rng.normal(0, 0.15, 3))
    if kind < DARK_SHARE + METAL_SHARE:
        return rng.uniform(90, 200) * np.array([1.0, rng.uniform(0.8, 1), rng.uniform(0.55, 1)])
    return rng.uniform(10, 220, 3)


def wear_glasses(
    picture: Picture, landmarks: Float[np.ndarray, "478 2"], rng: np.random.Generator
) -> Mask:
    """Draw random glasses over a face in place; every kind of frame that people wear.

    Args:
        picture: RGB, grey levels.
        landmarks: px of the picture.
        rng: draws shape, colour, lenses and shadow.

    Returns:
        How much of each pixel the frame covers; lenses are no frame.
    """
    corners = landmarks[[33, 263]]
    unit = float(np.linalg.norm(corners[1] - corners[0]))
    along = (corners[1] - corners[0]) / unit
    down = np.array([-along[1], along[0]])
    down *= np.sign(down @ (landmarks[list(tp.OUTER_LIPS)].mean(axis=0) - corners.mean(axis=0)))
    axes = np.stack([along, down])  # of the face; a mirrored one runs to the left
    frame, lens, light = np.zeros((3, *picture.shape[:2]), np.float32)
    outline = _Outline(
        (rng.uniform(*HALF_WIDTH), rng.uniform(*HALF_HEIGHT)),
        rng.uniform(*SQUARENESS),
        rng.uniform(*TAPER),
        rng.uniform(*CAT_EYE),
    )
    thick = float(np.exp(rng.uniform(*np.log(THICKNESS)))) * unit
    kind = rng.random()
    half_rim = kind < HALF_RIM_SHARE
    browline = HALF_RIM_SHARE <= kind < HALF_RIM_SHARE + BROWLINE_SHARE
    rimless = kind > 1 - RIMLESS_SHARE
    lower, apart = rng.uniform(*LOWER), rng.uniform(*APART)
    parallax = rng.normal(0, PARALLAX)
    rise = rng.uniform(*TEMPLE_RISE) * outline.half[1] / HALF_HEIGHT[1]
    temples = rng.random() < TEMPLES_SHARE
    inner = []
    for ring, ear, side in ((tp.RIGHT_EYE, 127, -1.0), (tp.LEFT_EYE, 356, 1.0)):
        middle = landmarks[list(ring)].mean(axis=0)
        middle = middle + (np.array([side * apart + parallax, lower]) * unit) @ axes
        shape = outline.points(side)
        rim = middle + shape * unit @ axes
        cv2.fillPoly(lens, [np.round(rim).astype(np.int32)], (1.0,))
        upper = np.flatnonzero(shape[:, 1] <= 0.15 * outline.half[1])
        upper = np.roll(upper, -int(np.argmax(np.diff(upper, prepend=upper[0] - 1) > 1)))
        if rimless:
            _line(light, rim, 1.0, closed=True)
        elif half_rim:
            _line(frame, rim[upper], thick, closed=False)
            _line(light, rim, 1.0, closed=True)
        else:
            _line(frame, rim, thick * (0.4 if browline else 1.0), closed=True)
            if browline:
                _line(frame, rim[upper], thick * 1.3, closed=False)
        inner.append(middle + np.array([-side * outline.half[0], -0.3 * rise]) * unit @ axes)
        if temples:
            hinge = middle + np.array([side * outline.half[0], -rise]) * unit @ axes
            end = landmarks[ear] + np.array([0, -0.05]) * unit @ axes
            _line(frame, np.stack([hinge, end]), thick * rng.uniform(0.7, 1.2), closed=False)
    _bridges(frame, inner, unit, thick, axes, rng)
    _paint(picture, frame, lens, light, unit, rng)
    return frame


def _bridges(
    frame: Mask,
    inner: list[np.ndarray],
    unit: float,
    thick: float,
    axes: Float[np.ndarray, "2 2"],
    rng: np.random.Generator,
) -> None:
    """One arc over the nose, now and then a second above it, as pilots wear."""
    share = np.linspace(0, 1, 12)[:, None]
    bow = rng.uniform(-0.01, 0.05) * unit
    straight = inner[0] * (1 - share) + inner[1] * share
    arc = straight - bow * np.sin(np.pi * share) * axes[1]
    _line(frame, arc, thick * rng.uniform(0.6, 1.2), closed=False)
    if rng.random() < SECOND_BRIDGE_SHARE:
        _line(frame, arc - 0.08 * unit * axes[1], thick * 0.8, closed=False)


def _paint(
    picture: Picture, frame: Mask, lens: Mask, light: Mask, unit: float, rng: np.random.Generator
) -> None:
    """Shadow, lenses and frame over the picture, in place."""
    size = len(picture)
    if rng.random() < SHADOW_SHARE:
        moved = np.roll(
            frame, tuple(np.round(rng.normal(0.02, 0.03, 2) * unit).astype(int)), (0, 1)
        )
        soft = cv2.GaussianBlur(moved, (0, 0), max(unit * rng.uniform(0.005, 0.03), 0.5))
        picture *= 1 - rng.uniform(0.1, 0.5) * soft[..., None]
    if rng.random() < TINTED_SHARE:
        tint = rng.uniform(0.03, 0.4) * lens[..., None]
        picture *= 1 - tint
        picture += tint * rng.uniform(0, 140, 3).astype(np.float32)
    if rng.random() < GLARE_SHARE:
        field = cv2.resize(
            rng.standard_normal((4, 4)).astype(np.float32),
            (size, size),
            interpolation=cv2.INTER_CUBIC,
        )
        glare = np.clip(field - rng.uniform(0.3, 1.2), 0, 1) * lens * rng.uniform(0.2, 1.0)
        picture += glare[..., None] * (230 - picture)
    picture += (0.5 * rng.random() * light)[..., None] * (rng.uniform(60, 255) - picture)
    plain = _colour(rng)
    under = (picture * frame[..., None]).sum((0, 1)) / max(float(frame.sum()), 1)
    if np.abs(plain - under).mean() < LEAST_CONTRAST:
        plain = 0.3 * under  # what nobody sees teaches to see things
    colour = np.broadcast_to(plain, picture.shape).astype(np.float32)
    if rng.random() < MOTTLED_SHARE:
        spots = noise_field(size, int(rng.integers(8, 40)), rng)
        colour = colour * np.exp(rng.uniform(0.2, 0.7) * spots[..., None])
    cover = frame * (rng.uniform(0.35, 0.9) if rng.random() < CLEAR_SHARE else 1.0)
    picture += cover[..., None] * (np.clip(colour, 0, 255) - picture)


def draw_strands(
    picture: Picture, landmarks: Float[np.ndarray, "478 2"], rng: np.random.Generator
) -> None:
    """Dark hairs across the face, in place: lines that are no glasses."""
    low, high = landmarks[list(tp.OVAL)].min(axis=0), landmarks[list(tp.OVAL)].max(axis=0)
    for _ in range(int(rng.integers(1, 5))):
        ends = rng.uniform(low, high, (3, 2))
        ends[0, 1] = low[1]
        share = np.linspace(0, 1, 20)[:, None]
        curve = ends[0] * (1 - share) ** 2 + 2 * ends[1] * share * (1 - share) + ends[2] * share**2
        mask = np.zeros(picture.shape[:2], np.float32)
        _line(mask, curve, rng.uniform(0.5, 3), closed=False)
        picture += mask[..., None] * (rng.uniform(5, 90) - picture)


def draw_bags(
    picture: Picture, landmarks: Float[np.ndarray, "478 2"], rng: np.random.Generator
) -> None:
    """Bags under the eyes and folds above them, in place: older faces than actors have."""
    unit = float(np.linalg.norm(landmarks[263] - landmarks[33]))
    turn = np.linspace(-0.3, np.pi + 0.3, 20)
    for sign, deepest in ((1.0, 0.26), (1.0, 0.16), (-1.0, 0.2)):
        deep, wide = rng.uniform(0.06, deepest), rng.uniform(0.1, 0.26)
        dark, light = rng.uniform(0, 0.6), rng.uniform(0, 0.25)
        thick, soft = rng.uniform(0.01, 0.05) * unit, rng.uniform(0.003, 0.02) * unit
        for ring in (tp.RIGHT_EYE, tp.LEFT_EYE):
            middle = landmarks[list(ring)].mean(axis=0)
            arc = middle + np.stack([wide * np.cos(turn), sign * deep * np.sin(turn)], 1) * unit
            crease, pouch = np.zeros((2, *picture.shape[:2]), np.float32)
            _line(crease, arc, thick, closed=False)
            _line(pouch, middle + 0.8 * (arc - middle), 2 * thick, closed=False)
            crease = cv2.GaussianBlur(crease, (0, 0), max(soft, 0.5))
            pouch = cv2.GaussianBlur(pouch, (0, 0), max(2 * soft, 0.5))
            picture *= (1 - dark * crease + light * pouch)[..., None]
