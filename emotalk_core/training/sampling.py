"""Which frames a step sees: a pure function of (seed, step); resuming needs no random state."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from jaxtyping import Float32, Int

from emotalk_core.errors import NumericalError

WIDEST_SHARE = 0.05  # METHOD 2.5: the mouth's static warm-up sees the top 5 % of AU25
CAP_PERCENTILE = 95  # AU25 is clipped here (METHOD 2.1)
WINDOW_UNTIL = 0.8  # share of the phase over which an AU window opens (METHOD 2.5: 39k, 40k of 50k)
SMALLEST_POOL = 4  # frames: a window never gets narrower than this


@dataclass(frozen=True)
class Sample:
    """One picture to train on.

    Attributes:
        frame: index in the clip whose camera, sound, action units, torso and alpha count.
        image: index in the emotion bank, or None for the clip's own frame.
    """

    frame: int
    image: int | None = None


@dataclass(frozen=True)
class SamplePool:
    """What can be drawn.

    Attributes:
        frames: usable training frames.
        mouth, eyes: AU25 and AU45 of those frames.
        bank_frames: source frame of each usable bank image.
        bank_images: index of those images.
        bank_share: share of steps that draw from the bank.
    """

    frames: Int[np.ndarray, " F"]
    mouth: Float32[np.ndarray, " F"]
    eyes: Float32[np.ndarray, " F"]
    bank_frames: Int[np.ndarray, " B"]
    bank_images: Int[np.ndarray, " B"]
    bank_share: float = 0.0

    def __post_init__(self) -> None:
        if len(self.frames) < SMALLEST_POOL:
            raise NumericalError(
                f"training frames: only {len(self.frames)} usable (tracked, with a mask), wanted "
                f"at least {SMALLEST_POOL}; look at quality.json, regions.mkv and alpha.mkv"
            )


@lru_cache(maxsize=4)
def _permutation(seed: int, epoch: int, count: int, stream: int) -> np.ndarray:
    return np.random.default_rng([seed, stream, epoch]).permutation(count)


def _in_turn(seed: int, step: int, count: int, stream: int) -> int:
    """Every element once an epoch, in an order drawn from (seed, epoch)."""
    return int(_permutation(seed, step // count, count, stream)[step % count])


def window(values: Float32[np.ndarray, " F"], progress: float) -> Int[np.ndarray, " W"]:
    """Positions whose value lies in [top - t*range, top], t growing from 0 to 1 (METHOD 2.5)."""
    capped = np.minimum(values, np.percentile(values, CAP_PERCENTILE))
    top, low = float(capped.max()), float(capped.min())
    opened = min(progress / WINDOW_UNTIL, 1.0)
    inside = np.flatnonzero(capped >= top - opened * (top - low))
    if len(inside) >= SMALLEST_POOL:
        return inside
    return np.argsort(-values, kind="stable")[:SMALLEST_POOL]


def widest(values: Float32[np.ndarray, " F"]) -> Int[np.ndarray, " W"]:
    """Positions of the top 5 % of AU25."""
    count = max(SMALLEST_POOL, round(WIDEST_SHARE * len(values)))
    return np.argsort(-values, kind="stable")[:count]


def sample_at(
    pool: SamplePool, sampling: str, every: int, seed: int, step: int, progress: float
) -> Sample:
    """The picture of one step."""
    if len(pool.bank_images) and pool.bank_share > 0:
        draw = np.random.default_rng([seed, 11, step]).random()
        if draw < pool.bank_share:
            position = _in_turn(seed, step, len(pool.bank_images), stream=12)
            return Sample(int(pool.bank_frames[position]), int(pool.bank_images[position]))
    if sampling == "widest_mouth":
        chosen = widest(pool.mouth)
        return Sample(int(pool.frames[chosen[_in_turn(seed, step, len(chosen), stream=13)]]))
    if sampling in ("mouth_window", "eye_window") and every > 0 and step % every == 0:
        chosen = window(pool.mouth if sampling == "mouth_window" else pool.eyes, progress)
        pick = np.random.default_rng([seed, 14, step]).integers(len(chosen))
        return Sample(int(pool.frames[chosen[pick]]))
    return Sample(int(pool.frames[_in_turn(seed, step, len(pool.frames), stream=15)]))


def batch_at(pool: SamplePool, count: int, seed: int, step: int) -> list[Sample]:
    """What a step that draws nothing sees (landmark warm start), with replacement.

    Images of the emotion bank where there is one, else frames of the clip.
    """
    draw = np.random.default_rng([seed, 16, step])
    if len(pool.bank_images) and pool.bank_share > 0:
        chosen = draw.integers(len(pool.bank_images), size=count)
        return [Sample(int(pool.bank_frames[i]), int(pool.bank_images[i])) for i in chosen]
    return [Sample(int(i)) for i in pool.frames[draw.integers(len(pool.frames), size=count)]]
