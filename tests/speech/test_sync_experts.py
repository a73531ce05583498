"""Sync experts: pose-free lips, learning from synthetic pairs, readings, files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from emotalk_core.errors import ArtifactError, NumericalError
from emotalk_core.media.checkpoints import save_checkpoint
from emotalk_core.speech.sync.experts import (
    SubjectExpert,
    general_expert,
    load_expert,
    load_subject_expert,
    save_expert,
    save_subject_expert,
)
from emotalk_core.speech.sync.lip_shapes import LIP_POINTS, MIRROR, LipFrame
from emotalk_core.speech.sync.network import REACH, ExpertSpec, SyncExpert
from emotalk_core.speech.sync.reading import (
    MAX_SHIFT,
    beyond_chance,
    distances_by_shift,
    lip_codes,
    read_sync,
    separability,
    sound_codes,
    summarise,
)
from emotalk_core.speech.sync.sounds import EMBEDDING, KINDS, LOGMEL, SHAPES, hear
from emotalk_core.speech.sync.training import SHORTEST, SyncClip, SyncTraining, train_expert


def face(n_frames: int, seed: int = 0) -> np.ndarray:
    """Random but rigid landmarks [T,478,2] whose lips move."""
    rng = np.random.default_rng(seed)
    points = np.repeat(rng.normal(0, 30, (1, 478, 2)), n_frames, axis=0)
    points[:, 33], points[:, 263] = (-45, 0), (45, 0)
    points[:, LIP_POINTS] += rng.normal(0, 3, (n_frames, len(LIP_POINTS), 2))
    return points


def paired(n_frames: int, kind: str, seed: int) -> SyncClip:
    """Lips that follow the first bands of a random sound."""
    shape = SHAPES[kind]
    rng = np.random.default_rng(seed)
    each = rng.normal(size=(n_frames, shape.size)).astype(np.float32)
    mix = np.random.default_rng(7).normal(size=(8, 80)) / 3
    lips = (each[:, :8] @ mix).astype(np.float32)
    return SyncClip(lips, np.repeat(each, shape.per_frame, axis=0))


def test_lip_shapes_do_not_know_the_pose() -> None:
    still = face(9)
    frame = LipFrame.fit(still)
    angle, size = 0.3, 1.7
    turn = size * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    moved = still @ turn.T + [100, 60]
    np.testing.assert_allclose(frame.shapes(moved), frame.shapes(still), atol=1e-3)
    np.testing.assert_allclose(frame.shapes(still).mean(axis=0), 0, atol=1e-4)
    # one outer eye distance is 90 px: a lip point 9 px lower has a shape of 12 * .1
    lower = still.copy()
    lower[:, LIP_POINTS[5], 1] += 9
    difference = (frame.shapes(lower) - frame.shapes(still)).reshape(-1, 40, 2)
    np.testing.assert_allclose(difference[:, 5], [[0, 1.2]] * 9, atol=1e-4)


def test_frames_without_a_face_hold_the_last_shape() -> None:
    points = face(6)
    frame = LipFrame.fit(points)
    points[3] = points[2]
    wanted = frame.shapes(points)
    points[3] = np.nan
    np.testing.assert_allclose(frame.shapes(points), wanted)
    assert not frame.shapes(np.full_like(points, np.nan)).any()
    again = LipFrame.from_dict(frame.to_dict())
    np.testing.assert_array_equal(again.lips, frame.lips)


def test_the_mirror_maps_corners_on_corners() -> None:
    assert LIP_POINTS[MIRROR[0]] == 291 and LIP_POINTS[MIRROR[10]] == 61
    assert LIP_POINTS[MIRROR[5]] == 17 and LIP_POINTS[MIRROR[15]] == 0
    assert (MIRROR[MIRROR] == np.arange(40)).all()


@pytest.mark.parametrize("kind", KINDS)
def test_an_expert_learns_which_sound_belongs_to_which_lips(kind: str) -> None:
    settings = SyncTraining(steps=100, batch=8)
    clips = [paired(160, kind, seed) for seed in range(3)]
    expert = train_expert(clips, ExpertSpec(kind), settings, seed=0)
    unseen = paired(160, kind, 9)
    reading = read_sync(expert, unseen.lips, unseen.sound)
    assert reading.shift == 0 and reading.confidence > 0.2
    per_frame = SHAPES[kind].per_frame
    late = np.concatenate([unseen.sound[-3 * per_frame :], unseen.sound[: -3 * per_frame]])
    assert read_sync(expert, unseen.lips, late).shift == 3
    frozen = np.repeat(unseen.lips[80:81], 160, axis=0)
    assert read_sync(expert, frozen, unseen.sound).confidence == pytest.approx(0, abs=1e-6)
    apart = distances_by_shift(lip_codes(expert, unseen.lips), sound_codes(expert, unseen.sound))
    assert separability(apart, 25) > 0.95
    again = train_expert(clips, ExpertSpec(kind), settings, seed=0)
    assert torch.equal(again.sharpness, expert.sharpness)


def test_short_clips_cannot_teach() -> None:
    with pytest.raises(NumericalError, match=f"{SHORTEST} frames"):
        train_expert([paired(30, EMBEDDING, 0)], ExpertSpec(EMBEDDING), SyncTraining(2), 0)


def test_readings_by_hand() -> None:
    n = 40
    distances = np.full((n, 2 * MAX_SHIFT + 1), 1.3, np.float32)
    distances[:, MAX_SHIFT + 2] = 0.9
    reading = summarise(distances)
    assert reading.shift == 2
    assert reading.distance == pytest.approx(0.9, abs=1e-5)
    assert reading.own == pytest.approx(1.3, abs=1e-5)
    assert reading.confidence == pytest.approx(0.4, abs=1e-5)
    assert separability(np.roll(distances, -2, axis=1), 1) == 1.0
    assert separability(np.full_like(distances, 1.3), 5) == pytest.approx(0.5)
    codes = np.eye(64, dtype=np.float32)[:n]
    apart = distances_by_shift(codes, codes)
    assert np.isnan(apart[0, 0]) and apart[20, MAX_SHIFT] == 0
    assert apart[20, MAX_SHIFT + 1] == pytest.approx(2**0.5)
    shifted = distances_by_shift(codes[:20], codes, at=np.arange(20) + 5)
    assert shifted[12, MAX_SHIFT - 5] == 0


def test_what_any_lips_get_is_taken_out() -> None:
    rng = np.random.default_rng(3)
    seen, heard = (rng.normal(size=(n, 8)).astype(np.float32) for n in (30, 80))
    at = np.arange(30) + 20
    apart, beyond = distances_by_shift(seen, heard, at), beyond_chance(seen, heard, at)
    # by hand: every order of the lips is equally likely, so each moment of sound meets all of them
    moment = at[:, None] + np.arange(-MAX_SHIFT, MAX_SHIFT + 1)
    anyone = np.linalg.norm(seen[:, None] - heard[None], axis=2).mean(axis=0)[moment]
    np.testing.assert_allclose(beyond, apart - anyone + anyone.mean(), atol=1e-5)
    still = beyond_chance(np.repeat(seen[:1], 30, axis=0), heard, at)
    assert np.ptp(still) < 1e-5 and np.ptp(distances_by_shift(seen[:1], heard, at[:1])) > 0.1
    known = np.arange(30) < 10
    lost = np.where(known[:, None], seen, np.nan)
    part = beyond_chance(lost, heard, at, known)
    assert np.isfinite(part[:10]).all() and np.isnan(part[10:]).all()
    edges = beyond_chance(seen, heard[:20])
    assert (np.isnan(edges) == np.isnan(distances_by_shift(seen, heard[:20]))).all()


@pytest.mark.parametrize("kind", KINDS)
def test_sound_columns_fit_the_frames(kind: str) -> None:
    rng = np.random.default_rng(0)
    samples = rng.normal(0, 0.1, 16_000).astype(np.float32)
    for n_frames in (25, 27):  # exact, and longer than the sound
        columns = hear(samples, n_frames, kind)
        assert columns.shape == (n_frames * SHAPES[kind].per_frame, SHAPES[kind].size)
        assert np.isfinite(columns).all()
        expert = SyncExpert(ExpertSpec(kind)).eval()
        assert sound_codes(expert, columns).shape == (n_frames, 64)


def test_files_of_experts(tmp_path: Path) -> None:
    expert = SyncExpert(ExpertSpec(LOGMEL)).eval()
    path = tmp_path / "expert.safetensors"
    save_subject_expert(path, SubjectExpert(expert, torch.ones(40, 2), 0.9), {"id": "x"})
    assert path.stat().st_size < 500_000
    loaded = load_subject_expert(path)
    lips = torch.randn(1, 9, 80)
    assert loaded.true_distance == 0.9 and loaded.mean_motion.shape == (40, 2)
    np.testing.assert_allclose(loaded.expert.see(lips), expert.see(lips).detach(), atol=5e-3)
    save_expert(path, expert, {})
    with pytest.raises(ArtifactError, match="adapt_sync_expert"):
        load_subject_expert(path)
    save_checkpoint(path, {}, "sync_expert", {"spec": ExpertSpec().to_dict()})
    with pytest.raises(ArtifactError, match="train again"):
        load_expert(path)


@pytest.mark.parametrize("kind", KINDS)
def test_packaged_experts_know_a_synthetic_speaker_they_never_saw(kind: str) -> None:
    from emotalk_core.actor.speech_corpus import spoken_clip
    from emotalk_core.actor.sync_experts import sync_clip

    clip = sync_clip(spoken_clip(5001, 6.0), kind)
    expert = general_expert(kind)
    reading = read_sync(expert, clip.lips, clip.sound)
    assert abs(reading.shift) <= 1 and reading.confidence > 0.2
    assert not any(p.requires_grad for p in expert.parameters()) and REACH == 2
