"""Similarities between point sets, openings and sizes of faces, frames spread over a clip."""

from __future__ import annotations

import dataclasses

import numpy as np
from jaxtyping import Bool, Float, Int

from emotalk_core.perception.landmarks import topology as tp


@dataclasses.dataclass(frozen=True)
class Similarity:
    """x -> scale * rotation @ x + shift."""

    scale: float
    rotation: Float[np.ndarray, "3 3"]
    shift: Float[np.ndarray, " 3"]

    def apply(self, points: Float[np.ndarray, "*b 3"]) -> Float[np.ndarray, "*b 3"]:
        """The transformed points."""
        return self.scale * points @ self.rotation.T + self.shift


def fit_similarity(
    source: Float[np.ndarray, "N 3"], target: Float[np.ndarray, "N 3"]
) -> Similarity:
    """Least-squares similarity from `source` to `target` (Umeyama 1991)."""
    a, b = source - source.mean(axis=0), target - target.mean(axis=0)
    u, sizes, vt = np.linalg.svd(b.T @ a)
    sign = np.array([1.0, 1.0, np.sign(np.linalg.det(u @ vt))])
    rotation = u * sign @ vt
    scale = float((sizes * sign).sum() / (a**2).sum())
    return Similarity(scale, rotation, target.mean(axis=0) - scale * rotation @ source.mean(axis=0))


def lip_gap(points: Float[np.ndarray, "T 478 C"]) -> Float[np.ndarray, " T"]:
    """Distance of the inner lips' middles, in the unit of `points`."""
    gap = points[:, tp.UPPER_INNER_LIP] - points[:, tp.LOWER_INNER_LIP]
    return np.linalg.norm(gap, axis=1)


def lid_gap(points: Float[np.ndarray, "T 478 C"]) -> Float[np.ndarray, " T"]:
    """Mean distance of upper and lower lids, in the unit of `points`."""
    gaps = [np.linalg.norm(points[:, a] - points[:, b], axis=1) for a, b in tp.UPPER_LOWER_LIDS]
    return np.mean(gaps, axis=0)


def opening(
    points: Float[np.ndarray, "T 478 3"], pairs: tuple[tuple[int, int], ...]
) -> Float[np.ndarray, " T"]:
    """Mean distance downwards of (upper, lower) points in head axes.

    Downwards only: detectors let closed lips cross, which a distance would show as open.
    """
    gaps = [points[:, low, 1] - points[:, high, 1] for high, low in pairs]
    return np.maximum(np.mean(gaps, axis=0), 0)


def eye_distances(points: Float[np.ndarray, "T 478 C"]) -> Float[np.ndarray, " T"]:
    """Distance of the outer eye corners, in the unit of `points`."""
    right, left = tp.OUTER_EYE_CORNERS
    return np.linalg.norm(points[:, right] - points[:, left], axis=1)


def spread_frames(valid: Bool[np.ndarray, " T"], count: int) -> Int[np.ndarray, " S"]:
    """At most `count` valid frames, evenly spread."""
    known = np.flatnonzero(valid)
    picks = np.linspace(0, len(known) - 1, min(count, len(known))).round().astype(int)
    return known[picks]
