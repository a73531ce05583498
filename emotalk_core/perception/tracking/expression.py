"""Motion of a face's points in, 52 expression coefficients per frame out, by one bounded solve."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from emotalk_core.geometry.bands import (
    apply_bands,
    second_difference_bands,
    stiffness,
)
from emotalk_core.perception.tracking.detector_model import DetectorModel

MODEL_FREE = ("tongueOut",)  # moves no landmark
# Pulled to zero less than the others: what is withheld from a pucker narrows the mouth as a smaller
# smile, or a frown
LOOSE, LOOSENESS = "mouthPucker", 0.25
# Frames weigh against the pull to zero a little more than independent points would
FRAME_SHARE = 1.5
# Second differences are weighed against the data itself, so that a coefficient is low-passed alike
# in all clips: half the amplitude is left at these frequencies. Lips and lids are fast (a blink
# lasts 0.2 s); brows, cheeks and lip corners are moved by slower muscles.
FAST_HZ, SLOW_HZ = 12.0, 3.0
SLOW_SHAPES = ("brow", "mouthSmile", "mouthFrown", "cheek", "noseSneer", "eyeWide", "eyeSquint")
# What of the slow shapes is rest, a clip tells only by where they are least active: they are solved
# around the median of the frames and then count from this quantile.
REST_QUANTILE, SLOW_BELOW = 0.05, 0.1
STEPS = 300


@dataclass(frozen=True)
class Evidence:
    """What another measurement says of the coefficients, linear in them.

    Attributes:
        response: of the measurement to full weights.
        precision: inverse covariance of its errors.
        values: measured, in every frame.
    """

    response: Float[np.ndarray, "52 E"]
    precision: Float[np.ndarray, "E E"]
    values: Float[np.ndarray, "T E"]


def solve_expression(
    motion: Float[np.ndarray, "T D"],
    weights: Float[np.ndarray, " T"],
    model: DetectorModel,
    smoothing: float = 1.0,
    ridge: float = 1.0,
    more: Evidence | None = None,
) -> Float[np.ndarray, "T 52"]:
    """Coefficients in 0..1, those of `SLOW_SHAPES` in -1..1, against the given rest.

    Minimises the misfit in the metric of the detector's errors, a pull to zero, and second
    differences in time, all frames at once.

    Args:
        motion: of the model's chosen points against rest, metres, head axes.
        weights: of the frames; one with 0 takes the values of its neighbours.
        model: of the detector.
        smoothing: factor on the weight of the second differences.
        ridge: factor on the pull to zero.
        more: a second measurement of the same frames.
    """
    used = np.array([i for i, name in enumerate(model.names) if name not in MODEL_FREE])
    response = model.response[used]
    weighed = FRAME_SHARE * response @ model.precision
    loose = [model.names[i] == LOOSE for i in used]
    pull = ridge * np.where(loose, LOOSENESS, 1.0) / model.sigmas[used] ** 2
    hessian = weighed @ response.T + np.diag(pull)
    gradient = (motion @ weighed.T) * weights[:, None]
    if more is not None:
        weighed = more.response[used] @ more.precision
        hessian = hessian + weighed @ more.response[used].T
        gradient = gradient + (more.values @ weighed.T) * weights[:, None]
    slow = [model.names[i].startswith(SLOW_SHAPES) for i in used]
    stiff = smoothing * np.where(slow, stiffness(SLOW_HZ), stiffness(FAST_HZ)) * np.diag(hessian)
    result = np.zeros((len(motion), len(model.names)))
    result[:, used] = _bounded(hessian, gradient, weights, stiff, np.where(slow, -SLOW_BELOW, 0.0))
    return result


def from_rest(
    expression: Float[np.ndarray, "T 52"], names: tuple[str, ...]
) -> tuple[Float[np.ndarray, "T 52"], Float[np.ndarray, " 52"]]:
    """Coefficients of 0..1 counted from rest, and what was taken off for it."""
    slow = np.array([name.startswith(SLOW_SHAPES) for name in names])
    rest = np.where(slow, np.quantile(expression, REST_QUANTILE, axis=0), 0.0)
    return np.clip(expression - rest, 0, 1), rest


def _bounded(
    hessian: Float[np.ndarray, "K K"],
    gradient: Float[np.ndarray, "T K"],
    weights: Float[np.ndarray, " T"],
    stiff: Float[np.ndarray, " K"],
    least: Float[np.ndarray, " K"],
) -> Float[np.ndarray, "T K"]:
    """Minimum over `least`..1 by accelerated projected gradients with restart, all frames at once.

    Variables are scaled by the diagonal of their curvature, else jawOpen alone sets the step.
    """
    scale = 1 / np.sqrt(np.diag(hessian) + stiff)
    hessian, gradient = hessian * scale[:, None] * scale, gradient * scale
    stiff = stiff * scale**2
    step = 1 / (float(np.linalg.eigvalsh(hessian)[-1]) + 16 * float(stiff.max()))
    bands, lower, upper = second_difference_bands(len(gradient)), least / scale, 1 / scale
    now = ahead = np.zeros_like(gradient)
    momentum = 1.0
    for _ in range(STEPS):
        slope = (ahead @ hessian) * weights[:, None] - gradient + stiff * apply_bands(bands, ahead)
        after = np.clip(ahead - step * slope, lower, upper)
        if ((ahead - after) * (after - now)).sum() > 0:  # overshoot: restart the momentum
            momentum = 1.0
        following = (1 + np.sqrt(1 + 4 * momentum**2)) / 2
        ahead = after + (momentum - 1) / following * (after - now)
        now, momentum = after, following
    return now * scale
