"""FaceMesh landmarks in; the 68-point scheme and the upright crop that FFHQ networks expect out."""

from __future__ import annotations

import cv2
import numpy as np
from jaxtyping import Float, UInt8

from emotalk_core.perception.landmarks.topology import LEFT_EYE, LIP_CORNERS, RIGHT_EYE

# FaceMesh points that lie nearest to the 68 points (image left to right, as that scheme counts):
# jaw, brows, nose ridge, nose base, eyes, outer lips, inner lips.
# fmt: off
POINTS_68 = (
    127, 234, 93, 132, 58, 136, 150, 176, 152, 400, 379, 365, 288, 361, 323, 454, 356,
    70, 63, 105, 66, 107, 336, 296, 334, 293, 300,
    168, 197, 5, 4, 75, 97, 2, 326, 305,
    33, 160, 158, 133, 153, 144, 362, 385, 387, 263, 373, 380,
    61, 39, 37, 0, 267, 269, 291, 405, 314, 17, 84, 181,
    78, 82, 13, 312, 308, 317, 14, 87,
)
# fmt: on
# FFHQ's crop: centre a tenth of the way from the eyes to the mouth, half side the larger of twice
# the eyes' distance and 1.8 times the distance from the eyes to the mouth.
DOWN, EYE_FACTOR, MOUTH_FACTOR = 0.1, 2.0, 1.8
FEATHER = 0.06  # of the crop's side over which a pasted crop fades into the frame


def crop_transform(
    landmarks: Float[np.ndarray, "N dims"], size: int, share: float = 1.0
) -> Float[np.ndarray, "2 3"]:
    """Affine map from corner-based frame px to the crop's px (as FFHQ was aligned).

    Args:
        landmarks: FaceMesh points, px.
        size: side of the crop, px.
        share: of FFHQ's crop that is shown (small networks see the face alone).
    """
    points = np.asarray(landmarks[:, :2], dtype=np.float64)
    right, left = points[list(RIGHT_EYE)].mean(axis=0), points[list(LEFT_EYE)].mean(axis=0)
    eyes = (right + left) / 2
    mouth = points[list(LIP_CORNERS)].mean(axis=0)
    across, down = left - right, mouth - eyes
    x = across - np.array([-down[1], down[0]])
    half = share * max(EYE_FACTOR * np.hypot(*across), MOUTH_FACTOR * np.hypot(*down))
    x *= half / np.hypot(*x)
    y = np.array([-x[1], x[0]])
    centre = eyes + (1 - (1 - DOWN) * share) * down  # the mouth lies where FFHQ has it
    basis = np.stack([x, y], axis=1) * (2 / size)  # px of the frame per px of the crop
    inverse = np.linalg.inv(basis)
    return np.column_stack([inverse, size / 2 - inverse @ centre])


def _pixel_centres(transform: Float[np.ndarray, "2 3"]) -> Float[np.ndarray, "2 3"]:
    """The same map in OpenCV's coordinates, where pixel centres are whole numbers."""
    moved = transform.copy()
    moved[:, 2] += moved[:, :2] @ [0.5, 0.5] - 0.5
    return moved


def crop_face(
    frame: UInt8[np.ndarray, "H W 3"], transform: Float[np.ndarray, "2 3"], size: int
) -> UInt8[np.ndarray, "S S 3"]:
    """The aligned crop; what lies outside the frame repeats its border."""
    scale = np.sqrt(abs(np.linalg.det(transform[:, :2])))
    if scale < 1:  # warpAffine takes single pixels: remove what the crop cannot show
        frame = cv2.GaussianBlur(frame, (0, 0), 0.5 / scale)
    return cv2.warpAffine(
        frame,
        _pixel_centres(transform),
        (size, size),
        flags=cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_REPLICATE,
    )


def paste_face(
    frame: UInt8[np.ndarray, "H W 3"],
    face: UInt8[np.ndarray, "S S 3"],
    transform: Float[np.ndarray, "2 3"],
) -> UInt8[np.ndarray, "H W 3"]:
    """The frame with the crop back in its place, fading at the crop's rim."""
    height, width = frame.shape[:2]
    size = face.shape[0]
    distance = np.minimum(np.arange(size) + 0.5, size - 0.5 - np.arange(size))
    ramp = np.clip(distance / (FEATHER * size), 0, 1).astype(np.float32)
    weight = np.minimum(ramp[:, None], ramp[None, :])
    matrix, back = _pixel_centres(transform), (width, height)
    picture = cv2.warpAffine(
        face,
        matrix,
        back,
        flags=cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP,
        borderMode=cv2.BORDER_REPLICATE,
    )
    share = cv2.warpAffine(weight, matrix, back, flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP)
    share = share[..., None]
    blended = share * picture + (1 - share) * frame
    return np.clip(blended + 0.5, 0, 255).astype(np.uint8)


def move_points(
    points: Float[np.ndarray, "N 2"], transform: Float[np.ndarray, "2 3"]
) -> Float[np.ndarray, "N 2"]:
    """Corner-based points of the frame in the crop."""
    return points @ transform[:, :2].T + transform[:, 2]
