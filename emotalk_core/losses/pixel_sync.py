"""Lip-sync losses on pixels: consecutive rendered frames and their sound in, one number out.

The paper's L_sync is the squared distance of SyncNet's embeddings; Wav2Lip's expert with the cosine
loss is the easier alternative; both need weight files and see windows of five frames. The third is
the subject's own pixel expert. All are frozen; gradients go to the frames alone. A pixel expert who
does not know the person is adversarial (METHOD decision 7), so the default acts on lip landmarks.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from emotalk_core.losses.sync import beyond_truth
from emotalk_core.speech.sync.lip_pictures import look
from emotalk_core.speech.sync.picture_network import PictureExpert
from emotalk_core.speech.sync.syncnet import SyncNet
from emotalk_core.speech.sync.syncnet_protocol import BORDER, CROP_SCALE, CROP_SIZE
from emotalk_core.speech.sync.wav2lip import FACE_SIZE, SyncNetColor

Box = tuple[float, float, float, float]
FULL_SCALE = 255.0
WINDOW = 5  # frames that the published experts see
SURE = 1e-7  # keeps the logarithm finite at a cosine of zero or one


def crop(
    frames: Float[Tensor, "F 3 H W"], box: Box, size: int, outside: float
) -> Float[Tensor, "F 3 S S"]:
    """The box (x0, y0, x1, y1) px of every frame at size x size, differentiable.

    Args:
        frames: any units.
        box: may reach beyond the frame.
        size: px.
        outside: value beyond the frame.
    """
    height, width = frames.shape[2:]
    x0, y0, x1, y1 = box
    steps = (torch.arange(size, dtype=frames.dtype, device=frames.device) + 0.5) / size
    columns, rows = x0 + steps * (x1 - x0), y0 + steps * (y1 - y0)
    grid_y, grid_x = torch.meshgrid(2 * rows / height - 1, 2 * columns / width - 1, indexing="ij")
    grid = torch.stack([grid_x, grid_y], dim=-1).expand(len(frames), size, size, 2)
    return F.grid_sample(frames - outside, grid, align_corners=False) + outside


def wav2lip_loss(
    expert: SyncNetColor,
    frames: Float[Tensor, "5 3 H W"],
    box: Box,
    mels: Float[Tensor, "80 16"],
) -> Float[Tensor, ""]:
    """Wav2Lip's expert loss, -log of the cosine of both embeddings.

    Args:
        expert: with weights, frozen.
        frames: five consecutive frames, RGB in [0,1].
        box: the face, from forehead to chin.
        mels: `speech.sync.wav2lip.mel_spectrogram` columns from the first frame's time on.
    """
    faces = crop(frames, box, FACE_SIZE, 0.0).flip(1)[:, :, FACE_SIZE // 2 :]
    sound, lips = expert(mels[None, None], faces.reshape(1, -1, FACE_SIZE // 2, FACE_SIZE))
    likeness = F.cosine_similarity(sound, lips).clamp(SURE, 1 - SURE)
    return F.binary_cross_entropy(likeness, torch.ones_like(likeness))


def syncnet_loss(
    network: SyncNet,
    frames: Float[Tensor, "5 3 H W"],
    box: Box,
    mfcc: Float[Tensor, "13 20"],
) -> Float[Tensor, ""]:
    """The paper's L_sync = ||S_I(frames) - S_A(sound)||^2 with SyncNet (METHOD 1.2).

    Args:
        network: with weights, frozen.
        frames: five consecutive frames, RGB in [0,1].
        box: the face, from forehead to chin; the crop around it is SyncNet's own.
        mfcc: `speech.sync.cepstrum.mfcc` columns from the first frame's time on.
    """
    faces = crop(frames * FULL_SCALE, syncnet_box(box), CROP_SIZE, float(BORDER)).flip(1)
    lips = network.forward_lip(faces.transpose(0, 1)[None])
    return ((lips - network.forward_aud(mfcc[None, None])) ** 2).sum()


def syncnet_box(box: Box) -> Box:
    """What SyncNet looks at around a face: wider, and more below the face's middle than above."""
    x0, y0, x1, y1 = box
    x, y, half = (x0 + x1) / 2, (y0 + y1) / 2, max(x1 - x0, y1 - y0) / 2
    reach, below = half * (1 + CROP_SCALE), half * (1 + 2 * CROP_SCALE)
    return x - reach, y - half, x + reach, y + below


@dataclass(frozen=True)
class PictureRun:
    """A run as the subject's own pixel expert sees it.

    Attributes:
        expert: frozen.
        frames: drawn, RGB in [0,1], whole or cut.
        positions: px of these frames at which the mouth's pictures are sampled.
        heard: the expert's vectors of the sound of the frames in the middle.
        true_distance: mean squared distance of the subject's own training frames.
    """

    expert: PictureExpert
    frames: Float[Tensor, "T 3 h w"]
    positions: Float[Tensor, "T P 2"]
    heard: Float[Tensor, "t C"]
    true_distance: float

    def distance(self) -> Float[Tensor, ""]:
        """||S_I - S_A||^2 beyond the truth's."""
        seen = self.expert.see(look(self.frames, self.positions)[None])[0]
        return beyond_truth(seen, self.heard, self.true_distance)


WindowLoss = Callable[[Float[Tensor, "5 3 h w"], Box, Float[Tensor, "K C"]], Float[Tensor, ""]]


@dataclass(frozen=True)
class WindowRun:
    """A run as one of the published experts sees it: windows of five frames one after another.

    Attributes:
        loss: of frames, box and sound of one window.
        frames: drawn, RGB in [0,1], whole or cut.
        boxes: the face in each window, px of these frames.
        sounds: what the expert hears of each window.
    """

    loss: WindowLoss
    frames: Float[Tensor, "T 3 h w"]
    boxes: Sequence[Box]
    sounds: Sequence[Float[Tensor, "K C"]]

    def distance(self) -> Float[Tensor, ""]:
        """Mean over the windows."""
        windows = [self.frames[k : k + WINDOW] for k in range(0, len(self.boxes) * WINDOW, WINDOW)]
        parts = [self.loss(*part) for part in zip(windows, self.boxes, self.sounds)]
        return torch.stack(parts).mean()
