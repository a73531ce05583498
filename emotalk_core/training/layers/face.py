"""The layer of stages `face` and `emotion`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from emotalk_core.avatar.compositing import paste
from emotalk_core.avatar.conditions import FrameCondition
from emotalk_core.avatar.crops import crop_camera
from emotalk_core.avatar.model import FaceModel, FaceOffsets
from emotalk_core.losses.context import LandmarkMotion, LossContext, SyncRun
from emotalk_core.perception.landmarks.topology import (
    BROWS,
    EYES,
    LIPS,
    LOWER_INNER_LIP,
    N_SURFACE,
    UPPER_INNER_LIP,
)
from emotalk_core.training.inputs import Bank
from emotalk_core.training.layers.base import Scene, Step, make_probe
from emotalk_core.training.sampling import Sample
from emotalk_core.training.stages import Phase
from emotalk_core.training.sync_drawing import draw_run
from emotalk_core.training.sync_judges import LandmarkJudge, PictureJudge
from emotalk_core.training.sync_runs import SyncPick, SyncSource, lip_points, run_conditions
from emotalk_core.training.teachers import Teachers, mixed_conditions

EXPRESSIVE_WEIGHT = 4.0  # of lip, lid and brow points in the landmark loss (study)
LESSON = 24  # mixed sounds a step of the warm start, beside its tracked frames
SHORT_LESSON = 4  # the same in a step that draws, which would else take much longer
CALM_STRIDE = 4  # of the other mesh points every fourth keeps the cheeks and the brow in place


def lip_gap(motion: Float[Tensor, "B L 2"]) -> Float[Tensor, " B"]:
    """How far the inner lips are apart at their middle, less their neutral gap."""
    upper, lower = (LIPS.index(point) for point in (UPPER_INNER_LIP, LOWER_INNER_LIP))
    return motion[:, lower, 1] - motion[:, upper, 1]


class FaceLayer:
    """The face over the true inside of the mouth and the torso."""

    def __init__(self, model: FaceModel, scene: Scene, teachers: Teachers | None = None) -> None:
        """With teachers the module holds them too; the checkpoint has the face alone."""
        self.module: nn.Module = model
        self.gaussians = model.gaussians
        self.prefix = ""
        self._model, self._scene, self._teachers = model, scene, teachers
        if teachers is not None:
            self.module = nn.ModuleDict({"face": model, "teachers": teachers})
            self.prefix = "face."
        expressive = set(LIPS + EYES + BROWS)
        self._chosen = np.array(sorted(expressive | set(range(0, N_SURFACE, CALM_STRIDE))))
        weights = [EXPRESSIVE_WEIGHT if point in expressive else 1.0 for point in self._chosen]
        self._points = torch.from_numpy(scene.clip.neutral[self._chosen]).to(scene.device)
        self._point_weight = torch.tensor(weights, device=scene.device)

    def step(self, phase: Phase, sample: Sample) -> Step:
        """Draw the head's rectangle."""
        scene, model = self._scene, self._model
        camera = scene.clip.camera(sample.frame, scene.device)
        crop = scene.reader.head_crop(sample.frame)
        target = scene.reader.read(sample, crop)
        condition = scene.condition(sample)
        offsets = model.deform(condition) if phase.data.deform else None
        probe = make_probe(model.gaussians, phase)
        behind = paste(target.behind, target.image, target.mouth)
        drawn = model.draw(
            offsets, crop_camera(camera, crop), behind, target.normals is not None, probe
        )
        motion = self._motion([sample]) if "landmark" in phase.weights else None
        taught = self._lesson(SHORT_LESSON) if "taught" in phase.weights else None
        context = LossContext(
            image=drawn.rgb,
            target=target.image,
            weight=target.weight,
            alpha=drawn.alpha,
            target_alpha=target.alpha,
            alpha_weight=target.alpha_weight,
            normals=drawn.normals,
            target_normals=target.normals,
            normal_mask=target.normal_mask,
            normal_residuals=model.gaussians["normal_residuals"],
            offsets=_offset_list(offsets),
            landmarks=motion,
            taught=taught,
            backend=model.compute.backend,
            threads=model.compute.threads,
        )
        return Step(context, probe)

    def batch(self, phase: Phase, samples: Sequence[Sample]) -> Step:
        """Predicted and tracked mesh motion of several frames or images."""
        if "teachers" in phase.data.trains:
            return Step(LossContext(landmarks=self._teachers_motion(samples)))
        taught = self._lesson(LESSON) if "taught" in phase.weights else None
        return Step(LossContext(landmarks=self._motion(samples), taught=taught))

    def sync_run(self, phase: Phase, seed: int, step: int) -> SyncRun | None:
        """Lips as the branches move them, of the subject's own sound or of synthesized speech."""
        source = self._scene.sync
        if source is None:
            return None
        pick = source.pick(seed, step)
        audio, units = run_conditions(pick, self._scene.clip, source.length, self._scene.device)
        emotion = None
        if self._scene.use_emotion:
            emotion = self._run_emotion(pick.source, source.length, seed, step)
        if source.judge.sees_pictures:
            return self._run_of_pictures(source, pick, audio, units, emotion)
        return self._run_of_points(source, pick, audio, units, emotion)

    def _run_of_pictures(
        self,
        source: SyncSource,
        pick: SyncPick,
        audio: Float[Tensor, "R 8 W D"],
        units: Float[Tensor, "R U"],
        emotion: Float[Tensor, "R 2"] | None,
    ) -> SyncRun:
        """The drawn run, as a judge of pictures takes it."""
        scene, judge = self._scene, cast(PictureJudge, source.judge)
        assert scene.inside is not None  # prepare gives it to every judge of pictures
        conditions = [
            FrameCondition(audio[k], units[k], None if emotion is None else emotion[k])
            for k in range(source.length)
        ]
        frames = range(pick.source, pick.source + source.length)
        crop = judge.rectangle(scene.clip, frames)
        drawn = draw_run(
            self._model, scene.clip, scene.reader, conditions, pick.source, crop, scene.inside
        )
        return judge.run(pick.sound.heard, pick.audio, drawn, scene.clip, frames)

    def _run_of_points(
        self,
        source: SyncSource,
        pick: SyncPick,
        audio: Float[Tensor, "R 8 W D"],
        units: Float[Tensor, "R U"],
        emotion: Float[Tensor, "R 2"] | None,
    ) -> SyncRun:
        """The lip points, as the landmark expert takes them; nothing is drawn."""
        clip, model, judge = self._scene.clip, self._model, cast(LandmarkJudge, source.judge)
        points = torch.from_numpy(lip_points(clip)).to(audio.device)
        motion = model.branch.motion(points, model.codes(audio, units, emotion))
        if model.emotion is not None and emotion is not None:
            at = points + motion[0]  # emotion holds for the run: its motion is that of one moment
            motion = motion + model.emotion.motion(at, {"emotion": emotion[:1]})
        return judge.run(pick.sound.heard, pick.audio, motion[..., :2] / clip.eye_distance)

    def _run_emotion(self, first: int, length: int, seed: int, step: int) -> Float[Tensor, "R 2"]:
        """(valence, arousal) of a run: the subject's own, or one bank image's throughout."""
        bank, device = self._scene.bank, self._scene.device
        own = self._scene.clip.conditions.emotion[first : first + length]
        if bank is not None:
            rng = np.random.default_rng([seed, 52, step])
            own = np.repeat(bank.emotion[rng.choice(bank.images)][None], length, axis=0)
        return torch.from_numpy(np.ascontiguousarray(own)).to(device)

    def lip_amplitude(self, frames: Int[np.ndarray, " B"]) -> float | None:
        """Standard deviation of the predicted lip gap over the tracked one's; not of emotions."""
        if self._scene.bank is not None:
            return None
        predicted, target = (float(lip_gap(motion).std()) for motion in self.lip_motion(frames))
        return predicted / target if target > 0 else None

    def lip_motion(
        self, frames: Int[np.ndarray, " B"]
    ) -> tuple[Float[Tensor, "B L 2"], Float[Tensor, "B L 2"]]:
        """Motion of the points `LIPS` as the branch says it, and as it was tracked.

        Both in outer eye distances.
        """
        motion = self._motion([Sample(int(frame)) for frame in frames])
        lips = np.searchsorted(self._chosen, LIPS)
        return motion.predicted[:, lips], motion.target[:, lips]

    def _motion(self, samples: Sequence[Sample]) -> LandmarkMotion:
        """Of the branch that trains: the face branch, or with an emotion bank what emotion adds."""
        if self._scene.bank is not None:
            return self._emotion_motion(samples, self._scene.bank)
        _, codes = self._inputs(self._tracked(samples))
        return self._beside_truth(self._model.branch.motion(self._points, codes), samples)

    def _teachers_motion(self, samples: Sequence[Sample]) -> LandmarkMotion:
        """Of every teacher, one after another."""
        assert self._teachers is not None  # prepare makes them for every phase that trains them
        audio, codes = self._inputs(self._tracked(samples))
        said = self._teachers(self._points, audio, codes)
        return self._beside_truth(said.flatten(0, 1), list(samples) * len(said))

    def _lesson(self, count: int) -> LandmarkMotion:
        """Of mixed sounds, beside the teachers' mean."""
        scene = self._scene
        assert self._teachers is not None and scene.frames is not None  # as above
        mixed = mixed_conditions(scene.frames, count, lambda i: scene.condition(Sample(i)))
        audio, codes = self._inputs(mixed)
        said = self._teachers.mean(self._points, audio, codes)
        predicted, target = (
            motion[..., :2] / scene.clip.eye_distance
            for motion in (self._model.branch.motion(self._points, codes), said)
        )
        return LandmarkMotion(predicted, target, self._point_weight)

    def _tracked(self, samples: Sequence[Sample]) -> list[FrameCondition]:
        return [self._scene.condition(Sample(sample.frame)) for sample in samples]

    def _inputs(
        self, conditions: Sequence[FrameCondition]
    ) -> tuple[Float[Tensor, "B 8 W D"], dict[str, Tensor]]:
        """Sound windows, and the model's codes of all that drives the branch."""
        audio = torch.stack([c.audio for c in conditions])
        units = torch.stack([c.action_units for c in conditions])
        emotions = [c.emotion for c in conditions if c.emotion is not None]
        return audio, self._model.codes(audio, units, torch.stack(emotions) if emotions else None)

    def _beside_truth(
        self, motion: Float[Tensor, "B L 3"], samples: Sequence[Sample]
    ) -> LandmarkMotion:
        """Motion in metres beside what was tracked in those frames."""
        clip, frames = self._scene.clip, np.array([sample.frame for sample in samples])
        target = torch.from_numpy(clip.motion[np.ix_(frames, self._chosen)]).to(motion.device)
        return LandmarkMotion(motion[..., :2] / clip.eye_distance, target, self._point_weight)

    def _emotion_motion(self, samples: Sequence[Sample], bank: Bank) -> LandmarkMotion:
        """What emotion adds to the mesh beside what the bank's generator moved, camera axes.

        A frame of the clip itself asks for nothing: what it shows is in its picture.
        """
        clip, model, device = self._scene.clip, self._model, self._points.device
        conditions = [self._scene.condition(sample) for sample in samples]
        added = model.emotion_motion(self._points, conditions)
        frames = [sample.frame for sample in samples]
        turn = torch.tensor(clip.cameras.viewmats[frames, :2, :3], dtype=added.dtype, device=device)
        predicted = torch.einsum("bij,blj->bli", turn, added) / clip.eye_distance
        images = [-1 if sample.image is None else sample.image for sample in samples]
        target = torch.from_numpy(bank.motion[np.ix_(np.array(images), self._chosen)]).to(device)
        seen = torch.tensor([image >= 0 for image in images], device=device)[:, None, None]
        return LandmarkMotion(predicted * seen, target * seen, self._point_weight)


def _offset_list(offsets: FaceOffsets | None) -> tuple:
    """The offsets whose size is penalised: the last branch's, whose parameters train."""
    if offsets is None:
        return ()
    return (offsets.face if offsets.emotion is None else offsets.emotion,)
