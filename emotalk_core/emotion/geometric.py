"""Packaged emotional face generator: a filmed frame in, the same frame warped to an emotion out."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, UInt8

from emotalk_core.emotion.basis import LandmarkBasis, PersonNeutral, packaged_basis
from emotalk_core.emotion.circle import ExpressionCircle, packaged_circle
from emotalk_core.emotion.displacement import DisplacementField
from emotalk_core.emotion.eyes import paint_eyes
from emotalk_core.emotion.flow import choose_controls, guarded_flow
from emotalk_core.emotion.generator import GeneratedFace
from emotalk_core.emotion.warping import warp_image


class GeometricGenerator:
    """Valence, arousal -> expression channels -> landmark motion -> dense flow -> image.

    It stands for the paper's g_LEF (StyleGAN2 with lip alignment, METHOD 1.4) where its weights are
    absent: lips, identity and picture stay real, and no teeth, wrinkles or shading are invented.

    Args:
        basis: expression targets in landmark space; the packaged face model's by default.
        circle: valence-arousal table; the packaged one by default.
    """

    id = "geometric-1"
    standing_for = "g_LEF (StyleGAN2-based lip-aligned emotional face generator)"

    def __init__(
        self, basis: LandmarkBasis | None = None, circle: ExpressionCircle | None = None
    ) -> None:
        basis = basis if basis is not None else packaged_basis()
        self._circle = circle if circle is not None else packaged_circle()
        self._displacements = DisplacementField(basis)
        self._controls = choose_controls(basis.positions)

    def generate(
        self,
        frame: UInt8[np.ndarray, "H W 3"],
        landmarks: Float[np.ndarray, "478 dims"],
        valence: float,
        arousal: float,
        person: PersonNeutral,
    ) -> GeneratedFace:
        """See `EmotionalFaceGenerator.generate`; (0, 0) gives the frame back unchanged."""
        points = np.asarray(landmarks[:, :2], dtype=np.float64)
        height, width = frame.shape[:2]
        channels = self._circle.as_dict(valence, arousal)
        if not any(channels.values()):
            still = np.zeros((height, width), np.float32)
            flow = np.zeros((height, width, 2), np.float32)
            return GeneratedFace(frame.copy(), flow, still, points, 1.0, 1.0)
        wanted = self._displacements(channels, points, person)
        warp = guarded_flow(points, wanted, self._controls, (height, width))
        arrived = points + warp.displacements[:, :2]
        image = paint_eyes(frame, warp_image(frame, warp.flow), points, arrived, warp.flow)
        return GeneratedFace(
            image=image,
            flow=warp.flow,
            depth=warp.depth,
            landmarks=arrived,
            gain=warp.gain,
            smallest_jacobian=warp.smallest_jacobian,
        )
