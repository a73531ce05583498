"""Audio-Visual Encoder: 16 kHz sound in, 512 numbers for each 25 fps frame out.

Parameter names and shapes are those of the published `audio_visual_encoder.pth` that SyncTalk and
TalkingGaussian read: the file leaves out the prefix `audio_encoder.`, which `prefixed` puts back.
"""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor, nn

from emotalk_core.speech.sync.wav2lip import sound_tower

PREFIX = "audio_encoder."


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
