"""A generated face in, only its eye and mouth rectangles cloned onto the frame out (paper S4.1)."""

from __future__ import annotations

from dataclasses import dataclass, replace

import cv2
import numpy as np
from jaxtyping import Float, UInt8

from emotalk_core.emotion.generator import GeneratedFace
from emotalk_core.emotion.landmark_sets import BROW_POINTS, LIP_OUTLINES
from emotalk_core.emotion.measures import eye_distance
from emotalk_core.perception.landmarks.topology import EYES

MIN_SIDE = 8  # px; a smaller rectangle has no inside to clone
# Width over which the motion field fades at a rectangle's rim, eye distances.
EDGE_SHARE = 0.06


@dataclass(frozen=True)
class CloneSettings:
    """How much around eyes and mouth is cloned.

    Attributes:
        eye_margin: grows the rectangle around eyes and brows, outer eye distances.
        mouth_margin: grows the rectangle around the lips, outer eye distances.
    """

    eye_margin: float = 0.12
    mouth_margin: float = 0.25


Box = tuple[int, int, int, int]  # y0, y1, x0, x1


def clone_rectangles(
    before: Float[np.ndarray, "478 dims"],
    after: Float[np.ndarray, "478 2"],
    size: tuple[int, int],
    settings: CloneSettings,
) -> list[Box]:
    """Rectangles (y0, y1, x0, x1) around eyes with brows and around the mouth, inside the picture.

    Args:
        before: landmarks of the frame, px.
        after: landmarks of the generated image, px. The paper takes these alone; with both, no brow
            is left behind where it was in the frame.
        size: (height, width), px.
        settings: margins.
    """
    unit = eye_distance(before)
    groups = (((*EYES, *BROW_POINTS), settings.eye_margin), (LIP_OUTLINES, settings.mouth_margin))
    boxes = []
    for ids, margin in groups:
        points = np.vstack([before[list(ids), :2], after[list(ids), :2]])
        low = np.floor(points.min(axis=0) - margin * unit).astype(int)
        high = np.ceil(points.max(axis=0) + margin * unit).astype(int)
        # seamlessClone needs a pixel of frame around the mask on every side
        x0, y0 = np.maximum(low, 1).tolist()
        x1, y1 = np.minimum(high, [size[1] - 1, size[0] - 1]).tolist()
        if x1 - x0 >= MIN_SIDE and y1 - y0 >= MIN_SIDE:
            boxes.append((y0, y1, x0, x1))
    return boxes


def clone_face(
    frame: UInt8[np.ndarray, "H W 3"],
    landmarks: Float[np.ndarray, "478 dims"],
    face: GeneratedFace,
    settings: CloneSettings,
) -> GeneratedFace:
    """The generated face with everything outside the rectangles taken from the frame.

    Inside, gradients are those of the generated image; at the rim, colours are the frame's
    (OpenCV's seamlessClone, NORMAL_CLONE). Flow, depth and the motion of landmarks fade to
    zero at the rims, so that labels, normals and landmarks belong to the cloned image.

    Args:
        frame: the filmed frame, RGB.
        landmarks: its landmarks, px.
        face: what a generator made of it.
        settings: margins of the rectangles.
    """
    size = (frame.shape[0], frame.shape[1])
    image = frame.copy()
    inside = np.zeros(size, np.float32)
    for y0, y1, x0, x1 in clone_rectangles(landmarks, face.landmarks, size, settings):
        # one pixel more on each side is the Dirichlet border of the equation
        patch = np.ascontiguousarray(face.image[y0 - 1 : y1 + 1, x0 - 1 : x1 + 1])
        below = np.ascontiguousarray(image[y0 - 1 : y1 + 1, x0 - 1 : x1 + 1])
        mask = np.zeros(patch.shape[:2], np.uint8)
        mask[1:-1, 1:-1] = 255
        centre = (patch.shape[1] // 2, patch.shape[0] // 2)
        image[y0 - 1 : y1 + 1, x0 - 1 : x1 + 1] = cv2.seamlessClone(
            patch, below, mask, centre, cv2.NORMAL_CLONE
        )
        inside[y0:y1, x0:x1] = 1.0
    width = max(1, round(EDGE_SHARE * eye_distance(face.landmarks)))
    distance = cv2.distanceTransform((inside > 0).astype(np.uint8), cv2.DIST_L2, 3)
    fade = np.clip(distance / width, 0, 1).astype(np.float32)
    before = np.asarray(landmarks[:, :2], dtype=np.float64)
    x, y = (face.landmarks - 0.5).astype(np.float32).T[:, None]
    shown = cv2.remap(fade, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)[0, :, None]
    return replace(
        face,
        image=image,
        flow=face.flow * fade[..., None],
        depth=face.depth * fade,
        landmarks=before + shown * (face.landmarks - before),
    )
