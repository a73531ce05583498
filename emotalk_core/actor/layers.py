"""What hair and clothes give to the renderer: copies of body vertices pushed off the skin."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32, Int32

# Numbers of the parts beyond the face model's own (face_model.BODY .. LASHES)
CURTAIN = 8  # long hair
CLOTH = 9
FIRST_SHELL = 10  # hair shells: 10, 11, ... from the scalp outwards
FRAME = 32  # of glasses
FIRST_BEARD, N_BEARD = 40, 4  # beard shells, from the skin outwards


@dataclass(frozen=True)
class Layer:
    """A piece of mesh whose vertices ride on body vertices.

    Attributes:
        part: its number in the renderer.
        source: [N] body vertices; offset: [N,3] metres added to them (in the head's axes).
        triangles: [K,3] into the layer; uv: [K,3,2], px of the atlas for cloth, else 0..1.
        threshold: [N] what the hole test compares (density of hair, dm below the collar).
        follow: [N] how far vertices turn with the head (0 body .. 1 head); None: as their source.
    """

    part: int
    source: Int32[np.ndarray, " N"]
    offset: Float32[np.ndarray, "N 3"]
    triangles: Int32[np.ndarray, "K 3"]
    uv: Float32[np.ndarray, "K 3 2"]
    threshold: Float32[np.ndarray, " N"]
    follow: Float32[np.ndarray, " N"] | None = None
