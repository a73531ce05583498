"""Shared fixtures: a short clip of the digital actor, made once per test session."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def actor_settings():
    """Settings of `actor_clip`: its truth comes from emotalk_core.actor.truth.render_truth."""
    from emotalk_core.actor.performance import ActorSettings

    return ActorSettings(seed=7, seconds=4.0, size=256)


@pytest.fixture(scope="session")
def actor_clip(actor_settings, tmp_path_factory) -> Path:
    """A 4 s MP4 (256 px, 25 fps, sound) of the digital actor; tests must not change it."""
    from emotalk_core.actor.stage import make_actor_video

    video = tmp_path_factory.mktemp("actor") / "source.mp4"
    make_actor_video(video=video, settings=actor_settings, threads=1)
    return video
