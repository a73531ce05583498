"""Class posterior and expression coefficients in, valence and arousal out: the formulas."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

from emotalk_core.perception.emotion.classes import CLASSES

POSTERIOR_COLUMNS = (
    "neutral",
    "happy",
    "sad",
    "surprise",
    "fear",
    "disgust",
    "anger",
    "contempt",
)
# Where the classes lie on the circle of radius 0.8 (paper S6; fear beside surprise)
CENTROIDS = {
    "anger": (-0.31, 0.74),
    "disgust": (-0.74, 0.31),
    "fear": (-0.2, 0.75),
    "happy": (0.74, 0.31),
    "sad": (-0.74, -0.31),
    "surprise": (0.31, 0.74),
    "neutral": (0.0, 0.0),
}
# Weights of the expression formula: (valence, arousal) of a full action of both sides.
EXPRESSION_WEIGHTS = {
    "mouthSmile": (1.0, 0.5),
    "browDown": (-0.9, 0.6),
    "mouthFrown": (-1.2, 0.0),
    "mouthUpperUp": (-0.5, 0.4),
    "mouthShrugLower": (-0.4, -0.4),
    "mouthStretch": (-0.3, 0.5),
    "mouthPress": (-0.2, 0.0),
    "eyeWide": (0.0, 0.9),
    "browOuterUp": (0.0, 0.5),
    "jawOpen": (0.0, 0.4),
    "eyeBlink": (0.0, -0.8),
}
# One-sided corners of the mouth are what FACS calls contempt; the network has no such class, so
# that share is taken from its neutral and happy ones.
CONTEMPT_GAIN = 3.0

# Readings relative to rest, set on the digital actor (benchmarks/emotion.py, docs/emotion.md).
# Share of neutral in a face at rest; the other classes share what is left.
REST_NEUTRAL = 0.4
POSTERIOR_FLOOR = 0.005  # added to both posteriors: below, the network's numbers are rounding
CONTRAST = 1.3  # exponent of the ratio to rest: the network under-reacts to faces that speak
# Least-squares gains from the mean of both readings to the actor's (valence, arousal): each of the
# two readings sees only a part of a face's motion.
GAINS = (1.3, 1.7)


def rest_prior() -> Float[np.ndarray, " 7"]:
    """What a face at rest is read as, by definition: mostly neutral, the rest even."""
    prior = np.full(len(CLASSES), (1 - REST_NEUTRAL) / (len(CLASSES) - 1))
    prior[CLASSES.index("neutral")] = REST_NEUTRAL
    return prior


def relative_posterior(
    posterior: Float[np.ndarray, "*T 7"], rest: Float[np.ndarray, " 7"]
) -> Float[np.ndarray, "*T 7"]:
    """Posterior with the person's own rest taken out: ratios to rest times `rest_prior`.

    A face that looks afraid or stern at rest is read as neutral at rest, and what its posterior
    gains is read as what it is. Bayes' rule with the person's rest for the network's prior.

    Args:
        posterior: of the network.
        rest: the same for the person at rest.
    """
    ratio = (posterior + POSTERIOR_FLOOR) / (rest + POSTERIOR_FLOOR)
    weights: np.ndarray = rest_prior() * ratio**CONTRAST
    return weights / weights.sum(axis=-1, keepdims=True)


def class_circumplex(posterior: Float[np.ndarray, "*T 7"]) -> Float[np.ndarray, "*T 2"]:
    """Expected valence and arousal of a class posterior."""
    return posterior @ np.array([CENTROIDS[name] for name in CLASSES])


def _side_mean(
    expression: Float[np.ndarray, "*T 52"], names: tuple[str, ...], shape: str
) -> np.ndarray:
    columns = [
        i for i, name in enumerate(names) if name in (shape, shape + "Left", shape + "Right")
    ]
    return expression[..., columns].mean(axis=-1)


def expression_circumplex(
    expression: Float[np.ndarray, "*T 52"], names: tuple[str, ...]
) -> Float[np.ndarray, "*T 2"]:
    """Valence and arousal of expression coefficients (a smile lifts the upper lip too)."""
    smile = _side_mean(expression, names, "mouthSmile")
    total = np.zeros((*expression.shape[:-1], 2))
    for shape, (valence, arousal) in EXPRESSION_WEIGHTS.items():
        amount = _side_mean(expression, names, shape)
        kept = 1 - smile if shape == "mouthUpperUp" else np.ones_like(smile)
        total[..., 0] += valence * amount * kept
        total[..., 1] += arousal * amount
    return total


def corner_asymmetry(
    expression: Float[np.ndarray, "*T 52"], names: tuple[str, ...]
) -> Float[np.ndarray, "*T"]:
    """How much more the left corner of the mouth is drawn up or in than the right one."""
    column = {name: i for i, name in enumerate(names)}
    left, right = (
        expression[..., column[f"mouthSmile{side}"]] + expression[..., column[f"mouthDimple{side}"]]
        for side in ("Left", "Right")
    )
    return left - right


def eight_classes(
    posterior: Float[np.ndarray, "*T 7"], asymmetry: Float[np.ndarray, "*T"]
) -> Float[np.ndarray, "*T 8"]:
    """Posterior in the order of `POSTERIOR_COLUMNS`, contempt split off neutral and happy.

    Args:
        posterior: in the order of `CLASSES`.
        asymmetry: `corner_asymmetry` minus that of the person at rest.
    """
    share = np.clip(CONTEMPT_GAIN * np.abs(asymmetry), 0, 1)
    by_name = {name: posterior[..., i] for i, name in enumerate(CLASSES)}
    by_name["contempt"] = (by_name["neutral"] + by_name["happy"]) * share
    for name in ("neutral", "happy"):
        by_name[name] = by_name[name] * (1 - share)
    return np.stack([by_name[name] for name in POSTERIOR_COLUMNS], axis=-1)
