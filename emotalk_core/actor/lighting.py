"""Key, fill, rim and ambient light of a room, drawn from a seed, in camera axes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32

# Towards the light, camera axes (y down, z forward): key from above, fill from the side, rim
KEY, FILL, RIM = (-0.5, -0.55, -0.68), (0.7, -0.1, -0.7), (0.75, -0.35, 0.55)
KEY_COLOUR, FILL_COLOUR = (1.02, 0.985, 0.93), (0.15, 0.165, 0.185)
RIM_COLOUR, AMBIENT_COLOUR = (0.45, 0.48, 0.54), (0.27, 0.28, 0.30)
MIDDLE_ALBEDO, EXPOSURE = 0.36, 0.35  # of skin at gain 1; exponent: 1 would make all skins equal


@dataclass(frozen=True)
class Lights:
    """Unit directions [3,3] towards key, fill, rim; linear colours [4,3] of those and ambient."""

    directions: Float32[np.ndarray, "3 3"]
    colours: Float32[np.ndarray, "4 3"]


def random_lights(rng: np.random.Generator, albedo: float) -> Lights:
    """A soft portrait light: the key from either side, a little warmer or cooler.

    Args:
        rng: draws side, direction, warmth and strength.
        albedo: mean linear albedo of the skin; the camera's exposure follows it half-heartedly.
    """
    side = 1.0 if rng.random() < 0.5 else -1.0
    directions = np.array([KEY, FILL, RIM], np.float32)
    directions[:, 0] *= side
    directions[0] += rng.uniform(-0.12, 0.12, 3)
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    colours = np.array([KEY_COLOUR, FILL_COLOUR, RIM_COLOUR, AMBIENT_COLOUR], np.float32)
    warmth = rng.uniform(-0.04, 0.04)
    colours *= np.array([1 + warmth, 1.0, 1 - warmth], np.float32)
    colours[0] *= rng.uniform(0.88, 1.04)
    colours[3] *= rng.uniform(0.95, 1.25)
    colours *= float(np.clip((MIDDLE_ALBEDO / albedo) ** EXPOSURE, 0.75, 1.35))
    return Lights(directions.astype(np.float32), colours.astype(np.float32))
