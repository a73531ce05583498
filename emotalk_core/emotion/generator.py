"""The seam of emotional face generators: frame and emotion in, edited frame and motion out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from jaxtyping import Float, UInt8

from emotalk_core.emotion.basis import PersonNeutral


@dataclass(frozen=True)
class GeneratedFace:
    """One emotional image and how it came from its frame.

    Attributes:
        image: [H,W,3] RGB.
        flow: [H,W,2] px (x, y): output pixel (x, y) shows source pixel (x, y) + flow[y, x]. Labels
            and normals follow it. Zero where the image is the frame itself.
        depth: [H,W] px by which the surface moved away from the camera.
        landmarks: [478,2] px where the landmarks should now lie.
        gain: share of the wanted expression that the fold guard left, 0..1.
        smallest_jacobian: smallest local area change of the flow outside the eyes.
    """

    image: UInt8[np.ndarray, "H W 3"]
    flow: Float[np.ndarray, "H W 2"]
    depth: Float[np.ndarray, "H W"]
    landmarks: Float[np.ndarray, "478 2"]
    gain: float
    smallest_jacobian: float


class EmotionalFaceGenerator(Protocol):
    """What every emotional face generator offers (paper: g_LEF).

    Attributes:
        id: name and version, goes into logs and reports.
        standing_for: the paper's network that it stands in for, "" for the reference itself.
    """

    id: str
    standing_for: str

    def generate(
        self,
        frame: UInt8[np.ndarray, "H W 3"],
        landmarks: Float[np.ndarray, "478 dims"],
        valence: float,
        arousal: float,
        person: PersonNeutral,
    ) -> GeneratedFace:
        """Show the same person, pose and lips with an emotion added to the frame's own.

        Args:
            frame: RGB.
            landmarks: FaceMesh landmarks of the frame, px.
            valence: -1..1.
            arousal: -1..1; the point lies in the unit disc.
            person: the person's neutral face.
        """
        ...
