"""Landmarks of a frame in; where the networks look (aligned crops), and the way back."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from jaxtyping import Float, Float32, UInt8

from emotalk_core.perception.landmarks import topology as tp
from emotalk_core.perception.regions.filters import polygon


@dataclass(frozen=True)
class CropPlan:
    """Where a crop lies on the canonical face.

    Attributes:
        size: px of the crop's side.
        side: metres of the canonical face that it shows.
        centre: of the crop, canonical metres; None: the middle of the outer lips as found.
    """

    size: int
    side: float
    centre: tuple[float, float] | None


HEAD_CROP = CropPlan(size=96, side=0.32, centre=(0.0, -0.03))  # hair to collar
MOUTH_CROP = CropPlan(size=96, side=0.08, centre=None)  # wide open mouths and their corners
GLASSES_CROP = CropPlan(size=128, side=0.18, centre=(0.0, 0.005))  # from ear to ear
LEAST_CHANCE = 1e-4  # below it the networks' chances mean nothing


def to_canonical(landmarks: Float[np.ndarray, "478 2"]) -> Float[np.ndarray, "2 3"]:
    """Similarity from px to the canonical face's x, y, metres (least squares, rigid points)."""
    rigid = list(tp.rigid_points())
    source = landmarks[rigid] @ np.array([1, 1j])
    target = tp.canonical_face()[rigid, :2] @ np.array([1, 1j])
    a, b = source - source.mean(), target - target.mean()
    turn = (a.conj() * b).sum() / (np.abs(a) ** 2).sum()
    shift = target.mean() - turn * source.mean()
    return np.array([[turn.real, -turn.imag, shift.real], [turn.imag, turn.real, shift.imag]])


def crop_transform(
    landmarks: Float[np.ndarray, "478 2"], plan: CropPlan
) -> Float[np.ndarray, "2 3"]:
    """Similarity from px of the frame to px of the crop (pixel centres at +0.5 in both)."""
    canonical = to_canonical(landmarks)
    if plan.centre is None:
        middle = landmarks[list(tp.OUTER_LIPS)].mean(axis=0)
        centre = canonical[:, :2] @ middle + canonical[:, 2]
    else:
        centre = np.array(plan.centre)
    scale = plan.size / plan.side
    transform = canonical * scale
    transform[:, 2] += plan.size / 2 - centre * scale
    return transform


def _for_cv2(transform: Float[np.ndarray, "2 3"]) -> Float[np.ndarray, "2 3"]:
    """The same map for pixel centres at 0, as OpenCV counts."""
    moved = transform.copy()
    moved[:, 2] += transform[:, :2] @ [0.5, 0.5] - 0.5
    return moved


def cut(
    picture: np.ndarray, transform: Float[np.ndarray, "2 3"], size: int, nearest: bool = False
) -> np.ndarray:
    """The crop of a picture; its border is repeated outside.

    Enlarging is by cubics: lines would wash out strips of a pixel, as teeth often are.
    """
    enlarges = np.linalg.norm(transform[:, 0]) > 1
    flags = cv2.INTER_CUBIC if enlarges else cv2.INTER_LINEAR
    flags = cv2.INTER_NEAREST if nearest else flags
    matrix = _for_cv2(transform)
    return cv2.warpAffine(
        picture, matrix, (size, size), flags=flags, borderMode=cv2.BORDER_REPLICATE
    )


def put_back(
    scores: Float32[np.ndarray, "S S K"],
    transform: Float[np.ndarray, "2 3"],
    shape: tuple[int, int],
) -> Float32[np.ndarray, "H W K"]:
    """Scores of a crop at the frame's pixels (its border is repeated outside)."""
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    matrix = _for_cv2(transform)
    found = cv2.warpAffine(
        scores, matrix, shape[::-1], flags=flags, borderMode=cv2.BORDER_REPLICATE
    )
    return found.reshape(*shape, -1)


def put_back_sharply(
    chances: Float32[np.ndarray, "S S K"],
    transform: Float[np.ndarray, "2 3"],
    shape: tuple[int, int],
) -> Float32[np.ndarray, "H W K"]:
    """As `put_back`, by cubics of the logarithms: strips of a pixel keep their chances."""
    flags = cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP
    matrix = _for_cv2(transform)
    logs = np.ascontiguousarray(np.moveaxis(np.log(chances + LEAST_CHANCE), -1, 0))
    found = [
        cv2.warpAffine(part, matrix, shape[::-1], flags=flags, borderMode=cv2.BORDER_REPLICATE)
        for part in logs  # OpenCV's cubics take four channels at most
    ]
    result = np.exp(np.stack(found, axis=-1))
    return result / result.sum(axis=-1, keepdims=True)


# Groups of landmark rings; each group is one channel, so mirrored crops keep their meaning
HEAD_RINGS = (
    (tp.OVAL,),
    (tp.OUTER_LIPS,),
    (tp.RIGHT_EYE, tp.LEFT_EYE),
    (tp.RIGHT_BROW, tp.LEFT_BROW),
)
GLASSES_RINGS = ((tp.OVAL,), (tp.RIGHT_EYE, tp.LEFT_EYE), (tp.RIGHT_BROW, tp.LEFT_BROW))
MOUTH_RINGS = ((tp.OUTER_LIPS,), (tp.INNER_LIPS,))
Rings = tuple[tuple[tuple[int, ...], ...], ...]


def crop_input(
    crop: UInt8[np.ndarray, "S S 3"],
    points: Float[np.ndarray, "478 2"],
    groups: Rings,
) -> Float32[np.ndarray, "C S S"]:
    """Channels of a network: RGB in -1..1, then the coverage of each group of landmark rings.

    Args:
        crop: RGB.
        points: landmarks, px of the crop.
        groups: rings of `topology`.
    """
    shape = (crop.shape[0], crop.shape[1])
    colour = crop.astype(np.float32).transpose(2, 0, 1) / 127.5 - 1
    covers = [sum(polygon(points[list(ring)], shape) for ring in group) for group in groups]
    return np.concatenate([colour, np.stack(covers)]).astype(np.float32)
