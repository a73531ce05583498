"""From phonemes with times to mouth weights per frame: visemes blended by dominance."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32, Float64

from emotalk_core.actor.visemes import REST, VISEMES, visemes_of
from emotalk_core.speech.synthesis.base import PAUSE, Phoneme
from emotalk_core.types.manifest import FPS

LIP_LEAD = 0.050  # seconds by which lips run ahead of their sound, as real mouths do
HELD_SHARE = 0.35  # of a sound's half length in which its shape holds without fading
STRESSED, UNSTRESSED = 1.12, 0.85  # size of the movement of a vowel with and without stress


@dataclass(frozen=True)
class _Target:
    """One mouth shape in time: centre and half length (seconds), firmness, reach, weights [52]."""

    centre: float
    half: float
    firmness: float
    reach: float
    weights: Float64[np.ndarray, " 52"]


def _targets(phonemes: Sequence[Phoneme], names: tuple[str, ...], energy: float) -> list[_Target]:
    """Mouth shapes of a text in order; diphthongs give two."""
    place = {name: k for k, name in enumerate(names)}
    result = []
    for phoneme in phonemes:
        shapes = ("rest",) if phoneme.name == PAUSE else visemes_of(phoneme.name)
        length = (phoneme.end - phoneme.start) / len(shapes)
        for k, shape in enumerate(shapes):
            viseme = VISEMES[shape]
            weights = np.zeros(len(names))
            size = energy * (STRESSED if phoneme.stressed else UNSTRESSED)
            if viseme.firmness > 2:
                size = 1.0  # closures are complete, however softly one speaks
            for name, value in viseme.expanded().items():
                weights[place[name]] = min(size * value, 1.0)
            centre = phoneme.start + length * (k + 0.5)
            result.append(_Target(centre, length / 2, viseme.firmness, viseme.reach, weights))
    return result


def mouth_track(
    phonemes: Sequence[Phoneme],
    n_frames: int,
    names: tuple[str, ...],
    energy: float = 1.0,
    lead: float = LIP_LEAD,
) -> Float32[np.ndarray, "T 52"]:
    """Weights of the mouth at 25 fps (dominance functions, Cohen and Massaro 1993).

    Every sound pulls the mouth towards its shape with a weight that falls exponentially with the
    distance in time; the mean of all pulls is the shape. So neighbours colour each other, and firm
    sounds (lips shut, lip on teeth) win over soft ones.

    Args:
        phonemes: from the synthesizer, in order; "_" is silence.
        n_frames: T; frame k shows the time k / 25 s.
        names: the 52 weights in order.
        energy: size of the movements, 1 = normal speech.
        lead: seconds by which the lips run ahead of the sound.
    """
    times = np.arange(n_frames) / FPS + lead
    pulled = np.zeros((n_frames, len(names)))
    total = np.full(n_frames, 0.02)  # a trace of rest: the mean is defined in long silences
    for target in _targets(phonemes, names, energy):
        held = target.half * (1.0 if target.reach >= REST.reach else HELD_SHARE)
        distance = np.maximum(np.abs(times - target.centre) - held, 0.0)
        pull = target.firmness * np.exp(-distance / target.reach)
        pulled += pull[:, None] * target.weights
        total += pull
    return np.clip(pulled / total[:, None], 0, 1).astype(np.float32)
