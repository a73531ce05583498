"""The clip: container, sound, provenance, agreement with the truth, a face in every frame."""

from __future__ import annotations

import av
import numpy as np
import pytest

from emotalk_core.actor.stage import PROVENANCE, ActorSettings, make_actor_video
from emotalk_core.actor.truth import render_truth
from emotalk_core.media.atomic import sha256_file
from emotalk_core.media.audio import read_audio


@pytest.fixture(scope="module")
def actor_settings(actor_clip):
    """The settings of tests/conftest.py's clip, read back from it."""
    with av.open(str(actor_clip)) as container:
        stream = container.streams.video[0]
        return ActorSettings(seconds=stream.frames / 25, size=stream.width)


@pytest.fixture(scope="module")
def frames(actor_clip):
    with av.open(str(actor_clip)) as container:
        return [f.to_ndarray(format="rgb24") for f in container.decode(video=0)]


def test_container(actor_clip, actor_settings, frames):
    assert len(frames) == actor_settings.n_frames == 100
    assert frames[0].shape == (actor_settings.size, actor_settings.size, 3)
    with av.open(str(actor_clip)) as container:
        assert container.metadata["comment"] == PROVENANCE
        assert container.streams.video[0].average_rate == 25
        assert container.streams.video[0].codec_context.name == "h264"
    sound = read_audio(actor_clip)
    assert abs(len(sound) / 16_000 - 4.0) < 0.1
    assert np.abs(sound).max() > 0.1


def test_video_shows_the_truth(actor_settings, frames):
    for truth in render_truth(actor_settings, [0, 37, 99]):
        error = np.mean((truth.rgb.astype(float) - frames[truth.index]) ** 2)
        assert 10 * np.log10(255**2 / error) > 36


def test_face_mesh_finds_the_face_where_it_is(actor_settings, frames):
    mediapipe = pytest.importorskip("mediapipe")
    mesh = mediapipe.solutions.face_mesh.FaceMesh(static_image_mode=True, refine_landmarks=True)
    chosen = list(range(0, 100, 9))
    for truth in render_truth(actor_settings, chosen):
        found = mesh.process(frames[truth.index]).multi_face_landmarks
        assert found, f"no face in frame {truth.index}"
        seen = np.array(
            [(p.x * actor_settings.size, p.y * actor_settings.size) for p in found[0].landmark]
        )
        eyes = np.linalg.norm(truth.landmarks[33] - truth.landmarks[263])
        assert np.linalg.norm(seen - truth.landmarks, axis=1).mean() < 0.05 * eyes
    mesh.close()


def test_two_runs_write_the_same_bytes(tmp_path):
    settings = ActorSettings(seed=5, seconds=0.4, size=128)
    make_actor_video(video=tmp_path / "a.mp4", settings=settings, threads=1)
    make_actor_video(video=tmp_path / "b.mp4", settings=settings, threads=1)
    assert sha256_file(tmp_path / "a.mp4") == sha256_file(tmp_path / "b.mp4")
