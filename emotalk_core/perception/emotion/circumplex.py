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
# that share is taken from its neutral one.
CONTEMPT_GAIN = 2.0


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


def eight_classes(
    posterior: Float[np.ndarray, "*T 7"],
    expression: Float[np.ndarray, "*T 52"],
    names: tuple[str, ...],
) -> Float[np.ndarray, "*T 8"]:
    """Posterior in the order of `POSTERIOR_COLUMNS`, contempt split off neutral."""
    column = {name: i for i, name in enumerate(names)}
    corners = expression[..., column["mouthSmileLeft"]] + expression[..., column["mouthDimpleLeft"]]
    others = (
        expression[..., column["mouthSmileRight"]] + expression[..., column["mouthDimpleRight"]]
    )
    share = np.clip(CONTEMPT_GAIN * np.abs(corners - others), 0, 1)
    by_name = {name: posterior[..., i] for i, name in enumerate(CLASSES)}
    by_name["contempt"] = by_name["neutral"] * share
    by_name["neutral"] = by_name["neutral"] * (1 - share)
    return np.stack([by_name[name] for name in POSTERIOR_COLUMNS], axis=-1)
