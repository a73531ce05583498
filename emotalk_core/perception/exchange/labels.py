"""Parsing colours and a teeth mask in, our label map out; and back.

The colours are those of the parsing pictures that AD-NeRF's tools write: seven classes, so skin,
brows, eyes, lips and ears come back as skin, and a tongue as inner mouth.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from jaxtyping import Bool, UInt8

from emotalk_core.errors import InputError
from emotalk_core.types.regions import FACE, LABEL, MOUTH, REGION_NAMES

COLOURS = {  # RGB, as seen
    "background": (255, 255, 255),
    "skin": (0, 0, 255),
    "inner_mouth": (100, 100, 100),
    "hair": (0, 0, 0),
    "neck": (0, 255, 0),
    "clothes": (255, 0, 0),
}
CLASS_OF = {  # our label -> the class that the layout has for it
    **{name: name for name in COLOURS},
    **dict.fromkeys(FACE, "skin"),
    **dict.fromkeys(MOUTH, "inner_mouth"),
}
MAX_UNKNOWN = 0.01  # share of pixels of no known colour: rims of a resized picture stay below


def labels_of(
    colours: UInt8[np.ndarray, "H W 3"], teeth: Bool[np.ndarray, "H W"] | None, path: Path
) -> UInt8[np.ndarray, "H W"]:
    """Label map of a parsing picture.

    Args:
        colours: RGB.
        teeth: painted over face and mouth only (a union of label maps, never XOR of colours).
        path: of the picture, for the error.

    Raises:
        InputError: too many pixels have a colour of no class.
    """
    values = colours.astype(np.int32)
    distances = np.stack(
        [np.abs(values - np.array(colour)).sum(axis=-1) for colour in COLOURS.values()]
    )
    unknown = float((distances.min(axis=0) > 0).mean())
    if unknown > MAX_UNKNOWN:
        raise InputError(
            f"{path}: {100 * unknown:.1f} % of the pixels have no colour of a parsing picture "
            f"({COLOURS}); write it as PNG, without smoothing"
        )
    numbers = np.array([LABEL[name] for name in COLOURS], np.uint8)
    labels = numbers[distances.argmin(axis=0)]
    if teeth is not None:
        inside = (labels == LABEL["skin"]) | (labels == LABEL["inner_mouth"])
        labels[teeth & inside] = LABEL["teeth"]
    return labels


def colours_of(labels: UInt8[np.ndarray, "H W"]) -> UInt8[np.ndarray, "H W 3"]:
    """Parsing picture (RGB) of a label map; teeth are mouth, as in the original."""
    table = np.array([COLOURS[CLASS_OF[name]] for name in REGION_NAMES], np.uint8)
    return table[labels]


def shared_classes(labels: UInt8[np.ndarray, "H W"]) -> UInt8[np.ndarray, "H W"]:
    """A label map with only the classes that survive the layout (teeth do, by their own mask)."""
    table = np.array([LABEL[CLASS_OF[name]] for name in REGION_NAMES], np.uint8)
    table[LABEL["teeth"]] = LABEL["teeth"]
    return table[labels]
