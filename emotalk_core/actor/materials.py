"""Kernels that give the material of one sample: skin, eyes, teeth, tongue, lashes, hair, cloth.

A material is a tuple (red, green, blue, label, gloss, doublings, wrap, translucent): linear albedo,
the number of the region, strength of the highlight and its exponent (2 to the power of doublings),
how far light wraps around the surface, and whether red light bleeds as in skin.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from emotalk_core.actor.face_model import BODY, LASHES, RIGHT_EYE, TONGUE
from emotalk_core.actor.hair import N_SHELLS
from emotalk_core.actor.kernels import INNER
from emotalk_core.actor.layers import CLOTH, FIRST_BEARD, FIRST_SHELL, FRAME, N_BEARD
from emotalk_core.actor.raster import strand_at
from emotalk_core.types.regions import LABEL

LIPS, HAIR, EYES = LABEL["lips"], LABEL["hair"], LABEL["eyes"]
INNER_MOUTH, TONGUE_LABEL = LABEL["inner_mouth"], LABEL["tongue"]
CLOTHES, SKIN = LABEL["clothes"], LABEL["skin"]
IRIS_RADIUS = 0.44  # of the eyeball's radius
PUPIL, PUPIL_SOFT, LIMBUS = 0.40, 0.46, 0.82  # of the iris' radius
CREASE_GAIN, CREASE_LIMIT = 2.2, 0.55  # how much a fold that an expression makes darkens the skin


@njit(**INNER)
def texture_at(paint, x, y):
    """Bilinear colour of the atlas at its full-size texel (x, y)."""
    texture = paint.texture
    x = (x + 0.5) * paint.texture_scale - 0.5
    y = (y + 0.5) * paint.texture_scale - 0.5
    x = min(max(x, 0.0), texture.shape[1] - 1.001)
    y = min(max(y, 0.0), texture.shape[0] - 1.001)
    i, j = int(y), int(x)
    fy, fx = y - i, x - j
    w00, w10, w01, w11 = (1 - fx) * (1 - fy), fx * (1 - fy), (1 - fx) * fy, fx * fy
    return (
        texture[i, j, 0] * w00
        + texture[i, j + 1, 0] * w10
        + texture[i + 1, j, 0] * w01
        + texture[i + 1, j + 1, 0] * w11,
        texture[i, j, 1] * w00
        + texture[i, j + 1, 1] * w10
        + texture[i + 1, j, 1] * w01
        + texture[i + 1, j + 1, 1] * w11,
        texture[i, j, 2] * w00
        + texture[i, j + 1, 2] * w10
        + texture[i + 1, j, 2] * w01
        + texture[i + 1, j + 1, 2] * w11,
    )


@njit(**INNER)
def _wrinkle(wrinkles, depths, x, y):
    """How much of the light a wrinkle leaves, 0.3..1."""
    i, j = int(y), int(x)
    if i < 0 or j < 0 or i >= wrinkles.shape[0] or j >= wrinkles.shape[1]:
        return 1.0
    total = 0.0
    for k in range(depths.shape[0]):
        total += depths[k] * wrinkles[i, j, k]
    return 1 - min(total / 255, 0.7)


@njit(**INNER)
def body_material(paint, depths, tu, tv, crease, rest_z, inner_light):
    """Skin, lips, brows, neck, and the lining of the mouth."""
    red, green, blue = texture_at(paint, tu, tv)
    row = min(max(int(tv + 0.5), 0), paint.labels.shape[0] - 1)
    column = min(max(int(tu + 0.5), 0), paint.labels.shape[1] - 1)
    label = paint.labels[row, column]
    if label == INNER_MOUTH:
        dark = min(max((rest_z - 0.75) / 0.75, 0.05), 1.0) * inner_light
        return red * dark, green * dark, blue * dark, label, 0.10, 5.0, 0.25, 0.0
    if label == HAIR:
        return red, green, blue, label, 0.02, 4.0, 0.32, 0.0
    fold = _wrinkle(paint.wrinkles, depths, tu, tv)
    dent = 1 - min(max(crease * CREASE_GAIN, 0.0), CREASE_LIMIT)
    gloss = paint.gloss * fold
    doublings = 4.0
    if label == LIPS:
        gloss, doublings = gloss * 1.3, 5.0
    # Folds keep more red than green and blue: light inside skin is red
    green_fold, blue_fold = fold, fold
    if fold < 1:
        green_fold, blue_fold = fold * fold**0.25, fold * fold**0.3
    return (
        red * fold * dent,
        green * green_fold * dent * 0.99,
        blue * blue_fold * dent * 0.98,
        label,
        gloss,
        doublings,
        0.32,
        1.0,
    )


@njit(**INNER)
def eye_material(iris, rx, ry, rz):
    """White, iris with fibres, limbus and pupil from coordinates around the eyeball's centre."""
    length = np.sqrt(rx * rx + ry * ry + rz * rz) + 1e-9
    radius = np.sqrt(rx * rx + ry * ry) / length
    if rz < 0:
        radius = 1.0
    edge = min(max((radius - 0.35) / 0.5, 0.0), 1.0)
    red, green, blue = 0.72 - 0.10 * edge, 0.66 - 0.24 * edge, 0.63 - 0.24 * edge
    r = radius / IRIS_RADIUS
    if r < 1.12:
        angle = np.arctan2(ry, rx)
        fibres = 0.8 + 0.25 * np.sin(angle * 23) + 0.15 * np.sin(angle * 41 + 2)
        tone = (0.55 + 0.75 * r) * fibres
        if r > LIMBUS:
            tone *= max(1 - (r - LIMBUS) * 3.2, 0.12)
        open_share = min(max((r - PUPIL) / (PUPIL_SOFT - PUPIL), 0.0), 1.0)
        mix = min(max((1.12 - r) / 0.14, 0.0), 1.0)
        black = 0.004 * (1 - open_share)
        red = red * (1 - mix) + (iris[0] * tone * open_share + black) * mix
        green = green * (1 - mix) + (iris[1] * tone * open_share + black) * mix
        blue = blue * (1 - mix) + (iris[2] * tone * open_share + black) * mix
    # The upper lid and its lashes shade the eyeball
    lid = 1 - 0.5 * min(max(ry * 15 + 0.15, 0.0), 1.0) - 0.12 * min(abs(rx) * 9, 1.0)
    return red * lid, green * lid, blue * lid, EYES, 0.9, 8.0, 0.3, 0.0


@njit(**INNER)
def tooth_material(paint, tu, tv, inner_light):
    """Enamel or gum, painted in the atlas; the mouth's opening lets the light in."""
    red, green, blue = texture_at(paint, tu, tv)
    row = min(max(int(tv + 0.5), 0), paint.labels.shape[0] - 1)
    column = min(max(int(tu + 0.5), 0), paint.labels.shape[1] - 1)
    light = 0.65 + 0.35 * inner_light
    label = paint.labels[row, column]
    return red * light, green * light, blue * light, label, 0.22, 6.0, 0.25, 0.0


@njit(**INNER)
def hair_material(mesh, part, colour, tu, tv):
    """Strands: inner shells are darker. A beard counts as skin, as in parsing datasets."""
    layer, label = 1.0, HAIR
    if part >= FIRST_BEARD:
        layer, label = (part - FIRST_BEARD) / N_BEARD, SKIN
    elif part >= FIRST_SHELL:
        layer = (part - FIRST_SHELL) / N_SHELLS
    noise = strand_at(mesh.strands, part, tu, tv)
    tone = (0.30 + 0.70 * layer) * (0.55 + 0.9 * noise)
    return colour[0] * tone, colour[1] * tone, colour[2] * tone, label, 0.0, 4.0, 0.4, 0.0


@njit(**INNER)
def material_at(mesh, paint, state, part, tu, tv, crease, rx, ry, rz):
    """The material of a sample of any part; (rx, ry, rz) are its rest coordinates."""
    if part == BODY:
        return body_material(paint, state.wrinkle_depths, tu, tv, crease, rz, state.inner_light)
    if part == CLOTH:
        red, green, blue = texture_at(paint, tu, tv)
        return red, green, blue, CLOTHES, 0.02, 3.0, 0.3, 0.0
    if part == LASHES:
        return 0.012, 0.009, 0.008, EYES, 0.0, 4.0, 0.25, 0.0
    if part == TONGUE:
        dark = min(max((rz - 0.7) / 0.6, 0.10), 1.0) * state.inner_light
        return 0.40 * dark, 0.12 * dark, 0.115 * dark, TONGUE_LABEL, 0.12, 5.0, 0.25, 0.0
    if RIGHT_EYE < part < TONGUE:
        return tooth_material(paint, tu, tv, state.inner_light)
    if part <= RIGHT_EYE:
        return eye_material(paint.iris, rx, ry, rz)
    if part == FRAME:
        return paint.frame[0], paint.frame[1], paint.frame[2], SKIN, 0.30, 6.0, 0.1, 0.0
    return hair_material(mesh, part, paint.hair, tu, tv)
