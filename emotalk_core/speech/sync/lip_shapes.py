"""Face landmarks of a clip in, lip shapes free of head pose, size and person out (pure)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Float32

from emotalk_core.types.lip_points import (
    INNER_LIPS,
    OUTER_EYE_CORNERS,
    OUTER_LIPS,
    STILL_POINTS,
)

LIP_POINTS = (*OUTER_LIPS, *INNER_LIPS)
N_LIPS = len(LIP_POINTS)
N_STILL = len(STILL_POINTS)
USED_POINTS = (*STILL_POINTS, *LIP_POINTS)  # `pack` keeps these, in this order
SHAPE_SIZE = 2 * N_LIPS
GAIN = 12.0  # lips move by about a twelfth of the outer eye distance: shapes have unit size
SMOOTHING = (0.25, 0.5, 0.25)  # over neighbouring frames' poses: still points are noisy too


def _mirrored(ring: int) -> list[int]:
    """Position of each point's mirror image in a ring that starts at the right corner."""
    return [(ring // 2 - k) % ring for k in range(ring)]


# Order of the 40 points after a reflection about the face's middle.
MIRROR = np.array(
    _mirrored(len(OUTER_LIPS)) + [len(OUTER_LIPS) + k for k in _mirrored(len(INNER_LIPS))]
)


@dataclass(frozen=True)
class LipFrame:
    """The person's mean face, against which lips are measured.

    It is made from the real person. A render is measured against it too: its own mean would hide
    lips that hang open or never move.

    Attributes:
        still: mean of the still points; outer eye distance 1, eye axis horizontal, origin between.
        lips: mean of the lip points in the same frame.
    """

    still: Float32[np.ndarray, "14 2"]
    lips: Float32[np.ndarray, "40 2"]

    @classmethod
    def fit(
        cls, landmarks: Float[np.ndarray, "T L C"], valid: Bool[np.ndarray, " T"] | None = None
    ) -> LipFrame:
        """The mean face of some frames.

        Args:
            landmarks: 478 points or those that `pack` keeps, px, y down; depth is not looked at.
            valid: frames to use, all by default.
        """
        chosen = pack(landmarks if valid is None else landmarks[valid])
        points = chosen[..., 0] + 1j * chosen[..., 1].astype(np.float64)
        corners = (STILL_POINTS.index(k) for k in OUTER_EYE_CORNERS)
        right, left = (points[:, k, None] for k in corners)
        upright = (points - (right + left) / 2) / (left - right)
        still = upright[:, :N_STILL].mean(axis=0)
        turned, moved = _similarity(points[:, :N_STILL], still)
        lips = (points[:, N_STILL:] * turned + moved).mean(axis=0)
        return cls(_as_pairs(still), _as_pairs(lips))

    def shapes(self, landmarks: Float[np.ndarray, "T L C"]) -> Float32[np.ndarray, "T 80"]:
        """Lip shapes of consecutive frames: displacement from the mean lips, about unit size.

        Frames without a face (nan) take the shape of the nearest frame before (or after) them.
        """
        packed = pack(landmarks)
        known = np.isfinite(packed).all(axis=(1, 2))
        if not known.any():
            return np.zeros((len(landmarks), SHAPE_SIZE), dtype=np.float32)
        points = _held(packed, known)
        still = self.still[:, 0] + 1j * self.still[:, 1].astype(np.float64)
        turned, moved = (_smooth(v) for v in _similarity(points[:, :N_STILL], still))
        lips = _as_pairs(points[:, N_STILL:] * turned + moved)
        return as_shapes(lips - self.lips)

    def to_dict(self) -> dict[str, list]:
        """JSON-ready dictionary."""
        return {"still": self.still.tolist(), "lips": self.lips.tolist()}

    @classmethod
    def from_dict(cls, data: dict[str, list]) -> LipFrame:
        """Inverse of `to_dict`."""
        return cls(*(np.array(data[name], dtype=np.float32) for name in ("still", "lips")))


def pack(landmarks: Float[np.ndarray, "T L C"]) -> Float[np.ndarray, "T 54 2"]:
    """The points that matter here of all 478; packed points stay as they are."""
    packed = landmarks.shape[1] == len(USED_POINTS)
    return landmarks[..., :2] if packed else landmarks[:, USED_POINTS, :2]


def as_shapes(displacement: Float[np.ndarray, "T 40 2"]) -> Float32[np.ndarray, "T 80"]:
    """Displacements of the lip points in outer eye distances as an expert's input."""
    return (displacement * GAIN).reshape(len(displacement), SHAPE_SIZE).astype(np.float32)


def about_mean(
    shapes: Float32[np.ndarray, "T 80"], known: Bool[np.ndarray, " T"] | None = None
) -> Float32[np.ndarray, "T 80"]:
    """Shapes about their mean over the known frames (all by default): motion without posture."""
    chosen = shapes if known is None or not known.any() else shapes[known]
    return shapes - chosen.mean(axis=0)


def _held(landmarks: np.ndarray, known: np.ndarray) -> np.ndarray:
    """Points as complex numbers; unknown frames repeat the last (at the start: first) known one."""
    latest = np.maximum.accumulate(np.where(known, np.arange(len(known)), -1))
    chosen = landmarks[np.where(latest < 0, np.argmax(known), latest)]
    return chosen[..., 0] + 1j * chosen[..., 1].astype(np.float64)


def _similarity(points: np.ndarray, target: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(factor [T,1], shift [T,1]) of the least-squares similarity from points [T,N] to target."""
    mean, centre = points.mean(axis=1, keepdims=True), target.mean()
    centred = points - mean
    energy = (np.abs(centred) ** 2).sum(axis=1, keepdims=True)
    factor = (centred.conj() * (target - centre)).sum(axis=1, keepdims=True) / energy
    return factor, centre - factor * mean


def _smooth(values: np.ndarray) -> np.ndarray:
    """Weighted mean over three neighbouring frames; ends repeat."""
    padded = np.concatenate([values[:1], values, values[-1:]])
    return sum(w * padded[k : k + len(values)] for k, w in enumerate(SMOOTHING))


def _as_pairs(points: np.ndarray) -> np.ndarray:
    """Complex [...] to float32 [...,2]."""
    return np.stack([points.real, points.imag], axis=-1).astype(np.float32)
