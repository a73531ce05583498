"""Wav2Lip's lip-sync expert: five lower half faces and a mel window in, two unit vectors out.

Parameter names and shapes are those of the published `lipsync_expert.pth` of Rudrabha/Wav2Lip
(entry `state_dict`), so that it loads strictly. The Audio-Visual Encoder of SyncTalk and
TalkingGaussian is a shorter sibling of the sound tower (`speech.features.ave`).
"""

from __future__ import annotations

import numpy as np
import torch.nn.functional as F
from jaxtyping import Float, Float32
from torch import Tensor, nn

from emotalk_core.types.manifest import SAMPLE_RATE

N_FFT, HOP = 800, 200  # samples: 50 ms windows, 80 columns a second
N_MELS = 80
LOWEST, HIGHEST = 55.0, 7600.0  # Hz
PREEMPHASIS = 0.97
FLOOR_DECIBELS, REFERENCE_DECIBELS = -100.0, 20.0
MAX_VALUE = 4.0  # mels lie in +-4
MEL_COLUMNS = 16  # of one window: 0.2 s
COLUMNS_PER_SECOND = SAMPLE_RATE / HOP
FRAMES = 5  # of one window at 25 fps
FACE_SIZE = 96  # px, side of the face; only its lower half is looked at


class ConvBlock(nn.Module):
    """Convolution with batch norm, then ReLU; `residual` adds the input before the ReLU."""

    def __init__(
        self,
        width_in: int,
        width_out: int,
        kernel: int,
        stride: int | tuple[int, int] = 1,
        padding: int = 1,
        residual: bool = False,
    ) -> None:
        super().__init__()
        convolution = nn.Conv2d(width_in, width_out, kernel, stride, padding)
        self.conv_block = nn.Sequential(convolution, nn.BatchNorm2d(width_out))
        self._residual = residual

    def forward(self, x: Float[Tensor, "B C H W"]) -> Float[Tensor, "B D h w"]:
        """Block output."""
        out = self.conv_block(x)
        return F.relu(out + x if self._residual else out)


def _group(
    width_in: int, width: int, stride: int | tuple[int, int], n_residual: int, kernel: int = 3
) -> list[nn.Module]:
    """One block that changes width and size, then residual ones."""
    same = [ConvBlock(width, width, 3, residual=True) for _ in range(n_residual)]
    return [ConvBlock(width_in, width, kernel, stride), *same]


def sound_tower(n_residual_last: int) -> nn.Sequential:
    """[1,80,16] mels to [512,1,1]; the expert's last group has two residual blocks, AVE's one."""
    return nn.Sequential(
        *_group(1, 32, 1, 2),
        *_group(32, 64, (3, 1), 2),
        *_group(64, 128, 3, 2),
        *_group(128, 256, (3, 2), n_residual_last),
        ConvBlock(256, 512, 3, padding=0),
        ConvBlock(512, 512, 1, padding=0),
    )


class SyncNetColor(nn.Module):
    """The expert discriminator of Prajwal et al. 2020 (`SyncNet_color` there)."""

    def __init__(self) -> None:
        super().__init__()
        self.face_encoder = nn.Sequential(
            ConvBlock(3 * FRAMES, 32, 7, padding=3),
            *_group(32, 64, (1, 2), 2, kernel=5),
            *_group(64, 128, 2, 3),
            *_group(128, 256, 2, 2),
            *_group(256, 512, 2, 2),
            ConvBlock(512, 512, 3, 2),
            ConvBlock(512, 512, 3, padding=0),
            ConvBlock(512, 512, 1, padding=0),
        )
        self.audio_encoder = sound_tower(2)

    def forward(
        self, mels: Float[Tensor, "B 1 80 16"], faces: Float[Tensor, "B 15 48 96"]
    ) -> tuple[Float[Tensor, "B 512"], Float[Tensor, "B 512"]]:
        """(sound, lips), both of unit length; faces BGR in [0,1], five frames one after another."""
        sound = F.normalize(self.audio_encoder(mels).flatten(1), dim=1)
        return sound, F.normalize(self.face_encoder(faces).flatten(1), dim=1)


def mel_spectrogram(samples: Float32[np.ndarray, " N"]) -> Float32[np.ndarray, "C 80"]:
    """Mels as Wav2Lip and the Audio-Visual Encoder were trained with, 80 columns a second, +-4.

    Column c is centred at c / 80 s.
    """
    import librosa
    from scipy.signal import lfilter

    emphasised = lfilter([1.0, -PREEMPHASIS], [1.0], samples)
    spectrum = np.abs(librosa.stft(y=emphasised, n_fft=N_FFT, hop_length=HOP, win_length=N_FFT))
    filters = librosa.filters.mel(
        sr=SAMPLE_RATE, n_fft=N_FFT, n_mels=N_MELS, fmin=LOWEST, fmax=HIGHEST
    )
    floor = 10 ** (FLOOR_DECIBELS / 20)
    decibels = 20 * np.log10(np.maximum(floor, filters @ spectrum)) - REFERENCE_DECIBELS
    scaled = 2 * MAX_VALUE * (decibels - FLOOR_DECIBELS) / -FLOOR_DECIBELS - MAX_VALUE
    return np.clip(scaled, -MAX_VALUE, MAX_VALUE).T.astype(np.float32)
