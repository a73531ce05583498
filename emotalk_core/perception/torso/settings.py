"""The settings of the layer behind the head: what the config block `torso` holds."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class TorsoSettings:
    """Settings of `separate_torso`.

    Attributes:
        plate_frames: frames, spread over the clip, from which the clean plate is made.
        hole_background: how far, in face units (face height / 256 px), the hole reaches beyond the
            head against the background; hair tips lie there.
        hole_jaw: the same at the jaw over the body; every unit costs 1.5-3 dB in the rim.
        neck_height: how far the neck is carried up under the head, in face heights.
        body_height: the same for collars and clothes beside the neck.
        long_hair_share: share of body beside the jaw from which a clip counts as long-haired.
        steady_frames: standard deviation in time of what is carried up, frames.
    """

    plate_frames: int = 50
    hole_background: float = 3.0
    hole_jaw: float = 1.5
    neck_height: float = 0.3
    body_height: float = 0.09
    long_hair_share: float = 0.25
    steady_frames: float = 2.0
