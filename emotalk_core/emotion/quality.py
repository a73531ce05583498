"""A generated image and what readers see in it in, its quality numbers and verdict out."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from emotalk_core.emotion.generator import GeneratedFace
from emotalk_core.emotion.measures import lip_opening, lip_width
from emotalk_core.emotion.readings import SeenFace
from emotalk_core.perception.emotion.circumplex import (
    class_circumplex,
    relative_posterior,
    rest_prior,
)


@dataclass(frozen=True)
class QualityLimits:
    """When an image is rejected.

    Attributes:
        max_lip_opening_change: re-detected change of the lip opening, outer eye distances. At
            256 px one pixel is about 0.013 and the detector's own noise about 0.006.
        max_lip_width_change: re-detected change of the distance of the lip corners, same unit; a
            smile widens the mouth on purpose.
        min_jacobian: smallest local area change.
        max_identity_distance: of the embeddings, where identity is measured; two photos of a person
            lie .2 to .5 apart, two people .8 (dlib calls .6 another person).
    """

    max_lip_opening_change: float = 0.05
    max_lip_width_change: float = 0.2
    min_jacobian: float = 0.1
    max_identity_distance: float = 0.6


@dataclass(frozen=True)
class FaceQuality:
    """Measured numbers of one image; changes are after minus before, nan where no face was found.

    Attributes:
        valence_read, arousal_read: by the class network, relative to the frame.
        identity_distance: of the embeddings; nan where it is not measured.
        reason: why it is rejected, "" when it is accepted.
    """

    lip_opening_change: float
    lip_width_change: float
    smallest_jacobian: float
    valence_read: float
    arousal_read: float
    identity_distance: float
    reason: str

    @property
    def accepted(self) -> bool:
        """True when nothing is wrong."""
        return self.reason == ""


def check_face(
    face: GeneratedFace,
    before: SeenFace | None,
    after: SeenFace | None,
    limits: QualityLimits,
) -> FaceQuality:
    """Compare what the same readers saw in the frame and in the image.

    Args:
        face: the generated image with its own numbers.
        before: the frame as read, None where no face was found.
        after: the same of the image.
        limits: when to reject.
    """
    jacobian = face.smallest_jacobian
    if before is None or after is None:
        where = "the frame" if before is None else "the image"
        unread = (np.nan,) * 3
        return FaceQuality(np.nan, np.nan, jacobian, *unread, f"no face found in {where}")
    opening = lip_opening(after.landmarks) - lip_opening(before.landmarks)
    width = lip_width(after.landmarks) - lip_width(before.landmarks)
    read = class_circumplex(relative_posterior(after.posterior, before.posterior))
    valence, arousal = (read - class_circumplex(rest_prior())).tolist()
    distance = np.nan
    if before.identity is not None and after.identity is not None:
        distance = float(np.linalg.norm(after.identity - before.identity))
    reason = ""
    if abs(opening) > limits.max_lip_opening_change:
        reason = "lip opening changed"
    elif abs(width) > limits.max_lip_width_change:
        reason = "lip width changed"
    elif jacobian < limits.min_jacobian:
        reason = "skin folds"
    elif distance > limits.max_identity_distance:
        reason = "another person"
    return FaceQuality(opening, width, jacobian, valence, arousal, distance, reason)
