"""The label map of a frame: names, numbers and the unions that the method uses."""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, UInt8

# Index in this tuple = grey value in regions.mkv. A packaged method may leave some labels unused.
REGION_NAMES = (
    "background",
    "skin",
    "brows",
    "eyes",
    "lips",
    "inner_mouth",
    "teeth",
    "tongue",
    "hair",
    "ears",
    "neck",
    "clothes",
)
LABEL = {name: index for index, name in enumerate(REGION_NAMES)}

MOUTH = ("inner_mouth", "teeth", "tongue")  # what the mouth branch paints
FACE = (
    "skin",
    "brows",
    "eyes",
    "lips",
    "ears",
)  # head without hair and without the inside of the mouth
HEAD = (*FACE, *MOUTH, "hair")
TORSO = ("neck", "clothes")


def region_mask(
    labels: UInt8[np.ndarray, "*hw"], names: tuple[str, ...]
) -> Bool[np.ndarray, "*hw"]:
    """True where the label is one of `names` (union; METHOD decision 8: never XOR of colours)."""
    lookup = np.zeros(256, dtype=bool)
    lookup[[LABEL[name] for name in names]] = True
    return lookup.take(labels)
