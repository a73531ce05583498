"""The paper's landmark network FAN-4: a frame and its face box in, 68 points out."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from jaxtyping import Float, UInt8

from emotalk_core.errors import WeightsError
from emotalk_core.media.weight_files import is_torchscript, load_file_strictly, open_torchscript
from emotalk_core.perception.landmarks import topology as tp
from emotalk_core.perception.landmarks.fan import (
    FAN,
    crop_face,
    crop_of_box,
    points_from_heatmaps,
)
from emotalk_core.weights import find_weights, known_weights, policy, refuse

NAME = "fan"  # in weights.toml


class FanPoints:
    """FAN on the box around FaceMesh's landmarks (its makers' detector is SFD).

    Args:
        network: a FAN, or the published TorchScript archive, which gives the last heatmaps alone.
    """

    id = "fan-2dfan4-68"

    def __init__(self, network: Any) -> None:
        self._network = network

    @classmethod
    def open(cls) -> FanPoints | None:
        """With the published weights, or None with a warning."""
        path = find_weights(NAME)
        if path is None:
            return None
        try:
            scripted = is_torchscript(path)
            network = open_torchscript(path) if scripted else load_file_strictly(FAN(), path)
        except WeightsError as error:
            refuse(known_weights(NAME), f"unusable ({error})", policy())
            return None
        return cls(network)

    def points(
        self, frame: UInt8[np.ndarray, "H W 3"], landmarks: Float[np.ndarray, "478 C"]
    ) -> Float[np.ndarray, "68 2"]:
        """68 points in px of an RGB frame (whole px, as the original gives them)."""
        surface = landmarks[: tp.N_SURFACE, :2]
        (x0, y0), (x1, y1) = surface.min(axis=0).tolist(), surface.max(axis=0).tolist()
        centre, scale = crop_of_box((x0, y0, x1, y1))
        crop = crop_face(frame, centre, scale).astype(np.float32) / 255
        with torch.no_grad():
            answer = self._network(torch.from_numpy(crop).permute(2, 0, 1)[None])
        heatmaps = answer[-1] if isinstance(answer, list | tuple) else answer
        return points_from_heatmaps(heatmaps[0].numpy(), centre, scale)[0]
