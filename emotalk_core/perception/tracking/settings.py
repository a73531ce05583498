"""The settings of head tracking: what the config block `tracking` holds."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class TrackingSettings:
    """Settings of `track_head`.

    Attributes:
        detector: name in `perception.landmarks.LANDMARK_DETECTORS`.
        max_invalid_share: largest share of frames without a usable face, 0..1.
        focal_prior: expected focal length / image width of the head crop (a head and shoulders
            picture from two metres; the tracker moves it where the clip has perspective).
        shape_frames: how many frames, spread over the clip, fix the shape and the focal length.
        pose_smoothing: weight of the second differences of the pose, in frames' own noise units.
        expression_smoothing: weight of the second differences of the coefficients.
        expression_ridge: pull of the coefficients to zero.
    """

    detector: str = "facemesh"
    max_invalid_share: float = 0.1
    focal_prior: float = 2.4
    shape_frames: int = 200
    pose_smoothing: float = 0.3
    expression_smoothing: float = 1.0
    expression_ridge: float = 1.0
