"""A trained avatar that answers to the moment: any frame of any sound with any emotion."""

from __future__ import annotations

import json
import threading
from dataclasses import dataclass, replace

import cv2
import numpy as np
from jaxtyping import Float32, UInt8

from emotalk_core.emotion.circle import curve_from_keyframes, evaluation_points, packaged_circle
from emotalk_core.errors import ConfigError, InputError, explain
from emotalk_core.media.audio import read_audio
from emotalk_core.media.video import VideoReader
from emotalk_core.serving.head import Head
from emotalk_core.serving.plans import OWN_SOUND, FramePlan, ping_pong
from emotalk_core.serving.stage import draw_frame, frames_at_once
from emotalk_core.speech.features.registry import features_by_id, frames_in
from emotalk_core.speech.synthesis.base import SynthesisEngine
from emotalk_core.speech.synthesis.stage import SynthesisSettings, load_engine, speak
from emotalk_core.types.manifest import FPS, SAMPLE_RATE

CLIP = "view"  # clip name of the frames
SURVEYED = 26  # views that tell which Gaussians are seen at all: twice the 12 points and calm
JPEG_QUALITY = 92  # percent
LONGEST_SECONDS = 300.0  # of a sound
LONGEST_TEXT = 1000  # characters
LONGEST_NAME = 60  # characters of a text that name its sound
MOST_SOUNDS = 50  # kept in memory, about 8 MB a minute with their features


@dataclass(frozen=True)
class Sound:
    """What can be spoken: its name, its samples (16 kHz mono) and its index among the drivers'."""

    name: str
    samples: Float32[np.ndarray, " N"]
    index: int


class LiveHead:
    """Draws any moment of any of its sounds with any emotion, and learns new sounds."""

    def __init__(self, head: Head, threads: int = 1) -> None:
        """Survey the head from all emotions, so that unseen Gaussians are left out."""
        own = read_audio(head.own_sound)[: head.manifest.n_train * SAMPLE_RATE // FPS]
        self._head = head
        self._sounds = [Sound("own voice", own, OWN_SOUND)]
        self._behind = VideoReader(head.behind)
        self._reading, self._learning = threading.Lock(), threading.Lock()
        self._drawing = threading.Semaphore(frames_at_once(head.device.type, threads))
        self._drawer = head.live(self._survey())
        self._voice: SynthesisEngine | None = None
        self._provenance = json.dumps(head.provenance(), sort_keys=True).encode()

    def _survey(self) -> list[FramePlan]:
        points = [(0.0, 0.0), *((p.valence, p.arousal) for p in evaluation_points())]
        frames = np.linspace(0, self._head.manifest.n_train - 1, SURVEYED).astype(int)
        return [
            FramePlan(CLIP, int(frame), OWN_SOUND, int(frame), points[k % len(points)])
            for k, frame in enumerate(frames)
        ]

    def close(self) -> None:
        """Close the video behind the head."""
        self._behind.close()

    def facts(self) -> dict[str, object]:
        """What the page needs to know."""
        circle = packaged_circle()
        manifest = self._head.manifest
        return {
            "subject": manifest.subject,
            "method": self._head.method,
            "width": manifest.width,
            "height": manifest.height,
            "fps": FPS,
            "has_emotion": self._head.has_emotion,
            "words": {word: list(circle.point(word)) for word in sorted(circle.words)},
            "sounds": [
                {"name": sound.name, "seconds": len(sound.samples) / SAMPLE_RATE}
                for sound in self._sounds
            ],
        }

    def picture(
        self, sound: int, frame: int, emotion: tuple[float, float]
    ) -> UInt8[np.ndarray, "H W 3"]:
        """The head at a 25 fps frame of a sound, RGB.

        Raises:
            ConfigError: there is no such sound, frame or emotion.
        """
        chosen = self.sound(sound)
        count = frames_in(chosen.samples)
        if not 0 <= frame < count:
            raise ConfigError(explain("frame", frame, f"wanted 0..{count - 1}", "ask for another"))
        (point,) = curve_from_keyframes([(0.0, list(emotion))]).points.tolist()
        head = self._head
        plan = FramePlan(
            CLIP, ping_pong(head.manifest.n_train, frame), chosen.index, frame, tuple(point)
        )
        with self._reading:
            behind = self._behind[plan.source_frame]
        with self._drawing:
            return draw_frame(
                self._drawer, head.drivers, plan, behind, head.has_emotion, head.device
            )

    def jpeg(self, sound: int, frame: int, emotion: tuple[float, float]) -> bytes:
        """The same as a JPEG file whose comment tells where it comes from."""
        picture = cv2.cvtColor(self.picture(sound, frame, emotion), cv2.COLOR_RGB2BGR)
        done, data = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
        if not done:
            raise RuntimeError("OpenCV could not write a JPEG")
        return with_comment(data.tobytes(), self._provenance)

    def sound(self, index: int) -> Sound:
        """One of the sounds.

        Raises:
            ConfigError: there is no such sound.
        """
        if not 0 <= index < len(self._sounds):
            wanted = f"wanted 0..{len(self._sounds) - 1}"
            raise ConfigError(explain("sound", index, wanted, "load the page again"))
        return self._sounds[index]

    def learn(self, name: str, samples: Float32[np.ndarray, " N"]) -> int:
        """Take a sound; its index comes back.

        Raises:
            InputError: it is empty or too long, or there are too many already.
        """
        seconds = len(samples) / SAMPLE_RATE
        if not 1 / FPS <= seconds <= LONGEST_SECONDS:
            raise InputError(
                f"{name}: lasts {seconds:.2f} s: wanted {1 / FPS:g}..{LONGEST_SECONDS:g} s; "
                "cut it, or use emotalk render"
            )
        with self._learning:
            if len(self._sounds) > MOST_SOUNDS:
                raise InputError(f"{name}: {MOST_SOUNDS} sounds are there already; start again")
            features = features_by_id(samples, frames_in(samples), self._head.extractor)
            drivers = self._head.drivers
            sounds, names = (*drivers.sounds, features), (*drivers.sound_names, name)
            self._head = replace(
                self._head, drivers=replace(drivers, sounds=sounds, sound_names=names)
            )
            self._sounds.append(Sound(name, samples, len(sounds) - 1))
            return len(self._sounds) - 1

    def say(self, text: str) -> int:
        """Speak a text with the packaged voice; the index of the new sound comes back.

        Raises:
            InputError: the text is empty, too long, or nothing that can be spoken.
        """
        text = " ".join(text.split())
        if not 0 < len(text) <= LONGEST_TEXT:
            raise InputError(
                f"text: has {len(text)} characters: wanted 1..{LONGEST_TEXT}; say it in parts"
            )
        settings = SynthesisSettings()
        with self._learning:
            self._voice = self._voice or load_engine(settings)
            samples, _ = speak(text, self._voice, settings)
        return self.learn(text[:LONGEST_NAME], samples)


def with_comment(jpeg: bytes, text: bytes) -> bytes:
    """A JPEG file with a comment segment after its first marker."""
    return jpeg[:2] + b"\xff\xfe" + (len(text) + 2).to_bytes(2, "big") + text + jpeg[2:]
