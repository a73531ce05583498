"""Head and torso pose of one frame, and the camera that sees it."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from jaxtyping import Float32, Float64

Vector = tuple[float, float, float]

NECK_PIVOT = np.array([0.0, 0.105, 0.010])  # metres, head axes: the joint on which the head turns
CAMERA_DISTANCE = 1.1  # metres from the camera to the head's origin
FRAME_SPAN = 0.42  # metres at the head's distance that the picture shows: head and shoulders
CAMERA_DROP = 0.030  # metres: the eyes lie this far above the middle of the picture


@dataclass(frozen=True)
class Pose:
    """Pose of one frame; at zero the person looks straight into the camera.

    Attributes:
        pitch, yaw, roll: radians about x (right), y (down), z (forward) of the world's OpenCV axes,
            applied roll first, then pitch, then yaw.
        shift: metres that head and torso move together; lean: metres that the head moves more.
    """

    pitch: float = 0.0
    yaw: float = 0.0
    roll: float = 0.0
    shift: Vector = (0.0, 0.0, 0.0)
    lean: Vector = (0.0, 0.0, 0.0)


def rotation(pose: Pose) -> Float64[np.ndarray, "3 3"]:
    """Rotation of the head, OpenCV axes."""
    pitch = cv2.Rodrigues(np.array([pose.pitch, 0.0, 0.0]))[0]
    yaw = cv2.Rodrigues(np.array([0.0, pose.yaw, 0.0]))[0]
    roll = cv2.Rodrigues(np.array([0.0, 0.0, pose.roll]))[0]
    return yaw @ pitch @ roll


def camera_offset() -> Float64[np.ndarray, "3"]:
    """Where the world's origin lies in camera axes at rest, metres."""
    return np.array([0.0, -CAMERA_DROP, CAMERA_DISTANCE])


def view_matrix(pose: Pose) -> Float64[np.ndarray, "4 4"]:
    """World (the head) to camera: X_cam = R X_head + t."""
    matrix = np.eye(4)
    matrix[:3, :3] = rotation(pose)
    moved = NECK_PIVOT + np.array(pose.shift) + np.array(pose.lean)
    matrix[:3, 3] = moved - matrix[:3, :3] @ NECK_PIVOT + camera_offset()
    return matrix


def intrinsics(size: int) -> Float64[np.ndarray, "3 3"]:
    """Pinhole matrix for a square picture, px."""
    focal = size * CAMERA_DISTANCE / FRAME_SPAN
    return np.array([[focal, 0.0, size / 2], [0.0, focal, size / 2], [0.0, 0.0, 1.0]])


def to_camera(
    points: Float32[np.ndarray, "V 3"], follow: Float32[np.ndarray, " V"], pose: Pose
) -> Float32[np.ndarray, "V 3"]:
    """Points of the head (follow 1) and of the body (follow 0) to camera axes, metres."""
    matrix = view_matrix(pose).astype(np.float32)
    head = points @ matrix[:3, :3].T + matrix[:3, 3]
    body = points + (camera_offset() + np.array(pose.shift)).astype(np.float32)
    return body + follow[:, None] * (head - body)


def project(
    points: Float32[np.ndarray, "N 3"], size: int, scale: int = 1
) -> Float32[np.ndarray, "N 3"]:
    """Camera points to (x px, y px, z metres) of a picture of size * scale."""
    matrix = intrinsics(size) * scale
    screen = np.empty(points.shape, np.float32)
    inverse = 1 / points[:, 2]
    screen[:, 0] = points[:, 0] * inverse * np.float32(matrix[0, 0]) + np.float32(matrix[0, 2])
    screen[:, 1] = points[:, 1] * inverse * np.float32(matrix[1, 1]) + np.float32(matrix[1, 2])
    screen[:, 2] = points[:, 2]
    return screen
