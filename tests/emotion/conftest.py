"""A textured face-like picture with known landmarks: the packaged face model in a known pose."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import pytest

from emotalk_core.emotion.basis import PersonNeutral, packaged_basis
from emotalk_core.emotion.landmark_sets import LIDS
from emotalk_core.emotion.measures import eye_openings
from emotalk_core.perception.landmarks.topology import OVAL

SIZE = 192
PX_PER_METRE = 800.0


@dataclass(frozen=True)
class DrawnFace:
    image: np.ndarray
    landmarks: np.ndarray
    person: PersonNeutral


def rotation(yaw: float, pitch: float) -> np.ndarray:
    cy, sy, cp, sp = np.cos(yaw), np.sin(yaw), np.cos(pitch), np.sin(pitch)
    turn = np.array([[cy, 0, sy], [0, 1, 0], [-sy, 0, cy]])
    nod = np.array([[1, 0, 0], [0, cp, -sp], [0, sp, cp]])
    return nod @ turn


def draw_face(yaw: float = 0.0, pitch: float = 0.0, size: int = SIZE) -> DrawnFace:
    """Smooth noise with dark irises at the landmarks of the model's neutral face."""
    scale = PX_PER_METRE * size / SIZE
    points = packaged_basis().positions
    flat = scale * (rotation(yaw, pitch) @ (points - points.mean(axis=0)).T).T[:, :2]
    landmarks = flat - flat[list(OVAL)].mean(axis=0) + size / 2
    noise = np.random.default_rng(0).uniform(0, 255, (size, size, 3)).astype(np.float32)
    image = cv2.GaussianBlur(noise, (0, 0), 3.0)
    image = (120 + 6 * (image - image.mean())).clip(0, 255).astype(np.uint8)
    for centre in (468, 473):
        cv2.circle(image, np.round(landmarks[centre]).astype(int).tolist(), 4, (20, 20, 20), -1)
    usual = {side: eye_openings(landmarks)[side] for side in LIDS}
    return DrawnFace(image, landmarks, PersonNeutral(points, usual))


@pytest.fixture(scope="session")
def face() -> DrawnFace:
    return draw_face()
