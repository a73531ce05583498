"""Pixel sync losses: the crop is exact, gradients reach the frames and no weight."""

from __future__ import annotations

import torch

from emotalk_core.losses.pixel_sync import crop, syncnet_loss, wav2lip_loss
from emotalk_core.speech.sync.syncnet import SyncNet
from emotalk_core.speech.sync.wav2lip import SyncNetColor

from .seeded import noise, seed

BOX = (10.0, 8.0, 54.0, 60.0)


def test_a_crop_of_whole_pixels_is_a_slice() -> None:
    frames = noise(2, 3, 40, 50)
    assert torch.allclose(
        crop(frames, (5, 6, 25, 26), 20, 0.0), frames[:, :, 6:26, 5:25], atol=1e-6
    )
    outside = crop(frames, (-30, -30, -10, -10), 8, 0.4)
    assert torch.allclose(outside, torch.full_like(outside, 0.4), atol=1e-6)


def test_wav2lip_s_loss_moves_the_lower_half_of_the_face() -> None:
    expert = seed(SyncNetColor()).requires_grad_(False)
    frames = noise(5, 3, 64, 64).requires_grad_()
    loss = wav2lip_loss(expert, frames, BOX, noise(80, 16))  # type: ignore[arg-type]
    loss.backward()
    assert loss > 0 and frames.grad is not None
    middle = int((BOX[1] + BOX[3]) / 2)
    assert frames.grad[:, :, middle + 2 :].abs().sum() > 0
    assert frames.grad[:, :, : middle - 2].abs().sum() == 0
    assert all(p.grad is None for p in expert.parameters())


def test_the_paper_s_loss_is_the_squared_distance_of_the_towers() -> None:
    network = seed(SyncNet()).requires_grad_(False)
    frames = noise(5, 3, 64, 64).requires_grad_()
    loss = syncnet_loss(network, frames, BOX, noise(13, 20))  # type: ignore[arg-type]
    loss.backward()
    assert loss > 0 and frames.grad is not None and frames.grad.abs().sum() > 0
