"""What a sync expert judges: frames of one clip and the sound that drove them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float, Int, UInt8

Frame = UInt8[np.ndarray, "H W 3"]


@dataclass(frozen=True)
class DrivenClip:
    """Frames of one clip and the sound that drove them: what a sync expert judges.

    Attributes:
        frames: gives the clip's frames afresh at every call (a pixel expert reads them).
        landmarks: [T,478,3] px; nan in frames without a face.
        sound: 16 kHz mono wav.
        audio_frames: [T] which 25 fps frame of the sound each frame heard.
    """

    frames: Callable[[], Iterable[Frame]]
    landmarks: Float[np.ndarray, "T 478 3"]
    sound: Path
    audio_frames: Int[np.ndarray, " T"]
