"""EmoNet: a 256x256 face crop in; eight expression logits, valence and arousal out.

Parameter names and shapes are those of the published files `emonet_8.pth` (and `emonet_5.pth`) of
face-analysis/emonet.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from emotalk_core.perception.backbones.hourglass import WIDTH, ConvBlock, HourGlassStack

INPUT_SIZE = 256  # px, side of the crop; RGB in [0,1] without mean or deviation
CLASSES = ("neutral", "happy", "sad", "surprise", "fear", "disgust", "anger", "contempt")
N_CONTINUOUS = 2  # valence, arousal
N_HOURGLASSES = 2
N_BLOCKS = 4  # convolution blocks, each with a halving


class EmoNet(HourGlassStack):
    """Emotion network of Toisoul et al. 2021, on top of a two-hourglass FAN.

    Args:
        n_expression: classes of the file, 8 or 5.
    """

    def __init__(self, n_expression: int = len(CLASSES)) -> None:
        super().__init__(N_HOURGLASSES, F.max_pool2d)
        self.conv1x1_input_emo_2 = nn.Conv2d(WIDTH * (N_HOURGLASSES + 1), WIDTH, 1)
        blocks: list[nn.Module] = []
        for _ in range(N_BLOCKS):
            blocks += [ConvBlock(WIDTH, WIDTH), nn.MaxPool2d(2, 2)]
        self.emo_net_2 = nn.Sequential(*blocks)
        self.emo_fc_2 = nn.Sequential(
            nn.Linear(WIDTH, 128),
            nn.BatchNorm1d(128),
            nn.ReLU(),
            nn.Linear(128, n_expression + N_CONTINUOUS),
        )

    def forward(self, picture: Float[Tensor, "B 3 256 256"]) -> dict[str, Tensor]:
        """`heatmap` [B,68,64,64], `expression` logits [B,N], `valence` [B], `arousal` [B].

        Valence and arousal are not clipped; the features of both hourglasses are weighted by the
        sum of the last heatmaps before they meet the stem's.
        """
        stem, features, heatmaps = self.stack(picture)
        attended = torch.cat(features, dim=1) * heatmaps[-1].sum(dim=1, keepdim=True)
        x = self.conv1x1_input_emo_2(torch.cat((stem, attended), dim=1))
        x = F.avg_pool2d(self.emo_net_2(x), 4).flatten(1)
        x = self.emo_fc_2(x)
        return {
            "heatmap": heatmaps[-1],
            "expression": x[:, :-N_CONTINUOUS],
            "valence": x[:, -2],
            "arousal": x[:, -1],
        }
