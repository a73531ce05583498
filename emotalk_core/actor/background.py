"""From a seed to a static, out-of-focus room behind the actor."""

from __future__ import annotations

import cv2
import numpy as np
from jaxtyping import Float32

BLUR = 1 / 40  # standard deviation of the defocus, of the picture's side
WINDOW_LIGHT = (232, 238, 244)
WOOD = (92, 66, 44)


def _rectangle(
    picture: np.ndarray, x0: float, y0: float, x1: float, y1: float, colour: object
) -> None:
    """Fill a rectangle given in units of the picture's side, in place."""
    side = picture.shape[0]
    corner, opposite = (int(x0 * side), int(y0 * side)), (int(x1 * side), int(y1 * side))
    tone = tuple(float(c) for c in np.asarray(colour))
    cv2.rectangle(picture, corner, opposite, tone, -1)


def _window(picture: np.ndarray, rng: np.random.Generator) -> None:
    x = rng.uniform(-0.1, 0.7)
    _rectangle(picture, x, 0.05, x + 0.35, 0.62, WINDOW_LIGHT)
    _rectangle(picture, x + 0.165, 0.0, x + 0.185, 0.62, (120, 110, 100))
    _rectangle(picture, x - 0.05, 0.0, x, 0.7, rng.uniform(60, 150, 3))


def _bookshelf(picture: np.ndarray, rng: np.random.Generator) -> None:
    for shelf in range(5):
        base, x = 0.16 + 0.2 * shelf, 0.0
        while x < 1:
            width = rng.uniform(0.012, 0.04) + 0.004
            colour = np.clip(rng.uniform(35, 150) + rng.uniform(-28, 28, 3), 0, 255)
            _rectangle(picture, x, base - rng.uniform(0.09, 0.15), x + width, base, colour)
            x += width + 0.002
        _rectangle(picture, 0, base, 1, base + 0.02, WOOD)


def _pictures(picture: np.ndarray, rng: np.random.Generator) -> None:
    for _ in range(4):
        x, y = rng.uniform(0, 1), rng.uniform(0, 0.7)
        colour = np.clip(rng.uniform(60, 180) + rng.uniform(-30, 30, 3), 0, 255)
        _rectangle(picture, x, y, x + rng.uniform(0.1, 0.3), y + rng.uniform(0.1, 0.3), colour)
    _rectangle(picture, 0, 0.75, 1, 1, rng.uniform(50, 120, 3))


def paint_background(size: int, rng: np.random.Generator) -> Float32[np.ndarray, "S S 3"]:
    """A blurred wall with a window, a bookshelf or pictures, sRGB 0..255."""
    wall = rng.uniform(70, 175, 3) * 0.3 + rng.uniform(50, 120)
    picture = np.ones((size, size, 3), np.float32) * wall.astype(np.float32)
    bright, dark = (1.1, 0.8) if rng.random() < 0.5 else (0.8, 1.1)
    picture *= np.linspace(bright, dark, size, dtype=np.float32)[None, :, None]
    kind = (_window, _bookshelf, _pictures)[int(rng.integers(3))]
    kind(picture, rng)
    blurred = cv2.GaussianBlur(picture, (0, 0), size * BLUR)
    return np.clip(blurred, 0, 255).astype(np.float32)
