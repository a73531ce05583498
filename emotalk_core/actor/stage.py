"""Stage demo_actor: settings in, a talking-head video of a synthetic person out."""

from __future__ import annotations

import logging
import tempfile
from pathlib import Path

import cv2

from emotalk_core.actor.identity import random_identity
from emotalk_core.actor.performance import ActorSettings, perform
from emotalk_core.actor.truth import render_performance
from emotalk_core.media.audio import write_wav
from emotalk_core.media.progress import track
from emotalk_core.media.video import write_h264

LOGGER = logging.getLogger(__name__)

PROVENANCE = "synthetic actor made by EmoTalk"
QUALITY = 12  # H.264 crf: nearly transparent, as a good camera's file

__all__ = ["PROVENANCE", "ActorSettings", "make_actor_video"]


def make_actor_video(*, video: Path, settings: ActorSettings, threads: int) -> None:
    """Write an MP4 (H.264, AAC, 25 fps) of a random person who speaks.

    Args:
        video: target; whole or absent.
        settings: person, length, size, voice.
        threads: for OpenCV; the renderer uses one.

    Raises:
        InputError: the voice is unknown, or the file cannot be written.
    """
    cv2.setNumThreads(threads)
    identity = random_identity(settings.seed)
    performance = perform(settings, identity)
    LOGGER.info(
        "actor %d (%s, %s): %s", settings.seed, identity.style, identity.skin, performance.text
    )
    frames = render_performance(identity, performance, settings)
    pictures = (frame.rgb for frame in frames)
    with tempfile.TemporaryDirectory() as folder:
        sound = Path(folder) / "speech.wav"
        write_wav(sound, performance.samples)
        write_h264(
            video,
            track(pictures, "actor frames", settings.n_frames, LOGGER),
            audio_wav=sound,
            crf=QUALITY,
            comment=PROVENANCE,
        )
    LOGGER.info("wrote %s: %d frames, %d px", video, settings.n_frames, settings.size)
