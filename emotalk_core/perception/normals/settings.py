"""The settings of normal estimation: what the config block `normals` holds."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class NormalSettings:
    """Settings of `estimate_normals`.

    Attributes:
        stiffness: how far the bent head keeps its own shape; near 0 the surface passes through
            every landmark and takes its noise.
        method: "packaged", "face_normals" (the paper's network, weights by hand) or "onnx".
        onnx: path of the model for "onnx".
    """

    stiffness: float = 6.0
    method: str = "packaged"
    onnx: str = ""
