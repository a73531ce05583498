"""Pinhole cameras of a clip: intrinsics and world-to-camera matrices, head = static world."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float

from emotalk_core.errors import ArtifactError, explain


@dataclass(frozen=True)
class CameraPath:
    """One camera per 25 fps frame.

    The world is the head: metres, origin near the head's centre, x to the image right, y down,
    z away from the camera at a frontal pose. The camera moves instead of the head.

    Attributes:
        width, height: image size, px.
        fps: frames per second.
        Ks: [T,3,3] intrinsics, px (pixel centres at +0.5).
        viewmats: [T,4,4] world-to-camera, OpenCV axes (x right, y down, z forward).
    """

    width: int
    height: int
    fps: int
    Ks: Float[np.ndarray, "T 3 3"]
    viewmats: Float[np.ndarray, "T 4 4"]

    def __post_init__(self) -> None:
        if self.Ks.shape[1:] != (3, 3) or self.viewmats.shape != (len(self.Ks), 4, 4):
            raise ArtifactError(
                explain(
                    "cameras",
                    (self.Ks.shape, self.viewmats.shape),
                    "wanted Ks [T,3,3] and viewmats [T,4,4]",
                    "rerun the tracking rule",
                )
            )

    def __len__(self) -> int:
        return len(self.Ks)

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready dictionary, the layout of cameras.json."""
        return {
            "width": self.width,
            "height": self.height,
            "fps": self.fps,
            "Ks": self.Ks.tolist(),
            "viewmats": self.viewmats.tolist(),
        }

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> CameraPath:
        """Inverse of `to_dict`."""
        return cls(
            width=int(data["width"]),
            height=int(data["height"]),
            fps=int(data["fps"]),
            Ks=np.asarray(data["Ks"], dtype=np.float64),
            viewmats=np.asarray(data["viewmats"], dtype=np.float64),
        )
