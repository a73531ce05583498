"""The pixel expert: pictures free of head pose, learning from a person's landmark expert."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from emotalk_core.speech.sync.lip_pictures import (
    HALF,
    SIDE,
    look,
    look_at_frame,
    mouth_square,
    pixel_positions,
)
from emotalk_core.speech.sync.network import ExpertSpec
from emotalk_core.speech.sync.picture_training import PictureClip, train_picture_expert
from emotalk_core.speech.sync.reading import distances_by_shift, separability, sound_codes
from emotalk_core.speech.sync.training import SyncTraining, train_expert
from emotalk_core.training.pixel_sync_expert import picture_codes
from emotalk_core.types.camera import CameraPath
from tests.speech.test_sync_experts import paired
from tests.training.synthetic import DISTANCE, FOCAL, SIZE, neutral_mesh


def cameras(shift: float) -> CameraPath:
    """Two frames; in the second one the head lies elsewhere and is turned about the view axis."""
    intrinsics = np.repeat(
        np.array([[FOCAL, 0, SIZE / 2], [0, FOCAL, SIZE / 2], [0, 0, 1.0]])[None], 2, 0
    )
    viewmats = np.repeat(np.eye(4)[None], 2, axis=0)
    viewmats[:, 2, 3] = DISTANCE
    cosine, sine = np.cos(0.3), np.sin(0.3)
    viewmats[1, :2, :2] = [[cosine, -sine], [sine, cosine]]
    viewmats[1, 0, 3] = shift
    return CameraPath(SIZE, SIZE, 25, intrinsics, viewmats)


def test_a_picture_shows_the_same_mouth_wherever_the_head_is() -> None:
    neutral = neutral_mesh()
    square = mouth_square(neutral)
    places = pixel_positions(square, cameras(0.02), range(2))
    # a pattern that lies on the plane of the lips, seen by both cameras
    middle = square.mean(dim=0).numpy()
    frames = []
    for path in (0, 1):
        viewmat, K = cameras(0.02).viewmats[path], cameras(0.02).Ks[path]
        grid = np.stack(np.meshgrid(np.arange(SIZE) + 0.5, np.arange(SIZE) + 0.5), axis=-1)
        depth = (viewmat[2, :3] @ middle) + viewmat[2, 3]
        seen = np.concatenate(
            [(grid - K[:2, 2]) / FOCAL * depth, np.full((SIZE, SIZE, 1), depth)], 2
        )
        world = (seen - viewmat[:3, 3]) @ viewmat[:3, :3]
        frames.append(np.stack([world[..., 0], world[..., 1], world[..., 2]]) / 0.1 + 0.5)
    pair = torch.tensor(np.stack(frames), dtype=torch.float32)
    both = look(pair, torch.from_numpy(places))
    assert both.shape == (2, 3, SIDE, SIDE)
    torch.testing.assert_close(both[0], both[1], atol=2e-3, rtol=0)
    eyes = float(np.linalg.norm(neutral[33] - neutral[263]))
    width = (both[0, 0, 0, -1] - both[0, 0, 0, 0]) * 0.1  # metres from first to last pixel centre
    assert float(width) == pytest.approx(2 * HALF * eyes * (SIDE - 1) / SIDE, rel=1e-3)


def test_a_frame_s_picture_is_eight_bits() -> None:
    frame = np.full((SIZE, SIZE, 3), (10, 20, 30), np.uint8)
    place = pixel_positions(mouth_square(neutral_mesh()), cameras(0.0), range(1))[0]
    seen = look_at_frame(frame, place)
    assert seen.dtype == np.uint8 and (seen == np.uint8([10, 20, 30])[:, None, None]).all()


def drawn(lips: np.ndarray) -> np.ndarray:
    """Pictures [T,3,S,S] of bars whose lengths are the first lip numbers."""
    steps = (np.arange(SIDE) + 0.5) / SIDE
    lengths = 0.5 + 0.15 * lips[:, :8]
    bars = 1 / (1 + np.exp((steps - lengths[..., None]) * 12))  # [T,8,S]
    rows = np.repeat(bars, SIDE // 8, axis=1)
    return np.repeat((rows * 255)[:, None], 3, axis=1).astype(np.uint8)


def test_a_pixel_expert_learns_from_the_landmark_expert() -> None:
    clips = [paired(160, "logmel", seed) for seed in (0, 9)]
    teacher = train_expert(clips[:1], ExpertSpec(), SyncTraining(steps=60, batch=8), seed=0)
    known, unseen = (PictureClip(drawn(c.lips), drawn(c.lips), c.lips, c.sound) for c in clips)
    expert = train_picture_expert(known, teacher, SyncTraining(steps=50, batch=3), seed=0)
    apart = distances_by_shift(
        picture_codes(expert, unseen.filled), sound_codes(expert, unseen.sound)
    )
    assert separability(apart, 25) > 0.9
    assert all(
        torch.equal(a, b)
        for a, b in zip(
            expert.sound_tower.state_dict().values(), teacher.sound_tower.state_dict().values()
        )
    )
