"""From base coordinates to hair: where the scalp's hair begins on any head."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float32

from emotalk_core.actor.identity import Identity
from emotalk_core.actor.paint_tools import smoothstep

# Direction around the head (degrees: -90 back, 0 side, 90 front) -> lowest height of hair (base dm)
ANGLES = (-90, -40, -20, -12, 5, 14, 24, 30, 38, 50, 70, 90)
HEIGHTS = (6.55, 6.6, 6.85, 7.36, 7.42, 7.14, 7.16, 7.5, 7.80, 7.98, 8.03, 8.02)
TEMPLES, FRONT = slice(8, 10), slice(10, 12)  # entries that recede with age
FRONT_HALF, LOWER_ON_WOMEN = slice(8, 12), 0.09  # dm: women's foreheads are lower
RECESSION = 0.20  # dm at the temples of an old man


def hairline_height(
    points: Float32[np.ndarray, "*n 3"], identity: Identity
) -> Float32[np.ndarray, "*n"]:
    """Height (base dm, y up) above which hair grows in the direction of each point."""
    recession = RECESSION * identity.is_man * identity.age
    heights = np.array(HEIGHTS)
    heights[TEMPLES] += recession
    heights[FRONT] += 0.6 * recession
    heights[FRONT_HALF] -= LOWER_ON_WOMEN * (not identity.is_man)
    angle = np.degrees(np.arctan2(points[..., 2] - 0.5, np.abs(points[..., 0])))
    return np.interp(angle, ANGLES, heights).astype(np.float32)


def hair_cover(
    points: Float32[np.ndarray, "*n 3"], identity: Identity, soft: tuple[float, float]
) -> Float32[np.ndarray, "*n"]:
    """0 on bare skin, 1 inside the hair; `soft` = heights above the hairline of 0 and 1, dm."""
    return smoothstep(points[..., 1] - hairline_height(points, identity), *soft)
