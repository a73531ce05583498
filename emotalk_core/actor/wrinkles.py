"""Wrinkles: five painted channels on the base head; how an expression and age fold them."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float32, UInt8

from emotalk_core.actor.paint_tools import bump, fractal_noise, smoothstep

CHANNELS = ("forehead", "glabella", "nasolabial", "nose_and_eyes", "mouth_corner")
# How much of each expression weight folds each channel (pairs are the mean of both sides)
DRIVERS: tuple[dict[str, float], ...] = (
    {"browInnerUp": 0.5, "browOuterUp": 0.5},
    {"browDown": 0.95, "noseSneer": 0.25},
    {"mouthSmile": 0.55, "noseSneer": 0.5, "mouthUpperUp": 0.15},
    {"noseSneer": 0.6, "cheekSquint": 0.45, "eyeSquint": 0.15},
    {"mouthFrown": 0.7, "mouthShrugLower": 0.4},
)
DEPTH = np.array([0.30, 0.45, 0.38, 0.42, 0.34], np.float32)  # darkest shade at weight 1
AGE_DEPTH = np.array([0.30, 0.10, 0.22, 0.25, 0.18], np.float32)  # what stays at rest in old age
AGE_OF_WRINKLES = 0.25  # younger faces have none at rest


def paint_wrinkles(
    position: Float32[np.ndarray, "H W 3"], rng: np.random.Generator
) -> UInt8[np.ndarray, "H W 5"]:
    """Depth of the channels over the head's island, 0..255."""
    x, y, z = (position[..., k] for k in range(3))
    side = np.abs(x)
    front = smoothstep(z, 0.8, 1.1)
    wobble = 0.012 * np.sin(9 * x + 1.3) + 0.006 * np.sin(23 * x)
    forehead = sum(
        strength * bump(y - (height + wobble - 0.10 * x * x), 0.012)
        for height, strength in ((7.68, 0.8), (7.77, 1.0), (7.87, 0.8), (7.96, 0.4))
    ) * smoothstep(0.48 - side, 0, 0.2)
    glabella = bump(side - 0.055 - 0.03 * (y - 7.5), 0.013)
    glabella = glabella * smoothstep(y, 7.38, 7.44) * (1 - smoothstep(y, 7.54, 7.62))
    glabella = glabella + 0.55 * bump(np.hypot((side - 0.13) / 0.10, (y - 7.40) / 0.05), 1)
    glabella = glabella + 0.35 * bump(np.hypot(side / 0.12, (y - 7.36) / 0.04), 1)
    down = np.clip((6.95 - y) / 0.42, 0, 1)
    fold = side - (0.165 + 0.15 * down**0.8)
    ends = smoothstep(down, 0, 0.15) * smoothstep(1 - down, 0, 0.25)
    nasolabial = (bump(fold, 0.022) + 0.10 * bump(fold - 0.02, 0.05)) * ends
    nose = sum(bump(y - (height + 0.25 * side), 0.010) for height in (7.14, 7.19, 7.24))
    nose = nose * smoothstep(0.13 - side, 0, 0.05)
    feet = sum(bump(y - 7.28 - slope * (side - 0.46), 0.007) for slope in (-0.45, -0.1, 0.25))
    feet = feet * smoothstep(side, 0.50, 0.54) * (1 - smoothstep(side, 0.60, 0.68))
    corner = bump(side - 0.30 - 0.10 * (6.58 - y), 0.018)
    corner = corner * smoothstep(6.60 - y, 0, 0.06) * (1 - smoothstep(6.60 - y, 0.14, 0.26))
    chin = bump(np.hypot(x / 0.20, (y - 6.40) / 0.025), 1)
    channels = (
        forehead,
        glabella,
        nasolabial,
        (nose + 0.8 * feet) * 0.8,
        0.8 * corner + 0.5 * chin,
    )
    depth = np.stack([c * front for c in channels], axis=-1)
    uneven = 1 + 0.15 * fractal_noise(x.shape[0], x.shape[1], rng)[..., None]
    return (255 * np.clip(depth * uneven, 0, 1)).astype(np.uint8)


def wrinkle_depths(
    expression: Float32[np.ndarray, " 52"], names: tuple[str, ...], age: float
) -> Float32[np.ndarray, " 5"]:
    """How deep each channel is folded by an expression and by age."""
    weight = dict(zip(names, expression))

    def strength(name: str) -> float:
        if name in weight:
            return float(weight[name])
        return 0.5 * float(weight[name + "Left"] + weight[name + "Right"])

    folded = [sum(f * strength(n) for n, f in drivers.items()) for drivers in DRIVERS]
    rest = AGE_DEPTH * max(age - AGE_OF_WRINKLES, 0.0)
    return (np.array(folded, np.float32) * DEPTH + rest).astype(np.float32)
