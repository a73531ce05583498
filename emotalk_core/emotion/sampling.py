"""What the bank shows: seeded points off the evaluation points, varied frames with a calm face."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, Float, Int
from scipy.stats import qmc

from emotalk_core.emotion.basis import PersonNeutral
from emotalk_core.emotion.circle import EvaluationPoint
from emotalk_core.emotion.displacement import fit_pose
from emotalk_core.errors import ConfigError, InputError, explain

HALTON_BATCH = 64  # points drawn at a time
MAX_BATCHES = 1000  # a disc that the hold-out balls cover would draw for ever
# Name prefixes of expression coefficients that speech hardly uses: far from the median = emotional.
EMOTION_PREFIXES = (
    "brow",
    "cheekSquint",
    "eyeSquint",
    "eyeWide",
    "mouthFrown",
    "mouthSmile",
    "noseSneer",
)
CALM_SHARE = 0.5  # of the usable frames, the calmer ones are candidates ...
CALM_FACTOR = 2  # ... but at least this many times the frames wanted
BLINK_SHARE = 0.65  # of the median eye opening: below, lids hide the eye
MAX_ERROR_RATIO = 3.0  # reprojection error against its median: above, tracking slipped
SPEECH_WEIGHT = 1.5  # lip opening counts this much against one pose angle when frames are spread
DISC = 0.85  # radius of the disc from which random emotions are drawn (METHOD 4.1)


def sample_points(
    count: int,
    radius: float,
    holdout: Sequence[EvaluationPoint],
    holdout_radius: float,
    seed: int,
) -> Float[np.ndarray, "K 2"]:
    """Points uniform on the disc without balls around the evaluation points (METHOD 4.1).

    A scrambled Halton sequence: each point is uniform, together they leave no large gaps even when
    they are few.

    Args:
        count: number of points K.
        radius: of the disc.
        holdout: centres of the balls that stay empty.
        holdout_radius: their radius.
        seed: of the scrambling.

    Raises:
        ConfigError: the balls leave no room.
    """
    sequence = qmc.Halton(d=2, scramble=True, seed=np.random.default_rng(seed))
    centres = np.array([(p.valence, p.arousal) for p in holdout]).reshape(-1, 2)
    kept = np.empty((0, 2))
    for _ in range(MAX_BATCHES):
        u = sequence.random(HALTON_BATCH)
        r, angle = radius * np.sqrt(u[:, 0]), 2 * np.pi * u[:, 1]
        points = np.stack([r * np.cos(angle), r * np.sin(angle)], axis=1)
        distance = np.linalg.norm(points[:, None] - centres[None], axis=2)
        kept = np.vstack([kept, points[(distance >= holdout_radius).all(axis=1)]])
        if len(kept) >= count:
            return kept[:count]
    raise ConfigError(
        explain("emotion_bank.holdout_radius", holdout_radius, "leaves no room", "make it smaller")
    )


def choose_frames(
    track: dict[str, np.ndarray], n_train: int, count: int, person: PersonNeutral
) -> Int[np.ndarray, " M"]:
    """Training frames that differ most in pose and lip opening among those with a calm face.

    Args:
        track: arrays of track.npz.
        n_train: only frames before this index are used: test frames never reach training.
        count: wanted number; fewer where the clip has fewer usable frames.
        person: the person's neutral face.

    Returns:
        frame indices, increasing.

    Raises:
        InputError: no usable frame at all.
    """
    usable = np.flatnonzero(_usable(track, n_train))
    if len(usable) == 0:
        raise InputError(
            "emotion bank: no training frame has a tracked face with open eyes; look at "
            "quality.png and give a clip in which the face is seen"
        )
    calm = usable[np.argsort(_emotionality(track, usable), kind="stable")]
    candidates = np.sort(calm[: max(int(CALM_SHARE * len(usable)), CALM_FACTOR * count)])
    features = _features(track, candidates, person)
    return np.sort(candidates[spread(features, min(count, len(candidates)))])


def _usable(track: dict[str, np.ndarray], n_train: int) -> Bool[np.ndarray, " N"]:
    """Training frames with a valid, well tracked face and open eyes."""
    valid = track["valid"][:n_train].astype(bool)
    if not valid.any():
        return valid
    eyes, error = track["eye_opening"][:n_train], track["reprojection_error"][:n_train]
    open_eyes = eyes >= BLINK_SHARE * np.median(eyes[valid])
    tracked = error <= MAX_ERROR_RATIO * max(float(np.median(error[valid])), 1e-6)
    return valid & open_eyes & tracked


def _emotionality(
    track: dict[str, np.ndarray], frames: Int[np.ndarray, " N"]
) -> Float[np.ndarray, " N"]:
    """Distance of each frame's emotional coefficients from the person's own median."""
    names = [str(name) for name in track["expression_names"]]
    columns = [i for i, name in enumerate(names) if name.startswith(EMOTION_PREFIXES)]
    values = track["expression"][frames][:, columns].astype(np.float64)
    return np.linalg.norm(values - np.median(values, axis=0), axis=1)


def _features(
    track: dict[str, np.ndarray], frames: Int[np.ndarray, " N"], person: PersonNeutral
) -> Float[np.ndarray, "N 4"]:
    """Yaw, pitch, roll and lip opening in their own standard deviations."""
    rows = []
    for frame in frames:
        rotation = fit_pose(person.positions, track["landmarks"][frame]).rotation
        yaw = np.arctan2(rotation[0, 2], rotation[2, 2])
        pitch = np.arcsin(np.clip(rotation[1, 2], -1, 1))
        roll = np.arctan2(rotation[1, 0], rotation[0, 0])
        rows.append((yaw, pitch, roll, float(track["lip_opening"][frame])))
    values = np.array(rows)
    scaled = (values - values.mean(axis=0)) / np.maximum(values.std(axis=0), 1e-6)
    scaled[:, 3] *= SPEECH_WEIGHT
    return scaled


def spread(features: Float[np.ndarray, "N D"], count: int) -> Int[np.ndarray, " M"]:
    """Farthest-point sampling that starts at the most typical row."""
    start = int(np.linalg.norm(features - np.median(features, axis=0), axis=1).argmin())
    chosen = [start]
    distance = np.linalg.norm(features - features[start], axis=1)
    while len(chosen) < count:
        farthest = int(distance.argmax())
        chosen.append(farthest)
        distance = np.minimum(distance, np.linalg.norm(features - features[farthest], axis=1))
    return np.array(chosen)


def draw_emotions(count: int, rng: np.random.Generator) -> Float[np.ndarray, "N 2"]:
    """Random (valence, arousal), uniform on the disc that the bank's points fill."""
    angle, radius = rng.uniform(0, 2 * np.pi, count), DISC * np.sqrt(rng.uniform(0, 1, count))
    return np.stack([radius * np.cos(angle), radius * np.sin(angle)], axis=1)
