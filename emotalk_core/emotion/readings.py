"""An image in, what the checks of the bank need of it out: landmarks, classes, identity."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass
from types import TracebackType
from typing import Self

import numpy as np
from jaxtyping import Float, UInt8

from emotalk_core.perception.emotion.classes import ExpressionClasses, upright_face
from emotalk_core.perception.identity.packaged import DlibIdentity
from emotalk_core.perception.landmarks.packaged import FaceMeshLandmarks


@dataclass(frozen=True)
class SeenFace:
    """One face as the readers see it.

    Attributes:
        landmarks: detected, px.
        posterior: of the seven-class network.
        identity: embedding, None where it is not measured.
    """

    landmarks: Float[np.ndarray, "478 3"]
    posterior: Float[np.ndarray, " 7"]
    identity: Float[np.ndarray, " 128"] | None = None


class FaceReader:
    """Landmark detector, class network and identity network of one thread; a context manager.

    Args:
        with_identity: also embed the face (about a fifth of a second an image).

    Raises:
        WeightsError: the class network, or the identity network where it is wanted, is missing.
    """

    def __init__(self, with_identity: bool = False) -> None:
        self._stack = ExitStack()
        self._identity = DlibIdentity() if with_identity else None

    def __enter__(self) -> Self:
        self._detector = self._stack.enter_context(FaceMeshLandmarks(static=True))
        self._classes = self._stack.enter_context(ExpressionClasses())
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stack.close()

    def read(self, image: UInt8[np.ndarray, "H W 3"]) -> SeenFace | None:
        """The face of an image, None where none is found."""
        points = self._detector.detect(image)
        if points is None:
            return None
        posterior = self._classes.posterior(upright_face(image, points))
        embedding = None if self._identity is None else self._identity.embed(image, points)
        return SeenFace(points, posterior, embedding)
