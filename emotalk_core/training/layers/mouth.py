"""The layer of stage `mouth`."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Int
from torch import nn

from emotalk_core.avatar.crops import crop_camera
from emotalk_core.avatar.model import MouthModel
from emotalk_core.losses.context import LandmarkMotion, LossContext, SyncRun
from emotalk_core.perception.landmarks.topology import (
    INNER_LIPS,
    LIP_CORNERS,
    LOWER_INNER_LIP,
    UPPER_INNER_LIP,
)
from emotalk_core.training.layers.base import Scene, Step, make_probe
from emotalk_core.training.sampling import Sample
from emotalk_core.training.stages import Phase

MOUTH_GAIN = 6.0  # the open mouth covers about a sixth of the rectangle that the mean goes over
JAW_BLEND = 0.12  # of the lips' width below the lip line, over which the jaw takes over


class MouthLayer:
    """The inside of the mouth, compared only where the frame shows it."""

    def __init__(self, model: MouthModel, scene: Scene) -> None:
        self.module: nn.Module = model
        self.gaussians = model.gaussians
        self.prefix = ""
        self._model, self._scene = model, scene
        neutral = scene.clip.neutral
        right, left = LIP_CORNERS
        self._blend = JAW_BLEND * float(np.linalg.norm(neutral[right] - neutral[left]))
        self._lip_line = float(neutral[list(INNER_LIPS), 1].mean())

    def step(self, phase: Phase, sample: Sample) -> Step:
        """Draw the mouth's rectangle over torso and background."""
        scene, model = self._scene, self._model
        camera = scene.clip.camera(sample.frame, scene.device)
        crop = model.crop(camera)
        target = scene.reader.read(sample, crop)
        offsets = model.deform(scene.condition(sample)) if phase.data.deform else None
        probe = make_probe(model.gaussians, phase)
        drawn = model.draw(offsets, crop_camera(camera, crop), target.behind, probe)
        motion = None
        if "landmark" in phase.weights:
            motion = self._motion(np.array([sample.frame]))
        shown = target.mouth
        context = LossContext(
            image=drawn.rgb * shown,
            target=target.image * shown,
            weight=torch.full_like(shown, MOUTH_GAIN),
            alpha=drawn.alpha,
            target_alpha=torch.ones_like(shown),
            alpha_weight=shown,
            offsets=() if offsets is None else (offsets,),
            landmarks=motion,
            backend=model.compute.backend,
            threads=model.compute.threads,
        )
        return Step(context, probe)

    def batch(self, phase: Phase, samples: Sequence[Sample]) -> Step:
        """Predicted motion of the inside of the mouth beside the tracked motion of the jaw."""
        frames = np.array([sample.frame for sample in samples])
        return Step(LossContext(landmarks=self._motion(frames)))

    def sync_run(self, phase: Phase, seed: int, step: int) -> SyncRun | None:
        """The inside of the mouth has no lips."""
        return None

    def lip_amplitude(self, frames: Int[np.ndarray, " B"]) -> float | None:
        """The inside of the mouth has no lips."""
        return None

    def _motion(self, frames: Int[np.ndarray, " B"]) -> LandmarkMotion:
        """Lower teeth and tongue go with the lower lip, upper teeth stay with the skull."""
        clip, model = self._scene.clip, self._model
        conditions = [self._scene.condition(Sample(int(frame))) for frame in frames]
        codes = {"audio": model.audio(torch.stack([c.audio for c in conditions]))}
        points = model.gaussians["means"].detach()
        predicted = model.branch.motion(points, codes)[..., :2] / clip.eye_distance
        lips = clip.motion[frames]
        opened = lips[:, LOWER_INNER_LIP, 1] - lips[:, UPPER_INNER_LIP, 1]
        share = ((points[:, 1] - self._lip_line) / self._blend).clamp(0.0, 1.0)
        target = torch.zeros_like(predicted)
        target[..., 1] = torch.from_numpy(opened).to(points.device)[:, None] * share
        return LandmarkMotion(predicted, target, torch.ones_like(share))
