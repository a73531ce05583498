"""Features that another project saved as .npy in, windows of 16 for the clip's frames out."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from jaxtyping import Float32

from emotalk_core.errors import InputError
from emotalk_core.speech.features.base import WINDOW
from emotalk_core.speech.features.fifty_hertz import windows_of

MAX_DIFFERENCE = 5  # frames by which such files are longer or shorter than the clip


def windows_from_npy(path: Path, n_frames: int) -> Float32[np.ndarray, "T 16 D"]:
    """Windows of a saved file.

    Three layouts are known: [T,16,D] (aud_ds.npy, aud_eo.npy), [T,2,D] (aud_hu.npy: two vectors a
    frame, windows are cut here) and [T,D] (aud_ave.npy: a vector a frame, 16 neighbours are taken).

    Raises:
        InputError: no such file, another layout, or the features of another clip.
    """
    try:
        data = np.load(path, allow_pickle=False)
    except (OSError, ValueError) as error:
        raise InputError(f"speech.features_npy={path}: not readable ({error})") from error
    if data.ndim not in (2, 3) or (data.ndim == 3 and data.shape[1] not in (2, WINDOW)):
        raise InputError(
            f"speech.features_npy={path}: shape {data.shape}: wanted [T,16,D], [T,2,D] or [T,D]"
        )
    if abs(len(data) - n_frames) > MAX_DIFFERENCE:
        raise InputError(
            f"speech.features_npy={path}: {len(data)} frames, the clip has {n_frames}; give the "
            "features of the same clip, or leave the setting empty"
        )
    data = data.astype(np.float32)
    if data.ndim == 3 and data.shape[1] == 2:
        return windows_of(data.reshape(-1, data.shape[2]), n_frames)
    if data.ndim == 2:
        half = WINDOW // 2
        padded = np.pad(data, ((half, max(n_frames - len(data), 0) + half), (0, 0)), mode="edge")
        return padded[np.arange(n_frames)[:, None] + np.arange(WINDOW)[None, :]]
    missing = n_frames - len(data)
    return np.pad(data, ((0, max(missing, 0)), (0, 0), (0, 0)), mode="edge")[:n_frames]
