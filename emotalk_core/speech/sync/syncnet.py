"""SyncNet's two towers: five face frames or 0.2 s of sound in, 1024 numbers out.

Parameter names and shapes are those of the published file `syncnet_v2.model` of
joonson/syncnet_python, so that it loads strictly. How pictures and sound are cut and how the two
scores are made is in `syncnet_protocol`.
"""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor, nn

EMBEDDING = 1024


def _fully_connected(width: int) -> nn.Sequential:
    return nn.Sequential(nn.Linear(512, 512), nn.BatchNorm1d(512), nn.ReLU(), nn.Linear(512, width))


def _sound_layers() -> nn.Sequential:
    """From [1,13,20] to [512,1,1]; pooling layers keep their places, the numbers are the names."""
    layers: list[nn.Module] = []
    for width_in, width_out, kernel, padding, pool in (
        (1, 64, (3, 3), 1, nn.MaxPool2d((1, 1), (1, 1))),
        (64, 192, (3, 3), 1, nn.MaxPool2d((3, 3), (1, 2))),
        (192, 384, (3, 3), 1, None),
        (384, 256, (3, 3), 1, None),
        (256, 256, (3, 3), 1, nn.MaxPool2d((3, 3), (2, 2))),
        (256, 512, (5, 4), 0, None),
    ):
        convolution = nn.Conv2d(width_in, width_out, kernel, padding=padding)
        layers += [convolution, nn.BatchNorm2d(width_out), nn.ReLU()]
        layers += [] if pool is None else [pool]
    return nn.Sequential(*layers)


def _lip_layers() -> nn.Sequential:
    """From [3,5,224,224] to [512,1,1,1]: time ends with the first layer."""
    half = (1, 2, 2)
    layers: list[nn.Module] = []
    for width_in, width_out, kernel, stride, padding, pool in (
        (3, 96, (5, 7, 7), half, 0, nn.MaxPool3d((1, 3, 3), half)),
        (96, 256, (1, 5, 5), half, (0, 1, 1), nn.MaxPool3d((1, 3, 3), half, (0, 1, 1))),
        (256, 256, (1, 3, 3), 1, (0, 1, 1), None),
        (256, 256, (1, 3, 3), 1, (0, 1, 1), None),
        (256, 256, (1, 3, 3), 1, (0, 1, 1), nn.MaxPool3d((1, 3, 3), half)),
        (256, 512, (1, 6, 6), 1, 0, None),
    ):
        convolution = nn.Conv3d(width_in, width_out, kernel, stride, padding)
        layers += [convolution, nn.BatchNorm3d(width_out), nn.ReLU()]
        layers += [] if pool is None else [pool]
    return nn.Sequential(*layers)


class SyncNet(nn.Module):
    """Audio-visual synchrony network (Chung and Zisserman 2016).

    Args:
        embedding: numbers of an embedding; 1024 in the published file.
    """

    def __init__(self, embedding: int = EMBEDDING) -> None:
        super().__init__()
        self.netcnnaud = _sound_layers()
        self.netfcaud = _fully_connected(embedding)
        self.netfclip = _fully_connected(embedding)
        self.netcnnlip = _lip_layers()

    def forward_aud(self, mfcc: Float[Tensor, "B 1 13 20"]) -> Float[Tensor, "B E"]:
        """Embeddings of 20 columns of 13 cepstral coefficients (0.2 s)."""
        return self.netfcaud(self.netcnnaud(mfcc).flatten(1))

    def forward_lip(self, frames: Float[Tensor, "B 3 5 224 224"]) -> Float[Tensor, "B E"]:
        """Embeddings of five frames at 25 fps, BGR 0..255."""
        return self.netfclip(self.netcnnlip(frames).flatten(1))

    def forward(
        self, mfcc: Float[Tensor, "B 1 13 20"], frames: Float[Tensor, "B 3 5 224 224"]
    ) -> tuple[Float[Tensor, "B E"], Float[Tensor, "B E"]]:
        """(sound, lips)."""
        return self.forward_aud(mfcc), self.forward_lip(frames)
