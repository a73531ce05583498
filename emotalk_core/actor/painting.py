"""From an identity to its painted atlas: skin, lips, brows, stubble, scalp, with labels."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from jaxtyping import Float32, UInt8

from emotalk_core.actor.beard import beard_cover
from emotalk_core.actor.clothing import paint_cloth
from emotalk_core.actor.hairline import hair_cover
from emotalk_core.actor.identity import HAIR_COLOURS, SKIN_TONES, Identity
from emotalk_core.actor.mouth import paint_teeth
from emotalk_core.actor.paint_tools import (
    FINE_OCTAVES,
    bump,
    fractal_noise,
    smoothstep,
    to_linear,
)
from emotalk_core.actor.surface_map import (
    ATLAS,
    CLOTH_BLOCK,
    HEAD_HEIGHT,
    HEAD_WIDTH,
    MOUTH_BLOCK,
    TORSO_BLOCK,
    SurfaceMap,
)
from emotalk_core.actor.wrinkles import paint_wrinkles
from emotalk_core.types.regions import LABEL

MOUTH_COLOUR = (118, 44, 44)  # the mucous lining, before the darkness of the cavity
BRIGHTNESS_OF_WHITE = 220.0  # mean sRGB of the palest skin: the zero of "how dark is this skin"
# Redness: centre |x|, y, z in base dm, radius, strength (cheeks, nose tip, chin, ears)
BLUSH = (
    (0.42, 6.92, 1.30, 0.22, 0.55),
    (0.00, 6.90, 1.68, 0.15, 0.60),
    (0.00, 6.33, 1.45, 0.18, 0.35),
    (0.80, 7.10, 0.50, 0.25, 0.40),
)
# Shade: under the eyes, above the lids, beside the nose root
SHADE = (
    (0.30, 7.17, 1.38, 0.13, 0.12),
    (0.31, 7.42, 1.40, 0.13, 0.10),
    (0.10, 7.20, 1.45, 0.10, 0.10),
)
# Height of the brows in base dm. Painted half a millimetre higher they look as well, but FaceMesh
# then no longer follows raised brows, and reads a neutral face as raised.
BROW_HEIGHT = 7.44


@dataclass(frozen=True)
class Paint:
    """A painted person.

    Attributes:
        texture: [ATLAS,ATLAS,3] linear light 0..1.
        labels: [ATLAS,ATLAS] numbers of `types.regions`.
        wrinkles: [HEAD_HEIGHT,HEAD_WIDTH,5] depth of the wrinkle channels, 0..255.
        gloss: strength of the skin's highlight; dark skin shines more.
    """

    texture: Float32[np.ndarray, "A A 3"]
    labels: UInt8[np.ndarray, "A A"]
    wrinkles: UInt8[np.ndarray, "H W 5"]
    gloss: float


@dataclass(frozen=True)
class _Canvas:
    """Base coordinates of the head's texels: x, |x|, y, z [H,W] in dm; the mean skin colour."""

    x: np.ndarray
    side: np.ndarray
    y: np.ndarray
    z: np.ndarray
    skin: np.ndarray

    def blob(self, side: float, y: float, z: float, radius: float) -> np.ndarray:
        """A soft ball around a point on both sides of the face, [H,W,1]."""
        squared = (self.side - side) ** 2 + (self.y - y) ** 2 + (self.z - z) ** 2
        return np.exp(-squared / radius**2)[..., None]


def _paint_skin(canvas: _Canvas, age: float, rng: np.random.Generator) -> np.ndarray:
    """Skin with blotches, pores, blush, shade around the eyes and a few moles, sRGB."""
    skin = canvas.skin
    height, width = canvas.x.shape
    blotches = fractal_noise(height, width, rng)[..., None]
    pores = fractal_noise(height, width, rng, FINE_OCTAVES)[..., None]
    colour: Float32[np.ndarray, "H W 3"] = skin * (1 + 0.024 * blotches + 0.022 * pores)
    red = skin * np.array([1.02, 0.80, 0.78], np.float32)
    for side, y, z, radius, strength in BLUSH:
        colour += strength * canvas.blob(side, y, z, radius) * (red - colour)
    for k, (side, y, z, radius, strength) in enumerate(SHADE):
        older = 0.10 * age if k == 0 else 0.0
        colour *= 1 - (strength + older) * canvas.blob(side, y, z, radius)
    colour = np.ascontiguousarray(colour, np.float32)
    for _ in range(int(rng.integers(0, 7))):
        row, column = int(rng.integers(300, 1100)), int(rng.integers(250, 680))
        mole = tuple(float(v) for v in skin * 0.62)
        cv2.circle(colour, (column, row), int(rng.integers(1, 3)), mole, -1, cv2.LINE_AA)
    return colour


def _mix(colour: np.ndarray, amount: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Linear mix of a picture with a colour by a mask [H,W]."""
    return colour * (1 - amount[..., None]) + amount[..., None] * other


def _paint_stubble(
    colour: np.ndarray, canvas: _Canvas, beard: float, hair: np.ndarray, grain: np.ndarray
) -> np.ndarray:
    """Shaved beard on jaw, chin and upper lip."""
    amount: Float32[np.ndarray, "H W"] = beard_cover(
        np.stack([canvas.x, canvas.y, canvas.z], axis=-1)
    )
    amount = amount * np.clip(0.8 + 0.2 * grain, 0, 1.3) * (0.26 + 0.32 * (beard - 0.25))
    return _mix(colour, amount, hair * 0.7 + canvas.skin * 0.18)


def _paint_lips(
    colour: np.ndarray, canvas: _Canvas, lips: np.ndarray, man: bool, pores: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Lips with a darker contact line; also gives the mask of the lips."""
    y = canvas.y
    mask = cv2.GaussianBlur(lips, (0, 0), 1.5)
    mask = mask * smoothstep(y, 6.40, 6.50) * (1 - smoothstep(y, 6.74, 6.78))
    tint = np.array([0.86, 0.66, 0.66] if man else [0.87, 0.53, 0.55], np.float32)
    line = 1 - 0.30 * bump(y - 6.61, 0.014)
    lip = canvas.skin * tint * (1 + 0.05 * pores[..., None]) * line[..., None]
    return _mix(colour, 0.85 * mask, lip), mask


def _brow_mask(canvas: _Canvas, identity: Identity, rng: np.random.Generator) -> np.ndarray:
    """Density of the brows, with single hairs, [H,W] in 0..1."""
    side, y = canvas.side, canvas.y
    along = np.clip((side - 0.11) / 0.44, 0, 1)
    thickness = (0.038 if identity.is_man else 0.027) * (1 + 0.12 * identity.brow_thickness)
    centre = BROW_HEIGHT + 0.040 * np.sin(np.pi * np.clip(along * 0.80, 0, 1)) - 0.02 * along**2
    centre = centre + 0.006 * identity.brow_height
    half = thickness * np.sqrt(np.clip(1 - along, 0, 1)) * smoothstep(along, -0.02, 0.10)
    half = half + 0.004 * smoothstep(along, 0.05, 0.3) - 0.012 * (along < 0.02)
    inside = (side > 0.08) & (side < 0.56) & (canvas.z > 0.9)
    density = smoothstep(half - np.abs(y - centre), -0.014, 0.020) * inside
    hairs = cv2.GaussianBlur(rng.random((512, 512)).astype(np.float32), (0, 0), 0.6)
    hairs = (hairs - hairs.mean()) / hairs.std()
    across = (side * 170 - (y - centre) * 150).astype(int) % 512
    down = ((y - centre) * 60 + side * 8).astype(int) % 512
    return np.clip(density * (0.84 + 0.18 * hairs[down, across]), 0, 1)


def _paint_head(
    identity: Identity, surface: SurfaceMap, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """The head's island: colour sRGB [H,W,3] and labels [H,W]."""
    x, y, z = (surface.position[..., k] for k in range(3))
    canvas = _Canvas(x, np.abs(x), y, z, np.array(SKIN_TONES[identity.skin], np.float32))
    hair = np.array(HAIR_COLOURS[identity.hair], np.float32)
    colour = _paint_skin(canvas, identity.age, rng)
    grain = cv2.GaussianBlur(rng.standard_normal(x.shape).astype(np.float32), (0, 0), 0.8)
    grain = grain / grain.std()
    stubble = max(identity.beard, 1.0 if identity.full_beard > 0 else 0.0)
    if stubble > 0.25:
        colour = _paint_stubble(colour, canvas, stubble, hair, grain)
    colour, lips = _paint_lips(colour, canvas, surface.lips, identity.is_man, grain)
    brows = _brow_mask(canvas, identity, rng)
    colour = _mix(colour, 0.88 * brows, hair * 0.9)
    colour *= 1 - 0.10 * cv2.GaussianBlur(surface.eyelids, (0, 0), 2.0)[..., None]
    scalp = hair_cover(surface.position, identity, soft=(-0.05, 0.10))
    scalp = scalp * (1 - smoothstep(surface.ears, 0.1, 0.5)) * (y > 6.3)
    scalp = np.clip(scalp * (0.9 + 0.25 * grain * (1 - scalp)), 0, 1)
    colour = _mix(colour, 0.9 * scalp, hair * 0.8)
    labels = np.full(x.shape, LABEL["skin"], np.uint8)
    labels[lips > 0.5] = LABEL["lips"]
    labels[brows > 0.35] = LABEL["brows"]
    ears = surface.ears > 0.5
    labels[ears] = LABEL["ears"]
    # The jaw line, as a height that falls towards the ears
    below_jaw = (y < 6.17 + 0.42 * np.clip(1.35 - z, 0, 1)) & (z < 1.45) & (y < 6.62)
    labels[below_jaw & ~ears] = LABEL["neck"]
    labels[scalp > 0.5] = LABEL["hair"]
    return colour, labels


def paint_person(identity: Identity, surface: SurfaceMap, rng: np.random.Generator) -> Paint:
    """Paint the whole atlas of a person; `rng` is consumed in a fixed order."""
    texture = np.zeros((ATLAS, ATLAS, 3), np.float32)
    labels = np.full((ATLAS, ATLAS), LABEL["skin"], np.uint8)
    head = (slice(0, HEAD_HEIGHT), slice(0, HEAD_WIDTH))
    texture[head], labels[head] = _paint_head(identity, surface, rng)
    skin = np.array(SKIN_TONES[identity.skin], np.float32)
    x, y, side = TORSO_BLOCK
    torso = (slice(y, y + side), slice(x, x + side))
    texture[torso] = skin * (1 + 0.022 * fractal_noise(side, side, rng)[..., None])
    labels[torso] = LABEL["neck"]
    x, y, side = CLOTH_BLOCK
    cloth = (slice(y, y + side), slice(x, x + side))
    texture[cloth] = paint_cloth(identity, CLOTH_BLOCK, rng)
    labels[cloth] = LABEL["clothes"]
    x, y, width, height = MOUTH_BLOCK
    mouth = (slice(y, y + height), slice(x, x + width))
    texture[mouth] = MOUTH_COLOUR
    labels[mouth] = LABEL["inner_mouth"]
    paint_teeth(texture, labels, rng)
    darkness = 1 - float(skin.mean()) / BRIGHTNESS_OF_WHITE
    return Paint(
        texture=to_linear(texture),
        labels=labels,
        wrinkles=paint_wrinkles(surface.position, rng),
        gloss=0.030 + 0.030 * darkness,
    )
