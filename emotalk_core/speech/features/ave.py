"""Audio-Visual Encoder: 16 kHz sound in, 512 numbers for each 25 fps frame out.

Parameter names and shapes are those of the published `audio_visual_encoder.pth` that SyncTalk and
TalkingGaussian read: the file leaves out the prefix `audio_encoder.`, which `prefixed` puts back.
"""

from __future__ import annotations

import math
from typing import ClassVar

import numpy as np
import torch
from jaxtyping import Float, Float32
from torch import Tensor, nn

from emotalk_core.media.weight_files import open_network
from emotalk_core.speech.features.base import WINDOW
from emotalk_core.speech.features.mel import cut_out
from emotalk_core.speech.sync.wav2lip import (
    COLUMNS_PER_SECOND,
    HOP,
    MEL_COLUMNS,
    mel_spectrogram,
    sound_tower,
)
from emotalk_core.types.manifest import FPS, SAMPLE_RATE
from emotalk_core.weights import ERROR

PREFIX = "audio_encoder."
SAMPLES_PER_FRAME = SAMPLE_RATE // FPS
COLUMNS_PER_FRAME = COLUMNS_PER_SECOND / FPS  # 3.2
MARGIN = 4  # columns before and after what is read: the spectrogram mirrors the sound at its ends
# column of the sound's start: silence for the frames before it
ORIGIN = math.ceil((WINDOW // 2 + 1) * COLUMNS_PER_FRAME) + MARGIN
BATCH = 128  # windows at once


class AudioEncoder(nn.Module):
    """Sound tower of a Wav2Lip-like sync network, trained together with lips."""

    def __init__(self) -> None:
        super().__init__()
        self.audio_encoder = sound_tower(1)

    def forward(self, mels: Float[Tensor, "B 1 80 16"]) -> Float[Tensor, "B 512"]:
        """One vector for each mel window (`speech.sync.wav2lip.mel_spectrogram`)."""
        return self.audio_encoder(mels).flatten(1)


def prefixed(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """The file's names as the network's own."""
    if all(name.startswith(PREFIX) for name in state):
        return state
    return {PREFIX + name: tensor for name, tensor in state.items()}


class AudioVisualEncoder:
    """AVE at 25 Hz: 16 neighbour frames' vectors around each frame, as `embedding` gives them."""

    id: ClassVar[str] = "ave-synctalk-25hz"
    standing_for: ClassVar[str] = ""
    dim: ClassVar[int] = 512

    def __init__(self) -> None:
        network = open_network("ave", AudioEncoder, ERROR, prefixed)
        assert network is not None  # ERROR raises instead
        self._network = network

    def windows(
        self, samples: Float32[np.ndarray, " N"], n_frames: int
    ) -> Float32[np.ndarray, "T 16 D"]:
        """See `SpeechExtractor.windows`.

        The vector of frame j sees 0.2 s of sound from (j - 1) / 25 s on, as in SyncTalk, whose list
        of vectors begins with a copy of its first one.
        """
        frames = np.arange(-(WINDOW // 2), n_frames + WINDOW // 2)
        # columns count from the sound's start and are cut, not rounded, as in the original
        starts = np.floor((frames - 1) * COLUMNS_PER_FRAME).astype(int) + ORIGIN
        length = (int(starts[-1]) + MEL_COLUMNS + MARGIN) * HOP
        mels = mel_spectrogram(cut_out(samples, -ORIGIN * HOP, length))
        pieces = np.stack([mels[s : s + MEL_COLUMNS].T for s in starts])
        vectors = []
        with torch.no_grad():
            for begin in range(0, len(pieces), BATCH):
                part = torch.from_numpy(pieces[begin : begin + BATCH])[:, None]
                vectors.append(self._network(part).numpy())
        picks = np.arange(n_frames)[:, None] + np.arange(WINDOW)[None, :]
        return np.concatenate(vectors)[picks]
