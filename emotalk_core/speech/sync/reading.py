"""An expert, lips and sound in; distances by shift, offset, confidence and separability out.

A moment of sound lies nearer to some lips than to others whatever those lips do at that moment: a
closed mouth is near every pause. `beyond_chance` takes out what lips of any moment would have got,
so that lips which never move score exactly nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from jaxtyping import Bool, Float, Float32
from torch import Tensor

from emotalk_core.speech.sync.network import REACH, SyncExpert

MAX_SHIFT = 15  # frames to either side, as SyncNet's scorer (METHOD 3)
FAR = 3  # frames: shifts from here on are wrong moments in `separability`
# Lips of so many moments, evenly spread, tell what lips of any moment get (20 s; bounds the time).
ANY_MOMENTS = 500


class Listener(Protocol):
    """The sound tower of an expert on lip points or on pictures."""

    @property
    def per_frame(self) -> int:
        """Columns of sound of each frame."""
        ...

    def listen(self, sound: Float[Tensor, "B S D"]) -> Float[Tensor, "B t C"]:
        """Vectors of frames of sound."""
        ...


@dataclass(frozen=True)
class SyncReading:
    """How well lips and sound of one clip agree.

    Attributes:
        distance: smallest mean distance of any shift (LSE-D); unit vectors, chance about 1.3.
        confidence: median minus smallest mean distance over the shifts (LSE-C).
        own: mean distance at shift 0.
        shift: frames by which the sound is late (positive) at the smallest distance.
    """

    distance: float
    confidence: float
    own: float
    shift: int


def lip_codes(expert: SyncExpert, lips: Float32[np.ndarray, "T 80"]) -> Float32[np.ndarray, "T C"]:
    """Unit vectors of every frame; ends repeat."""
    padded = np.pad(lips, ((REACH, REACH), (0, 0)), "edge")
    with torch.no_grad():
        return expert.see(torch.from_numpy(padded)[None])[0].numpy()


def sound_codes(
    expert: Listener, sound: Float32[np.ndarray, "S D"], shift_columns: int = 0
) -> Float32[np.ndarray, "T C"]:
    """Unit vectors of every frame of sound; ends repeat.

    Args:
        expert: whose sound tower listens.
        sound: columns of `sounds.hear`.
        shift_columns: the sound is taken this many columns later than the frames.
    """
    n = len(sound) // expert.per_frame
    reach = REACH * expert.per_frame
    index = np.arange(-reach, n * expert.per_frame + reach) + shift_columns
    padded = sound[np.clip(index, 0, len(sound) - 1)]
    with torch.no_grad():
        return expert.listen(torch.from_numpy(padded)[None])[0].numpy()


def distances_by_shift(
    seen: Float[np.ndarray, "T C"], heard: Float[np.ndarray, "A C"], at: np.ndarray | None = None
) -> Float32[np.ndarray, "T 31"]:
    """Distance of each frame of lips to the sound 15 frames before .. 15 after; nan outside.

    Args:
        seen: vectors of lips.
        heard: vectors of sound.
        at: audio frame of each frame of lips, 0, 1, 2, ... by default.
    """
    at = np.arange(len(seen)) if at is None else np.asarray(at)
    moment = at[:, None] + np.arange(-MAX_SHIFT, MAX_SHIFT + 1)[None, :]
    inside = (moment >= 0) & (moment < len(heard))
    gap = seen[:, None] - heard[np.clip(moment, 0, len(heard) - 1)]
    return np.where(inside, np.linalg.norm(gap, axis=2), np.nan).astype(np.float32)


def beyond_chance(
    seen: Float[np.ndarray, "T C"],
    heard: Float[np.ndarray, "A C"],
    at: np.ndarray | None = None,
    known: Bool[np.ndarray, " T"] | None = None,
) -> Float32[np.ndarray, "T 31"]:
    """`distances_by_shift` less what the lips get when their order is shuffled; same mean level.

    The mean over all orders is exact: each moment of sound against the lips of every moment. All
    distances of lips that never move are equal, whatever the sound.

    Args:
        seen: vectors of lips.
        heard: vectors of sound.
        at: audio frame of each frame of lips, 0, 1, 2, ... by default.
        known: frames with a face, whose lips are shuffled; all by default.
    """
    at = np.arange(len(seen)) if at is None else np.asarray(at)
    apart = distances_by_shift(seen, heard, at)
    pool = seen if known is None or not known.any() else seen[known]
    lips = pool[np.unique(np.linspace(0, len(pool) - 1, ANY_MOMENTS).astype(int))]
    moment = np.clip(at[:, None] + np.arange(-MAX_SHIFT, MAX_SHIFT + 1)[None, :], 0, len(heard) - 1)
    used, place = np.unique(moment, return_inverse=True)
    any_lips = np.array([np.linalg.norm(lips - h, axis=1).mean() for h in heard[used]])
    expected = np.where(np.isfinite(apart), any_lips[place].reshape(moment.shape), np.nan)
    level = np.nanmean(expected) if np.isfinite(expected).any() else np.nan
    return (apart - expected + level).astype(np.float32)


def summarise(distances: Float[np.ndarray, "T 31"]) -> SyncReading:
    """Reading of a clip; frames whose shifts reach beyond the sound do not count."""
    whole = distances[np.isfinite(distances).all(axis=1)]
    if len(whole) == 0:
        return SyncReading(float("nan"), float("nan"), float("nan"), 0)
    mean = whole.mean(axis=0)
    best = int(mean.argmin())
    return SyncReading(
        distance=float(mean[best]),
        confidence=float(np.median(mean) - mean[best]),
        own=float(mean[MAX_SHIFT]),
        shift=best - MAX_SHIFT,
    )


def read_sync(
    expert: SyncExpert, lips: Float32[np.ndarray, "T 80"], sound: Float32[np.ndarray, "S D"]
) -> SyncReading:
    """Reading of lips beside a sound that begins with them, beyond chance."""
    return summarise(beyond_chance(lip_codes(expert, lips), sound_codes(expert, sound)))


def separability(distances: Float[np.ndarray, "T 31"], window: int) -> float:
    """Area under the ROC curve: right moments against moments at least `FAR` frames off.

    Args:
        distances: of a clip in sync.
        window: frames over which distances are averaged before they are compared.

    Returns:
        1 when every right window lies nearer than every wrong one, .5 for chance; nan when the
        clip is shorter than the window and the shifts.
    """
    from scipy.stats import rankdata

    whole = distances[np.isfinite(distances).all(axis=1)].astype(np.float64)
    if len(whole) < window + 2:
        return float("nan")
    sums = np.cumsum(np.pad(whole, ((1, 0), (0, 0))), axis=0)
    means = (sums[window:] - sums[:-window]) / window
    shifts = np.arange(-MAX_SHIFT, MAX_SHIFT + 1)
    right, wrong = means[:, MAX_SHIFT], means[:, np.abs(shifts) >= FAR].ravel()
    ranks = rankdata(np.concatenate([-right, -wrong]))[: len(right)]
    beaten = ranks.sum() - len(right) * (len(right) + 1) / 2
    return float(beaten / (len(right) * len(wrong)))
