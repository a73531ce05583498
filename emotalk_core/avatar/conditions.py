"""What drives one frame: tables and speech features in, sound, action units, emotion out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float, Float32
from torch import Tensor

# METHOD decision 2: the seven upper-face units of the paper, in this order.
ACTION_UNITS = ("AU01", "AU02", "AU04", "AU05", "AU06", "AU07", "AU45")
INTENSITY_MAX = 5.0  # of an action unit (OpenFace's scale)
# Of a reading of (valence, arousal): about the reader's own error (docs/emotion.md: valence .3,
# arousal .4). What lies below says nothing about the frame, and an emotion branch that follows it
# bends the face (Obama clip: -.3 dB of the head, -.05 sharpness).
READING_ERROR = 0.3
NEIGHBOURS_BEFORE, NEIGHBOURS_AFTER = 4, 4  # frames index-4 .. index+3 (METHOD 2.1)


@dataclass(frozen=True)
class FrameCondition:
    """Inputs of the branches for one frame.

    Attributes:
        audio: speech features of the frames index-4 .. index+3.
        action_units: intensities 0..5 in the order of `ACTION_UNITS`.
        emotion: (valence, arousal) in [-1,1]; None turns the emotion branch off.
    """

    audio: Float[Tensor, "8 W D"]
    action_units: Float[Tensor, " U"]
    emotion: Float[Tensor, " 2"] | None = None


def audio_window(
    features: Float32[np.ndarray, "T W D"], index: int
) -> Float32[np.ndarray, "8 W D"]:
    """Features of the eight neighbour frames index-4 .. index+3, zeros outside the clip."""
    window = np.zeros((NEIGHBOURS_BEFORE + NEIGHBOURS_AFTER, *features.shape[1:]), dtype=np.float32)
    first = max(0, index - NEIGHBOURS_BEFORE)
    last = min(len(features), index + NEIGHBOURS_AFTER)
    offset = first - (index - NEIGHBOURS_BEFORE)
    if last > first:
        window[offset : offset + last - first] = features[first:last]
    return window


def _valid_columns(table: pd.DataFrame, names: Sequence[str]) -> Float32[np.ndarray, "T C"]:
    """Columns of a table; a frame that is not valid takes the values of the last valid one."""
    values = table[list(names)].astype(np.float32)
    values.loc[~table["valid"].astype(bool)] = np.nan
    return values.ffill().bfill().fillna(0.0).to_numpy(dtype=np.float32).copy()


def action_unit_matrix(table: pd.DataFrame) -> Float32[np.ndarray, "T 7"]:
    """The seven driving intensities per frame, 0..5.

    AU45 is not cut at 2 as in METHOD 2.1: ours measures the lids' closure over its whole range, and
    cut lids stay half open (correlation with the eye opening .93 instead of .99 on a real clip).
    """
    return np.clip(_valid_columns(table, ACTION_UNITS), 0.0, INTENSITY_MAX)


def emotion_matrix(table: pd.DataFrame) -> Float32[np.ndarray, "T 2"]:
    """(valence, arousal) per frame, shortened by `READING_ERROR`: what of it is sure."""
    read = np.clip(_valid_columns(table, ("valence", "arousal")), -1.0, 1.0)
    size = np.linalg.norm(read, axis=1, keepdims=True)
    return read * np.maximum(1.0 - READING_ERROR / np.maximum(size, READING_ERROR), 0.0)


@dataclass(frozen=True)
class ConditionTable:
    """Per-frame inputs of a clip, ready to be indexed.

    Attributes:
        features: speech features, zero padded outside at use.
        action_units: [T,7].
        emotion: [T,2].
    """

    features: Float32[np.ndarray, "T W D"]
    action_units: Float32[np.ndarray, "T 7"]
    emotion: Float32[np.ndarray, "T 2"]

    def at(self, index: int, use_emotion: bool, device: torch.device | str) -> FrameCondition:
        """Condition of frame `index`; emotion None when `use_emotion` is false."""
        return make_condition(
            self.features,
            index,
            self.action_units[index],
            self.emotion[index] if use_emotion else None,
            device,
        )


def make_condition(
    features: Float32[np.ndarray, "T W D"],
    audio_index: int,
    action_units: Float32[np.ndarray, " 7"],
    emotion: Float32[np.ndarray, " 2"] | None,
    device: torch.device | str,
) -> FrameCondition:
    """A condition from any mixture of sound, action units and emotion (cross driving)."""
    return FrameCondition(
        audio=torch.from_numpy(audio_window(features, audio_index)).to(device),
        action_units=torch.from_numpy(np.ascontiguousarray(action_units)).to(device),
        emotion=None
        if emotion is None
        else torch.from_numpy(np.ascontiguousarray(emotion, dtype=np.float32)).to(device),
    )
