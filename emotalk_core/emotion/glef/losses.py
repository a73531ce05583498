"""The five losses of g_LEF (METHOD 1.2): a generated face and its frame's truth in, numbers out."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from emotalk_core.emotion.glef.critics import Critics, pooled
from emotalk_core.emotion.glef.lips import LIPS, heatmap_points, lip_rectangle
from emotalk_core.emotion.glef.model import GlefFace

# lambda_1..5 of the paper (supplement S2.2), in the order L_ll, L_lp, L_reg, L_emo, L_id
PAPER_WEIGHTS = {
    "lip_landmark": 1.0,
    "lip_pixel": 5.0,
    "offset": 0.03,
    "emotion": 0.2,
    "identity": 1.5,
}


@dataclass(frozen=True)
class FrameTruth:
    """What the losses compare with; computed once a frame.

    Attributes:
        images: I, aligned frames, RGB, 0..1.
        lip_heatmaps: of the frames.
        lip_points: cells.
        identity: features of the frames.
    """

    images: Float[Tensor, "B 3 S S"]
    lip_heatmaps: Float[Tensor, "B 20 H H"]
    lip_points: Float[Tensor, "B 20 2"]
    identity: Float[Tensor, "B D"]


@torch.no_grad()
def read_truth(images: Float[Tensor, "B 3 S S"], critics: Critics) -> FrameTruth:
    """Read the frames with the critics that will judge the generated faces."""
    marks, identity = critics.landmarks, critics.identity
    heatmaps = marks(pooled(images, marks.input_size))[:, LIPS]
    return FrameTruth(
        images=images,
        lip_heatmaps=heatmaps,
        lip_points=heatmap_points(heatmaps),
        identity=identity(pooled(images, identity.input_size)),
    )


def glef_losses(
    face: GlefFace,
    truth: FrameTruth,
    emotions: Float[Tensor, "B 2"],
    critics: Critics,
    lip_margin: float,
) -> dict[str, Tensor]:
    """All five, not weighted, each a mean over the batch.

    L_ll = ||L^_l - L_l||^2: squared distance in cells of the heatmaps (a quarter of FAN's input
    pixel), mean over the 20 lip points. L_lp = ||M_l (I_E - I)||^2: mean over the pixels of M_l.
    L_reg = ||d_l||^2: squared norm, mean over styles. L_emo = ||EmoNet(I_E) - e||^2: sum over
    valence and arousal. L_id = ||VF(I_E) - VF(I)||_1: mean over the features. The paper does not
    say which norms are means; these keep every term near 1 for the published networks' sizes.

    Args:
        face: of g_LEF.
        truth: of the same frames.
        emotions: the wanted (valence, arousal).
        critics: frozen.
        lip_margin: growth of the rectangle M_l, widths of the mouth.
    """
    marks = critics.landmarks
    heatmaps = marks(pooled(face.images, marks.input_size))[:, LIPS]
    points = heatmap_points(heatmaps)
    size, cells = face.images.shape[-1], heatmaps.shape[-1]
    mask = lip_rectangle(truth.lip_points, size, cells, lip_margin)
    error = ((face.images - truth.images) ** 2).mean(dim=1, keepdim=True)
    reading = critics.emotion(pooled(face.images, critics.emotion.input_size))
    features = critics.identity(pooled(face.images, critics.identity.input_size))
    return {
        "lip_landmark": (points - truth.lip_points).square().sum(dim=2).mean(),
        "lip_pixel": (mask * error).sum() / mask.sum().clamp(min=1.0),
        "offset": face.lip_offset.square().sum(dim=2).mean(),
        "emotion": (reading - emotions).square().sum(dim=1).mean(),
        "identity": (features - truth.identity).abs().mean(),
    }
