"""Fixtures that several rooms share: short clips of the digital actor, made once per session."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def actor_clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """MP4 of the digital actor: four seconds, 192 px, 25 fps, with sound."""
    from emotalk_core.actor.stage import ActorSettings, make_actor_video

    video = tmp_path_factory.mktemp("actor") / "actor.mp4"
    make_actor_video(video=video, settings=ActorSettings(seconds=4.0, size=192), threads=1)
    return video


from tests.pipeline_fixtures import smoke_run  # noqa: E402, F401  (a fixture of all pipeline tests)
