"""Lips of a clip and the sound that drove them in, distances at 31 shifts by the metric expert out.

The expert hears speech embeddings and has seen synthetic persons only: it is never adapted to a
subject and has no part in training, so that an avatar cannot learn to please it. Distances are
those beyond chance (`reading.beyond_chance`). What stays the same over a clip (a smile, lips that
hang open) says nothing about sync and is taken out: only motion is judged.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float

from emotalk_core.evaluation.driven import DrivenClip
from emotalk_core.media.audio import read_audio
from emotalk_core.media.tables import read_arrays
from emotalk_core.speech.sync.experts import METRIC_ID, general_expert
from emotalk_core.speech.sync.lip_shapes import USED_POINTS, LipFrame, about_mean
from emotalk_core.speech.sync.network import REACH
from emotalk_core.speech.sync.reading import (
    MAX_SHIFT,
    beyond_chance,
    lip_codes,
    sound_codes,
)
from emotalk_core.speech.sync.sounds import EMBEDDING, hear
from emotalk_core.types.manifest import FPS, SAMPLE_RATE

JUDGE_ID = f"{METRIC_ID}+motion-1"  # the expert alone, which counts posture too, was METRIC_ID

# Share of the person's own lip motion below which lips count by their energy: unit vectors make a
# tremble of a pixel as large as speech. Renders of real and synthetic persons have .5 to .9.
LIVELY = 0.4


class SyncJudge:
    """The metric expert beside one subject's mean face."""

    def __init__(
        self, landmarks: Float[np.ndarray, "T 478 2"], valid: Bool[np.ndarray, " T"]
    ) -> None:
        """Take the real person's mean face from tracked frames (training part)."""
        self._frame = LipFrame.fit(landmarks, valid)
        self._motion = _motion(self._frame.shapes(landmarks)[valid])
        self._expert = general_expert(EMBEDDING)
        self._heard: dict[Path, np.ndarray] = {}

    @classmethod
    def from_track(cls, track: Path, n_train: int) -> SyncJudge:
        """The judge of a tracked subject."""
        arrays = read_arrays(track, ("landmarks", "valid"))
        return cls(arrays["landmarks"][:n_train], arrays["valid"][:n_train].astype(bool))

    def distances(self, clip: DrivenClip) -> Float[np.ndarray, "T 31"]:
        """See `readers.SyncExpert.distances`; silence lies before and after the sound."""
        known = np.isfinite(clip.landmarks[:, USED_POINTS, :2]).all(axis=(1, 2))
        shapes = about_mean(self._frame.shapes(clip.landmarks), known)
        seen = lip_codes(self._expert, shapes)
        moments = np.asarray(clip.audio_frames) + MAX_SHIFT
        apart = beyond_chance(seen, self._listen(clip.sound), moments, known)
        apart[~known] = np.nan
        if not known.any() or self._motion == 0:
            return apart
        lively = min(1.0, _motion(shapes[known]) / (LIVELY * self._motion)) ** 2
        level = np.nanmean(apart)
        return level + lively * (apart - level)

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


def _motion(shapes: Float[np.ndarray, "T 80"]) -> float:
    """Root mean square of lip shapes about their mean."""
    return float(np.sqrt((about_mean(shapes) ** 2).mean()))
