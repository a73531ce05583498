"""The layer of stage `avatar` (border fix)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Int
from torch import nn

from emotalk_core.avatar.crops import full_crop
from emotalk_core.avatar.model import Avatar
from emotalk_core.losses.context import LossContext, SyncRun
from emotalk_core.training.layers.base import Scene, Step
from emotalk_core.training.sampling import Sample
from emotalk_core.training.stages import Phase


class FullLayer:
    """The whole composite; geometry and motion of the face are frozen (border fix)."""

    def __init__(self, avatar: Avatar, scene: Scene) -> None:
        self.module: nn.Module = avatar
        self.gaussians = avatar.face.gaussians
        self.prefix = "face."
        self._avatar, self._scene = avatar, scene

    def step(self, phase: Phase, sample: Sample) -> Step:
        """Draw the whole frame; opacity and colour of the face and all of the mouth learn."""
        scene, avatar = self._scene, self._avatar
        camera = scene.clip.camera(sample.frame, scene.device)
        crop = full_crop(camera)
        target = scene.reader.read(sample, crop)
        condition = scene.condition(sample)
        with torch.no_grad():
            offsets = avatar.face.deform(condition) if phase.data.deform else None
        behind = avatar.behind_face(condition, camera, target.behind)
        drawn = avatar.face.draw(offsets, camera, behind)
        compute = avatar.face.compute
        context = LossContext(
            image=drawn.rgb,
            target=target.image,
            weight=target.weight,
            backend=compute.backend,
            threads=compute.threads,
        )
        return Step(context)

    def batch(self, phase: Phase, samples: Sequence[Sample]) -> Step:
        """The border fix draws in every step."""
        raise NotImplementedError(f"phase {phase.data.name}: the border fix has no landmark phase")

    def sync_run(self, phase: Phase, seed: int, step: int) -> SyncRun | None:
        """Motion is frozen: there is nothing to bring in sync."""
        return None

    def lip_amplitude(self, frames: Int[np.ndarray, " B"]) -> float | None:
        """Nothing moves in this stage."""
        return None
