"""SyncNet as the judge of a driven clip: its frames and sound in, distances at 31 shifts out."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, Float32, Int

from emotalk_core.evaluation.driven import DrivenClip
from emotalk_core.media.audio import read_audio
from emotalk_core.perception.emotion.reference import face_box
from emotalk_core.speech.sync.syncnet_protocol import (
    REACH,
    SAMPLES_PER_FRAME,
    Towers,
    crop_faces,
    embed,
    shift_distances,
)


def heard_samples(
    samples: Float32[np.ndarray, " N"], audio_frames: Int[np.ndarray, " T"]
) -> Float32[np.ndarray, " M"]:
    """The sound as the frames heard it, 640 samples each, silence outside the sound."""
    n_frames = int(audio_frames.max()) + 1
    padded = np.zeros(max(n_frames * SAMPLES_PER_FRAME, len(samples)), np.float32)
    padded[: len(samples)] = samples
    picks = audio_frames[:, None] * SAMPLES_PER_FRAME + np.arange(SAMPLES_PER_FRAME)[None, :]
    return padded[picks].reshape(-1)


def face_boxes(landmarks: Float[np.ndarray, "T 478 3"]) -> Float[np.ndarray, "T 4"] | None:
    """A face box (x0, y0, x1, y1) px a frame, interpolated where no face was found."""
    seen = np.flatnonzero(np.isfinite(landmarks[:, 0, 0]))
    if len(seen) == 0:
        return None
    boxes = np.array([face_box(landmarks[i]) for i in seen])
    at = np.arange(len(landmarks))
    return np.stack([np.interp(at, seen, column) for column in boxes.T], axis=1)


class SyncNetExpert:
    """The paper's Sync-E and Sync-C in the terms of the metrics: one row of distances a frame.

    Args:
        towers: SyncNet with weights.
    """

    def __init__(self, towers: Towers) -> None:
        self._towers = towers

    def distances(self, clip: DrivenClip) -> Float[np.ndarray, "T S"]:
        """Distance of every five-frame window; nan in the last five rows, which begin none."""
        n_frames = len(clip.landmarks)
        found = np.full((n_frames, 2 * REACH + 1), np.nan)
        boxes = face_boxes(clip.landmarks)
        if boxes is None:
            return found
        sound = heard_samples(read_audio(clip.sound), clip.audio_frames)
        lips, heard = embed(crop_faces(clip.frames(), boxes), n_frames, sound, self._towers)
        if len(lips):
            found[: len(lips)] = shift_distances(lips, heard).numpy()
        return found
