"""What each frame of a scenario is driven by: from a scenario's name to a table of frames."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32

from emotalk_core.emotion.circle import EvaluationPoint
from emotalk_core.types.manifest import FPS, Manifest
from emotalk_core.types.renders import TEST_CLIP, point_clip

OWN_SOUND = -1  # index of the subject's own features among the sounds


@dataclass(frozen=True)
class FramePlan:
    """Drivers of one rendered frame.

    Attributes:
        clip: name of the run of frames that it belongs to.
        source_frame: frame of the subject whose pose, action units and torso are used.
        sound: index of the driving sound, or `OWN_SOUND`.
        audio_frame: 25 fps frame within that sound.
        emotion: (valence, arousal) that is asked for.
    """

    clip: str
    source_frame: int
    sound: int
    audio_frame: int
    emotion: tuple[float, float]


def ping_pong(count: int, index: int) -> int:
    """Position of step `index` when 0..count-1 is walked to and fro without repeating its ends."""
    if count == 1:
        return 0
    turn = index % (2 * (count - 1))
    return turn if turn < count else 2 * (count - 1) - turn


def plan_self(manifest: Manifest, emotion: Float32[np.ndarray, "T 2"]) -> list[FramePlan]:
    """The held-out part of the clip with its own sound, action units and emotion."""
    return [
        FramePlan(TEST_CLIP, i, OWN_SOUND, i, (float(emotion[i, 0]), float(emotion[i, 1])))
        for i in range(manifest.n_train, manifest.n_frames)
    ]


def plan_cross(
    manifest: Manifest,
    emotion: Float32[np.ndarray, "T 2"],
    clips: Sequence[tuple[str, int]],
    max_seconds: float,
) -> list[FramePlan]:
    """Other sounds over the training part's poses, action units and emotion, walked to and fro.

    `clips` are (name, 25 fps frames) of each sound; at most `max_seconds` of it are used.
    """
    plans = []
    for sound, (name, n_frames) in enumerate(clips):
        for k in range(min(n_frames, round(max_seconds * FPS))):
            source = ping_pong(manifest.n_train, k)
            own = (float(emotion[source, 0]), float(emotion[source, 1]))
            plans.append(FramePlan(name, source, sound, k, own))
    return plans


def plan_emotion(
    manifest: Manifest, points: Sequence[EvaluationPoint], n_frames: int, seconds: float
) -> list[FramePlan]:
    """The evaluation points one after the other, each over the same start of one foreign sound."""
    length = min(n_frames, max(1, round(seconds * FPS)))
    return [
        FramePlan(
            point_clip(point.valence, point.arousal),
            ping_pong(manifest.n_train, k),
            0,
            k,
            (point.valence, point.arousal),
        )
        for point in points
        for k in range(length)
    ]
