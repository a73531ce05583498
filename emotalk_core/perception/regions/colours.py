"""Pixels of known regions in; a lookup table from colour to the probability of each region out."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from jaxtyping import Float32, UInt8
from sklearn.mixture import GaussianMixture

COMPONENTS = 4
SAMPLES = 4000  # per region; more do not move the mixtures
LEVELS = 32  # per RGB channel of the lookup table
MIN_SAMPLES = 40 * COMPONENTS  # below that a region has no colour model
LIKELIHOOD_FLOOR = 1e-7  # of a colour in 8-bit Lab: unknown colours are nobody's
REGULARISATION = 4.0  # Lab levels squared added to the covariances: camera noise
HAIR, SKIN, CLOTHES, NECK = range(4)
CLASSES = ("hair", "skin", "clothes", "neck")  # neck: the shaded skin under the chin


@dataclass(frozen=True)
class ColourModel:
    """Probability of each of `CLASSES` by colour.

    Attributes:
        table: [32,32,32,4] by RGB level, sums to 1 over the classes.
    """

    table: Float32[np.ndarray, "L L L C"]

    def posterior(self, frame: UInt8[np.ndarray, "H W 3"]) -> Float32[np.ndarray, "H W C"]:
        """Probability of each of `CLASSES` of every pixel of an RGB frame."""
        return look_up(self.table, frame)


def look_up(
    table: Float32[np.ndarray, "L L L C"], frame: UInt8[np.ndarray, "H W 3"]
) -> Float32[np.ndarray, "H W C"]:
    """What a table by RGB level says of every pixel."""
    red, green, blue = (frame[..., channel] // (256 // LEVELS) for channel in range(3))
    index = (red.astype(np.int32) * LEVELS + green) * LEVELS + blue
    return table.reshape(-1, table.shape[-1]).take(index, axis=0)


def fit_colours(samples: dict[str, UInt8[np.ndarray, "N 3"]], seed: int) -> ColourModel:
    """Gaussian mixtures in Lab for every class, equal priors.

    Args:
        samples: class -> RGB pixels; classes with too few pixels never win.
        seed: of the choice of samples and of the mixtures' start.
    """
    grid = (np.arange(LEVELS) + 0.5) * (256 / LEVELS)
    colours = np.stack(np.meshgrid(grid, grid, grid, indexing="ij"), axis=-1).reshape(-1, 1, 3)
    lab = _lab(colours.astype(np.uint8))
    likelihood = np.full((len(lab), len(CLASSES)), LIKELIHOOD_FLOOR)
    rng = np.random.default_rng(seed)
    for column, name in enumerate(CLASSES):
        pixels = samples.get(name, np.empty((0, 3), np.uint8))
        if len(pixels) < MIN_SAMPLES:
            continue
        chosen = rng.choice(len(pixels), min(SAMPLES, len(pixels)), replace=False)
        mixture = GaussianMixture(
            COMPONENTS, reg_covar=REGULARISATION, random_state=seed, max_iter=60
        ).fit(_lab(pixels[np.sort(chosen)][:, None]))
        likelihood[:, column] += np.exp(mixture.score_samples(lab))
    table = likelihood / likelihood.sum(axis=1, keepdims=True)
    return ColourModel(table.astype(np.float32).reshape(LEVELS, LEVELS, LEVELS, len(CLASSES)))


def _lab(rgb: UInt8[np.ndarray, "N 1 3"]) -> Float32[np.ndarray, "N 3"]:
    return cv2.cvtColor(rgb, cv2.COLOR_RGB2LAB).reshape(-1, 3).astype(np.float32)
