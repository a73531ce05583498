"""Drives a trained avatar: a results folder, a sound and emotions over time in, an MP4 out."""

from __future__ import annotations

import json
import logging
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float

from emotalk_core.avatar.methods import get_method
from emotalk_core.code_version import code_version
from emotalk_core.emotion.circle import EmotionCurve, curve_from_keyframes
from emotalk_core.errors import ConfigError, explain
from emotalk_core.media.audio import read_audio, write_wav
from emotalk_core.media.progress import track as progress
from emotalk_core.media.video import VideoReader, write_h264
from emotalk_core.serving.head import open_head
from emotalk_core.serving.plans import OWN_SOUND, FramePlan, ping_pong
from emotalk_core.serving.stage import (
    draw_frames,
    frames_at_once,
    frames_per_second,
)
from emotalk_core.types.manifest import FPS, SAMPLE_RATE, Manifest

logger = logging.getLogger(__name__)

CLIP = "driven"  # clip name of the frames
SURVEYED = 24  # frames that tell which Gaussians are seen at all; about half a second
HOW = 'give a word, "valence,arousal", or keyframes: "0:neutral 2:happy 4.5:-0.6,0.2"'


@dataclass(frozen=True)
class DriveRequest:
    """What an avatar is made to do.

    Attributes:
        folder: results folder of the subject (docs/artifacts.md).
        output: MP4 that is written.
        method: whose avatar.
        sound: wav that is spoken; None is the subject's own sound.
        emotion: see `parse_emotion`.
        seconds: length, at most that of the sound; None is the whole sound.
    """

    folder: Path
    output: Path
    method: str = "emotalk"
    sound: Path | None = None
    emotion: str = "neutral"
    seconds: float | None = None


def parse_emotion(text: str) -> EmotionCurve:
    """A word, "valence,arousal", or keyframes "seconds:value" with spaces between, as a curve.

    Raises:
        ConfigError: the text is none of these, a word is unknown or times do not increase.
    """
    keyframes: list[tuple[float, str | list[float]]] = []
    parts = text.split()
    try:
        for part in parts:
            time, _, value = part.rpartition(":")
            if not time and len(parts) > 1:
                raise ValueError(f"{part!r} has no time")
            numbers = [float(v) for v in value.split(",")] if "," in value else None
            if numbers is not None and len(numbers) != 2:
                raise ValueError(f"{value!r} is no pair")
            keyframes.append((float(time or 0), value if numbers is None else numbers))
        if not keyframes:
            raise ValueError("it is empty")
    except ValueError as error:
        raise ConfigError(explain("emotion", repr(text), str(error), HOW)) from error
    return curve_from_keyframes(keyframes)


def plan_drive(
    manifest: Manifest, curve: EmotionCurve, sound_frames: int, sound: int, seconds: float | None
) -> list[FramePlan]:
    """Poses of the training part walked to and fro under the sound, with the curve's emotion.

    Raises:
        ConfigError: no frame is asked for.
    """
    asked = sound_frames / FPS if seconds is None else seconds
    wanted = round(min(asked * FPS, sound_frames)) if np.isfinite(asked) else 0
    if wanted < 1:
        raise ConfigError(explain("seconds", seconds, "wanted at least one frame", "ask for more"))
    points: Float[np.ndarray, "T 2"] = curve.frames(wanted, FPS)
    return [
        FramePlan(CLIP, ping_pong(manifest.n_train, k), sound, k, (float(v), float(a)))
        for k, (v, a) in enumerate(points)
    ]


def drive_avatar(
    request: DriveRequest, backend: str = "auto", threads: int = 1, device: str = "cpu"
) -> None:
    """Write the MP4 with the sound that is spoken and the facts of its making in its metadata.

    Raises:
        ArtifactError: artifacts are missing or do not belong together.
        BackendUnavailableError: CUDA is asked for and not there.
        ConfigError: the folder is no subject's, the sound would be overwritten, the emotion cannot
            be read or the method has none.
    """
    curve = parse_emotion(request.emotion)
    sound, output = request.sound, request.output
    if sound is not None and output.exists() and sound.exists() and output.samefile(sound):
        wanted = "wanted another file than the sound, which would be overwritten"
        raise ConfigError(explain("video", output, wanted, "give a new name"))
    if not get_method(request.method).has_emotion and np.any(curve.points != 0):
        raise ConfigError(
            explain("emotion", repr(request.emotion), f"{request.method} has none", "use emotalk")
        )
    torch.set_num_threads(1)  # the frames themselves are drawn side by side
    sounds = [] if sound is None else [sound]
    head = open_head(request.folder, request.method, sounds, backend, device)
    at_once = frames_at_once(head.device.type, threads)
    facts, drivers = head.manifest, head.drivers
    own = sound is None
    length = facts.n_train if own else len(drivers.sounds[0])
    plans = plan_drive(facts, curve, length, OWN_SOUND if own else 0, request.seconds)
    provenance = {
        **head.provenance(),
        "sound": facts.source_name if own else str(sound),
        "emotion": request.emotion,
        "code_version": code_version("serving.drive"),
    }
    samples = read_audio(head.own_sound if sound is None else sound)
    with tempfile.TemporaryDirectory() as scratch, VideoReader(head.behind) as behind:
        spoken = Path(scratch) / "spoken.wav"
        write_wav(spoken, samples[: len(plans) * SAMPLE_RATE // FPS])
        times: list[float] = []
        frames = draw_frames(
            head.live(plans[:: -(-len(plans) // SURVEYED)]),
            drivers,
            plans,
            behind,
            head.has_emotion,
            head.device,
            times,
            at_once,
        )
        write_h264(
            request.output,
            progress(frames, "rendering", len(plans), logger),
            audio_wav=spoken,
            comment=json.dumps(provenance, sort_keys=True),
        )
    logger.info(
        "wrote %s: %d frames, %.1f a second",
        request.output,
        len(plans),
        frames_per_second(times, at_once),
    )
