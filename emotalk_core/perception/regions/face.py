"""Landmarks of one frame in; soft masks of the face's parts and directions of the head out."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import cv2
import numpy as np
from jaxtyping import Bool, Float, Float32
from scipy.signal import savgol_filter

from emotalk_core.perception.landmarks import topology as tp
from emotalk_core.perception.parsing.crops import to_canonical
from emotalk_core.perception.regions.filters import polygon

UNITS_PER_FACE = 256.0  # a face unit is 1/256 of the face's height (forehead to chin)
STEADY_WINDOW, STEADY_ORDER = 7, 2  # frames: the jaw's outline must not shiver with the detector
# The mesh's oval ends on the chin but inside the jaw's sides; a wider one lets collars in.
JAW_SCALE = 1.045


def _distance_along(
    shape: tuple[int, int], origin: Float[np.ndarray, " 2"], direction: Float[np.ndarray, " 2"]
) -> Float32[np.ndarray, "H W"]:
    """Of every pixel's centre from `origin` along `direction`, in units of its length."""
    rows = (np.arange(shape[0]) + 0.5 - origin[1]) * direction[1]
    columns = (np.arange(shape[1]) + 0.5 - origin[0]) * direction[0]
    return rows.astype(np.float32)[:, None] + columns.astype(np.float32)


def steady_landmarks(landmarks: Float[np.ndarray, "T 478 2"]) -> Float[np.ndarray, "T 478 2"]:
    """Landmarks smoothed in time for outlines (not for lips: those are taken as they are)."""
    if len(landmarks) < STEADY_WINDOW:
        return landmarks
    return savgol_filter(landmarks, STEADY_WINDOW, STEADY_ORDER, axis=0)


def face_height(landmarks: Float[np.ndarray, "*T 478 2"]) -> float:
    """Median distance from forehead to chin, px."""
    gap = landmarks[..., tp.FOREHEAD, :] - landmarks[..., tp.CHIN, :]
    return float(np.median(np.linalg.norm(gap, axis=-1)))


@dataclass(frozen=True)
class FaceShape:
    """The face of one frame.

    Attributes:
        outline: [478,2] px, smoothed in time. exact: [478,2] px as seen (lips, eyes).
        size: (height, width) of the frame, px. height: of the face, px, the same for all frames.
    """

    outline: Float[np.ndarray, "478 2"]
    exact: Float[np.ndarray, "478 2"]
    size: tuple[int, int]
    height: float

    @property
    def unit(self) -> float:
        """Px of one face unit."""
        return self.height / UNITS_PER_FACE

    @cached_property
    def up(self) -> Float[np.ndarray, " 2"]:
        """Unit vector from chin to forehead."""
        along = self.outline[tp.FOREHEAD] - self.outline[tp.CHIN]
        return along / np.linalg.norm(along)

    def above(self, point: Float[np.ndarray, " 2"]) -> Float32[np.ndarray, "H W"]:
        """Signed distance of every pixel above the level of `point`, in face heights."""
        return _distance_along(self.size, point, self.up / self.height)

    @cached_property
    def above_ears(self) -> Float32[np.ndarray, "H W"]:
        """Signed distance above the line under the ear lobes, in face heights."""
        right, left = self.outline[list(tp.EAR_LINE)]
        along = left - right
        normal = np.array([along[1], -along[0]]) / np.linalg.norm(along)
        return _distance_along(self.size, right, normal / self.height)

    @cached_property
    def aside(self) -> Float32[np.ndarray, "H W"]:
        """Distance of every pixel from the face's long axis, in face heights."""
        across = np.array([-self.up[1], self.up[0]])
        middle = self.outline[list(tp.OVAL)].mean(axis=0)
        return np.abs(_distance_along(self.size, middle, across / self.height))

    def oval(self, scale: float) -> Float32[np.ndarray, "H W"]:
        """Coverage of the face's oval, scaled about its middle."""
        ring = self.outline[list(tp.OVAL)]
        return polygon((ring - ring.mean(axis=0)) * scale + ring.mean(axis=0), self.size)

    @cached_property
    def jaw_oval(self) -> Float32[np.ndarray, "H W"]:
        """The oval, exact at the chin and `JAW_SCALE` wide beside the jaw."""
        ring = self.outline[list(tp.OVAL)]
        middle = ring.mean(axis=0)
        height = (ring - self.outline[tp.CHIN]) @ self.up
        ears = (self.outline[list(tp.EAR_LINE)] - self.outline[tp.CHIN]) @ self.up
        share = np.clip(height / ears.mean(), 0, 1)[:, None]
        return polygon((ring - middle) * (1 + (JAW_SCALE - 1) * share) + middle, self.size)

    @cached_property
    def jaw_distance(self) -> Float32[np.ndarray, "H W"]:
        """Of every pixel from the edge of `jaw_oval`, px, negative inside; exact to 2 %."""
        inside = (self.jaw_oval > 0.5).astype(np.uint8)
        away, deep = (
            cv2.distanceTransform(mask, cv2.DIST_L2, cv2.DIST_MASK_5)
            for mask in (1 - inside, inside)
        )
        return away - deep

    def ring(self, points: tuple[int, ...]) -> Float32[np.ndarray, "H W"]:
        """Coverage of a ring of landmarks as seen."""
        return polygon(self.exact[list(points)], self.size)

    @cached_property
    def to_canonical(self) -> Float[np.ndarray, "2 3"]:
        """Similarity from px to the canonical face's x, y, metres."""
        return to_canonical(self.outline)


class ClipFaces:
    """The face of every frame of a clip, made when asked for.

    Args:
        landmarks: [T,478,2] px of track.npz.
        size: (height, width) of the frames, px.
        valid: [T] of track.npz: frames that show the face; None: all.
    """

    def __init__(
        self,
        landmarks: Float[np.ndarray, "T 478 2"],
        size: tuple[int, int],
        valid: Bool[np.ndarray, " T"] | None = None,
    ) -> None:
        self._exact = landmarks.astype(np.float64)
        self._steady = steady_landmarks(self._exact)
        self._size, self._height = size, face_height(self._exact)
        self._shown = np.arange(len(landmarks))
        if valid is not None and valid.any():
            self._shown = np.flatnonzero(valid)

    def __len__(self) -> int:
        return len(self._exact)

    def __getitem__(self, frame: int) -> FaceShape:
        return FaceShape(self._steady[frame], self._exact[frame], self._size, self._height)

    def spread(self, count: int) -> list[int]:
        """So many frames (or all) that show the face, spread over the clip.

        A clip is learned from them: black or covered frames would pass for its background.
        """
        places = np.linspace(0, len(self._shown) - 1, min(count, len(self._shown)))
        return [int(frame) for frame in self._shown[places.round().astype(int)]]
