"""The settings of emotion reading: what the config block `emotion_reader` holds."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class EmotionReaderSettings:
    """Settings of `read_emotion`.

    Attributes:
        smooth_frames: standard deviation in time of the class posterior and of the expression's
            reading, frames: speech moves the mouth within a few frames, emotion does not.
        reader: "packaged" or "emonet" (the paper's network, weights by hand; smoothed the same).
    """

    smooth_frames: float = 5.0
    reader: str = "packaged"
