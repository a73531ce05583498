from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from benchmarks.left_out import MARGIN, score, without
from emotalk_core.avatar.methods import get_method
from emotalk_core.perception.landmarks.topology import LIPS
from emotalk_core.training.inputs import ClipPaths, read_clip
from emotalk_core.training.layers.face import FaceLayer, lip_gap
from emotalk_core.training.prepare import Job, prepare
from emotalk_core.training.settings import TrainingSettings
from tests.training.synthetic import make_subject

SETTINGS = TrainingSettings(steps=2, landmark_steps=2, n_gaussians=200, max_gaussians=250)


@pytest.fixture
def job(tmp_path: Path) -> Job:
    paths = ClipPaths(**make_subject(tmp_path))
    method = get_method("emotalk_no_emotion")
    return Job("face", method, paths, None, {}, SETTINGS, seed=0, threads=1, device="cpu")


def test_frames_that_a_given_clip_calls_invalid_teach_nothing(job: Job) -> None:
    clip = read_clip(job.paths)
    part = np.arange(3)
    rest = without(clip, part)
    assert not rest.valid[: len(part) + MARGIN].any()
    assert (rest.valid[len(part) + MARGIN :] == clip.valid[len(part) + MARGIN :]).all()
    few = replace(clip, valid=clip.valid & (np.arange(clip.manifest.n_frames) != 5))
    made = prepare(job, few)
    made.store.close()
    everything = prepare(job)
    everything.store.close()
    left = {*everything.pool.frames, everything.held_out} - {*made.pool.frames, made.held_out}
    assert left == {5}


def test_lips_are_measured_on_frames_that_were_left_out(job: Job) -> None:
    made = prepare(job)
    layer, part = made.layer, np.array([1, 2, 6])
    assert isinstance(layer, FaceLayer)
    predicted, tracked = layer.lip_motion(part)
    assert predicted.shape == tracked.shape == (3, len(LIPS), 2)
    truth = torch.from_numpy(read_clip(job.paths).motion[part][:, list(LIPS)])
    assert torch.equal(tracked, truth)
    found = score(made, 0, part, drawn=True)
    made.store.close()
    gaps = lip_gap(layer.lip_motion(part)[0].detach()).std() / lip_gap(tracked).std()
    assert found.amplitude == pytest.approx(float(gaps), rel=1e-4)
    assert found.psnr is not None and 0 < found.psnr < 60
    assert found.share <= found.share_about_means <= 1
