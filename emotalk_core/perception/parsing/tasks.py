"""What each network looks at and tells apart: its crop, its channels, its classes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import UInt8

from emotalk_core.perception.parsing.crops import (
    GLASSES_CROP,
    GLASSES_RINGS,
    HEAD_CROP,
    HEAD_RINGS,
    MOUTH_CROP,
    MOUTH_RINGS,
    CropPlan,
    Rings,
)
from emotalk_core.types.regions import LABEL, REGION_NAMES


@dataclass(frozen=True)
class ParsingTask:
    """One network's work.

    Attributes:
        name: of the weight file. crop: where it looks. rings: landmark channels beside RGB.
        classes: each a tuple of region names; what is named nowhere belongs to the first class.
        weights: of the classes in the loss. width: channels at the finest resolution.
        thin_parts: some parts are strips of a pixel of the frame.
        drawn: the last class is what is drawn on (`spectacles`); no label names it.
        glasses_share: of the lessons get glasses drawn on.
    """

    name: str
    crop: CropPlan
    rings: Rings
    classes: tuple[tuple[str, ...], ...]
    weights: tuple[float, ...]
    width: int = 16
    thin_parts: bool = False
    drawn: bool = False
    glasses_share: float = 0.2

    @property
    def inputs(self) -> int:
        """Channels of a crop."""
        return 3 + len(self.rings)

    def class_of_label(self) -> UInt8[np.ndarray, "256"]:
        """Class by label of `types.regions`."""
        table = np.zeros(256, np.uint8)
        for number, names in enumerate(self.classes):
            table[[LABEL[name] for name in names]] = number
        return table


HEAD = ParsingTask(
    name="head_parts",
    crop=HEAD_CROP,
    rings=HEAD_RINGS,
    classes=(
        ("background",),
        ("skin",),
        ("brows",),
        ("eyes",),
        ("lips", "inner_mouth", "teeth", "tongue"),
        ("hair",),
        ("ears",),
        ("neck",),
        ("clothes",),
    ),
    weights=(0.7, 1.0, 2.0, 2.0, 1.0, 1.0, 2.0, 1.0, 0.7),
)
MOUTH = ParsingTask(
    name="mouth_parts",
    crop=MOUTH_CROP,
    rings=MOUTH_RINGS,
    classes=(
        tuple(n for n in REGION_NAMES if n not in ("lips", "inner_mouth", "teeth", "tongue")),
        ("lips",),
        ("inner_mouth",),
        ("teeth",),
        ("tongue",),
    ),
    weights=(0.5, 1.0, 1.5, 1.5, 1.5),
    width=20,
    thin_parts=True,
)
GLASSES = ParsingTask(
    name="glasses",
    crop=GLASSES_CROP,
    rings=GLASSES_RINGS,
    classes=(REGION_NAMES, ()),
    weights=(1.0, 2.0),
    thin_parts=True,
    drawn=True,
    glasses_share=0.55,
)
TASKS = {task.name: task for task in (HEAD, MOUTH, GLASSES)}
