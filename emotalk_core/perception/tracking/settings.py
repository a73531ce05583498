"""The settings of head tracking: what the config block `tracking` holds."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class TrackingSettings:
    """Settings of `track_head`.

    Attributes:
        detector: name in `perception.landmarks.LANDMARK_DETECTORS`.
        max_invalid_share: largest share of frames without a usable face, 0..1.
        camera_distance: metres from the camera to the head; with the head's size in the picture it
            fixes the focal length, which landmarks alone do not tell.
        pose_smoothing: factor on the weight of the second differences of the pose; at 1 half of a
            nod at 2.4 Hz is left.
        expression_smoothing: the same for the coefficients; at 1 half is left at 12 Hz (lips, lids)
            and 3 Hz (brows, cheeks, lip corners).
        expression_ridge: pull of the coefficients to zero.
    """

    detector: str = "facemesh"
    max_invalid_share: float = 0.1
    camera_distance: float = 1.1
    pose_smoothing: float = 1.0
    expression_smoothing: float = 1.0
    expression_ridge: float = 1.0
