"""Lips of a clip and the sound that drove them in, distances at 31 shifts by the metric expert out.

The expert hears speech embeddings and has seen synthetic persons only: it is never adapted to a
subject and has no part in training, so that an avatar cannot learn to please it.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float, Int

from emotalk_core.media.audio import read_audio
from emotalk_core.speech.sync.experts import general_expert
from emotalk_core.speech.sync.lip_shapes import LIP_POINTS, LipFrame
from emotalk_core.speech.sync.network import REACH
from emotalk_core.speech.sync.reading import (
    MAX_SHIFT,
    distances_by_shift,
    lip_codes,
    sound_codes,
)
from emotalk_core.speech.sync.sounds import EMBEDDING, hear
from emotalk_core.types.manifest import FPS, SAMPLE_RATE


class SyncJudge:
    """The metric expert beside one subject's mean face."""

    def __init__(
        self, landmarks: Float[np.ndarray, "T 478 2"], valid: Bool[np.ndarray, " T"]
    ) -> None:
        """Take the real person's mean face from tracked frames (training part)."""
        self._frame = LipFrame.fit(landmarks, valid)
        self._expert = general_expert(EMBEDDING)
        self._heard: dict[Path, np.ndarray] = {}

    def distances(
        self,
        landmarks: Float[np.ndarray, "T 478 C"],
        sound: Path,
        audio_frames: Int[np.ndarray, " T"],
    ) -> Float[np.ndarray, "T 31"]:
        """Distance of every frame to the sound 15 frames before .. 15 after.

        Args:
            landmarks: px of consecutive frames of one clip; nan in frames without a face.
            sound: wav that drove them.
            audio_frames: frame of the sound that each frame heard.

        Returns:
            Rows of nan where no face was found; silence lies before and after the sound.
        """
        seen = lip_codes(self._expert, self._frame.shapes(landmarks))
        apart = distances_by_shift(seen, self._listen(sound), np.asarray(audio_frames) + MAX_SHIFT)
        known = np.isfinite(landmarks[:, list(LIP_POINTS), :2]).all(axis=(1, 2))
        apart[~known] = np.nan
        return apart

    def _listen(self, sound: Path) -> Float[np.ndarray, "A C"]:
        """Vectors of the sound with the silence of the largest shift before and after it."""
        if sound not in self._heard:
            samples = read_audio(sound)
            margin = np.zeros((MAX_SHIFT + REACH) * SAMPLE_RATE // FPS, dtype=np.float32)
            whole = np.concatenate([margin, samples, margin])
            codes = sound_codes(
                self._expert, hear(whole, len(whole) * FPS // SAMPLE_RATE, EMBEDDING)
            )
            self._heard[sound] = codes[REACH:]
        return self._heard[sound]
