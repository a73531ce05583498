"""A seed in, a minute or less of a synthetic person's speech with its landmarks out, undrawn.

The sync experts learn lips and sound from such clips: anybody's head, any voice, exact sync. No
picture is needed for that, so an hour of speech takes minutes.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32

from emotalk_core.actor.face_model import load_face_model
from emotalk_core.actor.identity import identity_head, random_identity
from emotalk_core.actor.motion import head_poses, upper_face_weights
from emotalk_core.actor.performance import speak_to_fill
from emotalk_core.actor.pose import intrinsics, view_matrix
from emotalk_core.actor.speaking import LIP_LEAD, mouth_track
from emotalk_core.types.manifest import FPS

# Voices of espeak-ng: men, women, and readers with foreign accents, whose phonemes differ.
VOICES = (
    *(f"en-us+{kind}" for kind in ("m1", "m2", "m3", "m4", "m5", "m6", "m7", "m8")),
    *(f"en-us+{kind}" for kind in ("f1", "f2", "f3", "f4", "f5")),
    *(f"{language}+{kind}" for language in ("de", "es", "it", "nl", "pl") for kind in ("m3", "f2")),
)
RATES = (120, 195)  # words a minute
ENERGY = (0.6, 1.25)  # size of the mouth's movements
LEAD_SPREAD = 0.012  # s, standard deviation of how far lips run ahead of the sound
HABIT = 0.35  # people use some muscles more: deviation of the logarithm of a weight's gain
PICTURE = 256  # px
TREMOR = 0.25  # px: deviation of a landmark detector's error from frame to frame


@dataclass(frozen=True)
class SpokenClip:
    """Landmarks and sound of one person.

    Attributes:
        landmarks: [T,478,2] px at 25 fps.
        samples: 16 kHz mono, T/25 s.
    """

    landmarks: Float32[np.ndarray, "T 478 2"]
    samples: Float32[np.ndarray, " S"]


def spoken_clip(seed: int, seconds: float) -> SpokenClip:
    """A random person who speaks and moves the head; the same seed gives the same clip."""
    rng = np.random.default_rng([seed, 41])
    model = load_face_model()
    names = model.expression_names
    n = round(seconds * FPS)
    voice, rate = str(rng.choice(VOICES)), int(rng.integers(*RATES))
    samples, phonemes, _ = speak_to_fill(n / FPS, voice, rate, rng)
    accents = [(p.start + p.end) / 2 for p in phonemes if p.stressed]
    lead = LIP_LEAD + rng.normal(0, LEAD_SPREAD)
    mouth = mouth_track(phonemes, n, names, float(rng.uniform(*ENERGY)), lead)
    habits = np.exp(rng.normal(0, HABIT, len(names)))
    weights = np.clip(mouth * habits + upper_face_weights(n, accents, names, rng), 0, 1)
    head = identity_head(model, random_identity(seed))
    neutral = model.on_surface(head.vertices)
    deltas = model.on_surface(model.expression_deltas * np.float32(head.scale / model.scale))
    points = neutral + np.tensordot(weights.astype(np.float32), deltas, axes=1)
    views = np.stack([view_matrix(pose) for pose in head_poses(n, accents, rng)])
    seen = np.einsum("tij,tlj->tli", views[:, :3, :3], points) + views[:, None, :3, 3]
    pixels = seen @ intrinsics(PICTURE).T
    flat = pixels[..., :2] / pixels[..., 2:]
    return SpokenClip((flat + rng.normal(0, TREMOR, flat.shape)).astype(np.float32), samples)
