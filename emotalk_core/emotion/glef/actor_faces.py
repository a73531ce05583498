"""Seeds in, aligned small faces of the digital actor with exact landmarks and emotion out.

The population on which the tiny networks are trained: every person says things in several poses,
each time without emotion and with random ones.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Float32, Int, UInt8
from torch import Tensor

from emotalk_core.actor.identity import random_identity
from emotalk_core.actor.performance import ActorSettings, perform
from emotalk_core.actor.renderer import Actor
from emotalk_core.emotion.circle import BROW_CHANNELS, packaged_circle
from emotalk_core.emotion.glef.align import POINTS_68, crop_face, crop_transform, move_points
from emotalk_core.emotion.sampling import draw_emotions
from emotalk_core.media.progress import track

logger = logging.getLogger(__name__)

RENDER_SHARE = 2.25  # side of the rendered frame over the crop's: about one pixel for one
SECONDS = 12.0  # of the performance from which states are taken
BROW_FULL = 9.0  # percent of the eye distance by which the model's full brow target lifts
MOOD = ("mouthSmile", "browDown", "cheekSquint", "eyeSquint")  # the actor's own mood is left out


@dataclass(frozen=True)
class ActorFaces:
    """N aligned faces.

    Attributes:
        images: RGB crops.
        points: 68 landmarks, crop px.
        emotions: commanded (valence, arousal).
        identity: number of the person.
        state: number of the pose and mouth shape; equal numbers differ in emotion only.
    """

    images: UInt8[np.ndarray, "N S S 3"]
    points: Float32[np.ndarray, "N 68 2"]
    emotions: Float32[np.ndarray, "N 2"]
    identity: Int[np.ndarray, " N"]
    state: Int[np.ndarray, " N"]

    def tensor(self) -> Float[Tensor, "N 3 S S"]:
        """Pictures in 0..1."""
        return torch.from_numpy(self.images).permute(0, 3, 1, 2).float() / 255


def emotion_weights(
    valence: float, arousal: float, names: Sequence[str]
) -> Float32[np.ndarray, " 52"]:
    """Blendshape weights of an emotion; brow lifts of the circle go to the brow targets."""
    channels = packaged_circle().as_dict(valence, arousal)
    inner, _, outer, _ = (channels.pop(name) / BROW_FULL for name in BROW_CHANNELS)
    lifts = {"browInnerUp": max(inner, 0.0)}
    for side in ("Left", "Right"):
        lifts[f"browOuterUp{side}"] = max(outer, 0.0)
        lifts[f"browDown{side}"] = max(-inner, 0.0)
    weights = np.zeros(len(names), np.float32)
    for place, name in enumerate(names):
        weights[place] = channels.get(name, 0.0) + lifts.get(name, 0.0)
    return weights


def actor_faces(
    seeds: Sequence[int], n_states: int, n_emotions: int, size: int, share: float, seed: int = 0
) -> ActorFaces:
    """Render the population.

    Args:
        seeds: of the persons.
        n_states: poses and mouth shapes of each.
        n_emotions: emotional pictures of each state, beside the one without emotion.
        size: side of a crop, px.
        share: of FFHQ's crop that it shows.
        seed: of the emotions.
    """
    total = len(seeds) * n_states * (n_emotions + 1)
    rows = list(
        track(_rows(seeds, n_states, n_emotions, size, share, seed), "faces", total, logger)
    )
    images, points, emotions, identity, state = zip(*rows)
    return ActorFaces(
        images=np.stack(images),
        points=np.stack(points).astype(np.float32),
        emotions=np.stack(emotions).astype(np.float32),
        identity=np.array(identity),
        state=np.array(state),
    )


def _rows(
    seeds: Sequence[int], n_states: int, n_emotions: int, size: int, share: float, seed: int
) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray, int, int]]:
    rendered = int(RENDER_SHARE * size) // 2 * 2
    for person, actor_seed in enumerate(seeds):
        identity = random_identity(actor_seed)
        settings = ActorSettings(seed=actor_seed, seconds=SECONDS, size=rendered)
        played = perform(settings, identity)
        actor = Actor(identity, rendered)
        rng = np.random.default_rng([seed, actor_seed])
        still = np.array([name.startswith(MOOD) for name in played.names])
        frames = np.linspace(0, len(played.poses) - 1, n_states).astype(int)
        for number, frame in enumerate(frames.tolist()):
            speech = np.where(still, 0, played.expression[frame])
            emotions = np.vstack([np.zeros((1, 2)), draw_emotions(n_emotions, rng)])
            matrix = None
            for valence, arousal in emotions.tolist():
                acted = speech + emotion_weights(valence, arousal, played.names)
                weights = np.clip(acted, 0, 1).astype(np.float32)
                drawn = actor.render(weights, played.poses[frame])
                if matrix is None:  # of the face without emotion: pictures of a state lie alike
                    matrix = crop_transform(drawn.landmarks, size, share)
                marks = move_points(drawn.landmarks[list(POINTS_68)].astype(np.float64), matrix)
                yield (
                    crop_face(drawn.rgb, matrix, size),
                    marks,
                    np.array([valence, arousal]),
                    person,
                    person * n_states + number,
                )
