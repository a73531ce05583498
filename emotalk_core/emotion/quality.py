"""A generated image and re-detected landmarks in, its quality numbers and verdict out."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from emotalk_core.emotion.generator import GeneratedFace
from emotalk_core.emotion.measures import lip_opening, lip_width


@dataclass(frozen=True)
class QualityLimits:
    """When an image is rejected.

    Attributes:
        max_lip_opening_change: re-detected change of the lip opening, outer eye distances. At
            256 px one pixel is about 0.013 and the detector's own noise about 0.006.
        max_lip_width_change: re-detected change of the distance of the lip corners, same unit; a
            smile widens the mouth on purpose.
        min_jacobian: smallest local area change.
    """

    max_lip_opening_change: float = 0.05
    max_lip_width_change: float = 0.2
    min_jacobian: float = 0.1


@dataclass(frozen=True)
class FaceQuality:
    """Measured numbers of one image; changes are after minus before, nan where no face was found.

    Attributes:
        reason: why it is rejected, "" when it is accepted.
    """

    lip_opening_change: float
    lip_width_change: float
    smallest_jacobian: float
    reason: str

    @property
    def accepted(self) -> bool:
        """True when nothing is wrong."""
        return self.reason == ""


def check_face(
    face: GeneratedFace,
    before: Float[np.ndarray, "478 3"] | None,
    after: Float[np.ndarray, "478 3"] | None,
    limits: QualityLimits,
) -> FaceQuality:
    """Compare landmarks that the same detector found on the frame and on the image.

    Args:
        face: the generated image with its own numbers.
        before: landmarks detected on the frame, px, None where no face was found.
        after: the same on the image.
        limits: when to reject.
    """
    jacobian = face.smallest_jacobian
    if before is None or after is None:
        where = "the frame" if before is None else "the image"
        return FaceQuality(np.nan, np.nan, jacobian, f"no face found in {where}")
    opening = lip_opening(after) - lip_opening(before)
    width = lip_width(after) - lip_width(before)
    reason = ""
    if abs(opening) > limits.max_lip_opening_change:
        reason = "lip opening changed"
    elif abs(width) > limits.max_lip_width_change:
        reason = "lip width changed"
    elif jacobian < limits.min_jacobian:
        reason = "skin folds"
    return FaceQuality(opening, width, jacobian, reason)
