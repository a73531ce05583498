"""The settings of region segmentation: what the config block `regions` holds."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class RegionSettings:
    """Settings of `segment_regions`.

    Attributes:
        plate_frames: frames, spread over the clip, from which the clean plate is made.
        colour_frames: how many of them teach the colours of hair, skin and clothes.
        long_hair_share: share of hair-like person pixels beside the jaw from which a clip counts
            as long-haired (short or tied hair measures below .1, long hair above .6).
        seed: of the colour models.
        parser: "packaged" or "bisenet" (the paper's network, weights by hand).
        teeth: "packaged" or "easyportrait" (the same).
    """

    plate_frames: int = 50
    colour_frames: int = 16
    long_hair_share: float = 0.25
    seed: int = 0
    parser: str = "packaged"
    teeth: str = "packaged"
