"""From settings to what an actor does in a clip: sound, expression and pose of every frame."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float32

from emotalk_core.actor.face_model import load_face_model
from emotalk_core.actor.identity import Identity
from emotalk_core.actor.motion import gaze_weights, head_poses, upper_face_weights
from emotalk_core.actor.pose import Pose
from emotalk_core.actor.sentences import SENTENCES
from emotalk_core.actor.speaking import mouth_track
from emotalk_core.errors import ConfigError, explain
from emotalk_core.speech.synthesis.base import PAUSE, Phoneme
from emotalk_core.speech.synthesis.espeak import espeak_phonemes
from emotalk_core.types.manifest import FPS, SAMPLE_RATE

AUTO = "auto"
MAN_VOICES = ("en-us", "en-us+m3", "en-us+m7")
WOMAN_VOICES = ("en-us+f3", "en-us+f2", "en-us+f4")
OPENING_PAUSE = 0.20  # seconds of rest before the first word
PAUSES = (0.20, 0.50)  # seconds between sentences
FASTEST = 18.0  # letters a second at 160 words a minute: no voice says more
ACCENT_SHARE = 0.45  # of the stressed vowels that head and brows accompany
ENERGY = (0.85, 1.10)  # how much people differ in the size of their mouth movements
SMALLEST, LARGEST = 64, 1024  # px
LONGEST = 3600.0  # seconds


@dataclass(frozen=True)
class ActorSettings:
    """A clip of the digital actor.

    Attributes:
        seed: which person, which words, which motion.
        seconds: length; the clip has round(25 * seconds) frames.
        size: side of the square picture, px, even.
        voice: espeak-ng voice, or "auto": one that fits the person.
        rate: words a minute.
        noise: standard deviation of the film grain, sRGB steps of 255.
    """

    seed: int = 7
    seconds: float = 24.0
    size: int = 384
    voice: str = AUTO
    rate: int = 160
    noise: float = 1.2

    def __post_init__(self) -> None:
        wrong = []
        if not 0.2 <= self.seconds <= LONGEST:
            wrong.append(
                explain("actor.seconds", self.seconds, f"wanted 0.2..{LONGEST:g} s", "use 24")
            )
        if self.size % 2 or not SMALLEST <= self.size <= LARGEST:
            wanted = f"wanted an even number in {SMALLEST}..{LARGEST} px"
            wrong.append(explain("actor.size", self.size, wanted, "use 384"))
        if not 0 <= self.noise <= 20:
            wrong.append(explain("actor.noise", self.noise, "wanted 0..20", "use 1.2"))
        if self.seed < 0:
            wrong.append(explain("actor.seed", self.seed, "wanted 0 or more", "use 7"))
        if wrong:
            raise ConfigError("\n".join(wrong))

    @property
    def n_frames(self) -> int:
        """Frames of the clip."""
        return round(self.seconds * FPS)


@dataclass(frozen=True)
class Performance:
    """What happens in a clip.

    Attributes:
        samples: 16 kHz mono, as long as the frames. phonemes: with times in the clip.
        expression: [T,52] weights; names: of the weights. poses: one per frame.
        text: what is said.
        emotion: [T,2] valence and arousal, -1..1, that the expression shows on top of speech.
    """

    samples: Float32[np.ndarray, " S"]
    phonemes: tuple[Phoneme, ...]
    expression: Float32[np.ndarray, "T 52"]
    names: tuple[str, ...]
    poses: tuple[Pose, ...]
    text: str
    emotion: Float32[np.ndarray, "T 2"]


def with_emotion(
    performance: Performance,
    weights: Float32[np.ndarray, "T 52"],
    emotion: Float32[np.ndarray, "T 2"],
) -> Performance:
    """The same words and motion with an emotional expression on top.

    Args:
        performance: what is said and how the head moves.
        weights: expression weights to add; `emotion.circle` turns (valence, arousal) into them.
        emotion: valence and arousal that these weights show.

    Raises:
        ConfigError: the tracks have another number of frames than the performance.
    """
    for name, got in (("weights", weights), ("emotion", emotion)):
        if len(got) != len(performance.poses):
            wanted = f"wanted {len(performance.poses)} rows, one a frame"
            raise ConfigError(explain(name, len(got), wanted, "repeat or cut the track"))
    return replace(
        performance,
        expression=np.clip(performance.expression + weights, 0, 1).astype(np.float32),
        emotion=np.asarray(emotion, np.float32),
    )


def _voice(settings: ActorSettings, identity: Identity, rng: np.random.Generator) -> str:
    fitting = MAN_VOICES if identity.is_man else WOMAN_VOICES
    pick = fitting[int(rng.integers(len(fitting)))]
    return pick if settings.voice == AUTO else settings.voice


def speak_to_fill(
    seconds: float, voice: str, rate: int, rng: np.random.Generator
) -> tuple[Float32[np.ndarray, " S"], list[Phoneme], str]:
    """Sentences in random order, with pauses, that end before `seconds`; silence fills the rest.

    A clip that is too short for any sentence gets the beginning of one.
    """
    length = round(seconds * SAMPLE_RATE)
    samples = np.zeros(length, np.float32)
    phonemes: list[Phoneme] = []
    said: list[str] = []
    time = OPENING_PAUSE
    waiting: list[str] = []
    misses = 0
    while misses < len(SENTENCES):
        if not waiting:
            waiting = [SENTENCES[k] for k in rng.permutation(len(SENTENCES))]
        text = waiting.pop()
        if said and time + len(text) / (FASTEST * rate / 160) > seconds:
            misses += 1
            continue
        voiced, events = espeak_phonemes(text, voice, rate)
        if said and time + len(voiced) / SAMPLE_RATE > seconds:
            misses += 1
            continue
        start = round(time * SAMPLE_RATE)
        piece = voiced[: length - start]
        samples[start : start + len(piece)] = piece
        phonemes += [
            Phoneme(e.name, e.start + time, e.end + time, e.stressed)
            for e in events
            if e.start + time < seconds
        ]
        said.append(text)
        time += len(voiced) / SAMPLE_RATE + float(rng.uniform(*PAUSES))
    return samples, phonemes, " ".join(said)


def perform(settings: ActorSettings, identity: Identity) -> Performance:
    """Speak, move and emote for a whole clip; the same settings give the same performance."""
    rng = np.random.default_rng([settings.seed, 2])
    names = load_face_model().expression_names
    n = settings.n_frames
    voice = _voice(settings, identity, rng)
    samples, phonemes, text = speak_to_fill(n / FPS, voice, settings.rate, rng)
    stressed = [(p.start + p.end) / 2 for p in phonemes if p.stressed and p.name != PAUSE]
    accents = [t for t in stressed if rng.random() < ACCENT_SHARE]
    energy = float(rng.uniform(*ENERGY))
    poses = head_poses(n, accents, rng)
    expression = mouth_track(phonemes, n, names, energy)
    expression = expression + upper_face_weights(n, accents, names, rng)
    expression = expression + gaze_weights(poses, names, rng)
    return Performance(
        samples=samples,
        phonemes=tuple(phonemes),
        expression=np.clip(expression, 0, 1).astype(np.float32),
        names=names,
        poses=tuple(poses),
        text=text,
        emotion=np.zeros((n, 2), np.float32),
    )
