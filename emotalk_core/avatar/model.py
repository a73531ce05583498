"""The avatar's parts as torch modules: Gaussians and branches in, drawn frames out."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from jaxtyping import Float
from torch import Tensor, nn

from emotalk_core.avatar.branches import (
    DeformationBranch,
    PointFeatures,
    emotion_spec,
    face_spec,
    mouth_spec,
)
from emotalk_core.avatar.compositing import insert
from emotalk_core.avatar.conditions import ACTION_UNITS, FrameCondition
from emotalk_core.avatar.crops import Crop, box_corners, crop_around, crop_camera
from emotalk_core.avatar.encoders import AUDIO_CODE, AudioEncoder, InputNoise
from emotalk_core.gaussians.rasterize import rasterize
from emotalk_core.geometry.projection import project_points
from emotalk_core.types.gaussians import Camera, GaussianOffsets, GaussianSet, RenderOutput

BOX_MARGIN = 0.01  # metres around the first Gaussians: where the hash grids are defined
UNIT_RANGE = 5.0  # standardised action units are clamped to this many deviations
UNIT_STD_FLOOR = 0.05  # intensity steps below this are measurement noise
MOUTH_CROP_MARGIN = 4  # px around the projected box of the mouth

# Whatever draws one frame: condition, camera and [3,H,W] background in, [3,H,W] in 0..1 out.
Drawer = Callable[[FrameCondition, Camera, Tensor], Tensor]


@dataclass(frozen=True)
class Compute:
    """How kernels run: backend name ("auto", "torch", "cpu", "cuda") and number of threads."""

    backend: str = "auto"
    threads: int = 1


def as_parameters(gaussians: GaussianSet) -> nn.ParameterDict:
    """Gaussians as trainable parameters under their field names.

    The colour's constant band (`sh_dc`) is apart from the view-dependent ones (`sh_rest`): they
    learn at different rates (METHOD 2.4).
    """
    values = gaussians.tensors()
    colours = values.pop("sh_coeffs")
    values["sh_dc"] = colours[:, :1]
    if colours.shape[1] > 1:
        values["sh_rest"] = colours[:, 1:]
    return nn.ParameterDict(
        {name: nn.Parameter(value.detach().clone()) for name, value in values.items()}
    )


def as_gaussians(parameters: Mapping[str, Tensor]) -> GaussianSet:
    """The set that parameters (or a checkpoint's tensors) under those names hold."""
    values = dict(parameters.items())
    bands = [values.pop(name) for name in ("sh_dc", "sh_rest") if name in values]
    return GaussianSet(**values, sh_coeffs=bands[0] if len(bands) == 1 else torch.cat(bands, dim=1))


class MouthModel(nn.Module):
    """Inside of the mouth: Gaussians that the sound moves (METHOD 1.1, d_m)."""

    low: Tensor
    high: Tensor

    def __init__(
        self,
        gaussians: GaussianSet,
        feature_dim: int,
        box: tuple[Float[Tensor, " 3"], Float[Tensor, " 3"]],
        compute: Compute,
    ) -> None:
        """Set up for `box` = (low, high) corners of where the mouth can be seen, metres."""
        super().__init__()
        self.compute = compute
        self.gaussians = as_parameters(gaussians)
        self.audio = AudioEncoder(feature_dim)
        self.branch = DeformationBranch(mouth_spec(AUDIO_CODE), compute.backend, compute.threads)
        self.still: PointFeatures | None = None
        self.register_buffer("low", box[0].clone())
        self.register_buffer("high", box[1].clone())

    def deform(self, condition: FrameCondition) -> GaussianOffsets:
        """Offsets of the mouth's Gaussians for one frame."""
        codes = {"audio": self.audio(condition.audio[None])}
        return self.branch(self.still or self.gaussians["means"], codes)

    def crop(self, camera: Camera, corners: Float[Tensor, "8 3"] | None = None) -> Crop:
        """Where the mouth's box lies in the frame; its corners may be had beforehand."""
        with torch.no_grad():
            if corners is None:
                corners = box_corners(self.low, self.high)
            points, _ = project_points(corners, camera.K, camera.viewmat)
            return crop_around(points, MOUTH_CROP_MARGIN, camera)

    def draw(
        self,
        offsets: GaussianOffsets | None,
        camera: Camera,
        background: Float[Tensor, "3 h w"],
        probe: Float[Tensor, "N 2"] | None = None,
    ) -> RenderOutput:
        """The mouth over what lies behind the head, as `camera` sees it."""
        gaussians = as_gaussians(dict(self.gaussians.items()))
        return rasterize(
            gaussians if offsets is None else gaussians.deformed(offsets),
            camera,
            background,
            with_normals=False,
            backend=self.compute.backend,
            threads=self.compute.threads,
            means2d_probe=probe,
        )


@dataclass(frozen=True)
class FaceOffsets:
    """What the branches of the face give for one frame.

    Attributes:
        face: d_u of METHOD 1.1.
        emotion: d_e, or None with emotion off.
    """

    face: GaussianOffsets
    emotion: GaussianOffsets | None


class FaceModel(nn.Module):
    """Face: Gaussians moved by sound and action units, then by (valence, arousal) (METHOD 1.1)."""

    unit_mean: Tensor
    unit_std: Tensor

    def __init__(
        self,
        gaussians: GaussianSet,
        feature_dim: int,
        emotion: str,
        compute: Compute,
    ) -> None:
        super().__init__()
        self.compute = compute
        self.emotion_kind = emotion
        self.gaussians = as_parameters(gaussians)
        self.audio = AudioEncoder(feature_dim)
        kernels = (compute.backend, compute.threads)
        n_units = len(ACTION_UNITS)
        self.branch = DeformationBranch(
            face_spec(AUDIO_CODE, n_units, emotion == "combined"), *kernels
        )
        self.emotion = DeformationBranch(emotion_spec(), *kernels) if emotion == "branch" else None
        self.unit_noise = InputNoise()
        self.still: PointFeatures | None = None
        self.register_buffer("unit_mean", torch.zeros(n_units))
        self.register_buffer("unit_std", torch.ones(n_units))

    def set_statistics(self, units: Float[Tensor, "T U"]) -> None:
        """Fix the standardisation of action units to the training frames."""
        self.unit_mean.copy_(units.mean(dim=0))
        self.unit_std.copy_(units.std(dim=0) + UNIT_STD_FLOOR)

    def standardised(self, units: Float[Tensor, "B U"]) -> Float[Tensor, "B U"]:
        """Action units as the branch knows them."""
        return ((units - self.unit_mean) / self.unit_std).clamp(-UNIT_RANGE, UNIT_RANGE)

    def codes(
        self,
        audio: Float[Tensor, "B 8 W D"],
        units: Float[Tensor, "B U"],
        emotion: Float[Tensor, "B 2"] | None,
    ) -> dict[str, Tensor]:
        """Condition codes of B frames for the face branch."""
        scaled = self.unit_noise(self.standardised(units))
        codes = {"audio": self.audio(audio), "action_units": scaled}
        if self.emotion_kind == "combined":
            codes["emotion"] = units.new_zeros(len(units), 2) if emotion is None else emotion
        return codes

    def deform(self, condition: FrameCondition) -> FaceOffsets:
        """Offsets of one frame; H^E is queried at the face-deformed position (decision 6)."""
        emotion = None if condition.emotion is None else condition.emotion[None]
        codes = self.codes(condition.audio[None], condition.action_units[None], emotion)
        face = self.branch(self.still or self.gaussians["means"], codes)
        if self.emotion is None or emotion is None:
            return FaceOffsets(face=face, emotion=None)
        moved = self.gaussians["means"] + face.means
        return FaceOffsets(face=face, emotion=self.emotion(moved, {"emotion": emotion}))

    def emotion_motion(
        self, points: Float[Tensor, "L 3"], conditions: Sequence[FrameCondition]
    ) -> Float[Tensor, "B L 3"]:
        """How far emotion moves points of the neutral head, metres, in frames with an emotion.

        In the combined ablation it is what the one branch gives with emotion minus without.
        """
        audio = torch.stack([c.audio for c in conditions])
        units = torch.stack([c.action_units for c in conditions])
        given = [c.emotion for c in conditions if c.emotion is not None]
        emotion = torch.stack(given)
        if self.emotion is None:
            calm = self.branch.motion(points, self.codes(audio, units, None))
            return self.branch.motion(points, self.codes(audio, units, emotion)) - calm
        with torch.no_grad():
            moved = points + self.branch.motion(points, self.codes(audio, units, None))
        added = [self.emotion.motion(at, {"emotion": e[None]})[0] for at, e in zip(moved, emotion)]
        return torch.stack(added)

    def pose(self, offsets: FaceOffsets | None) -> GaussianSet:
        """theta^F or theta^E: the canonical set with offsets in raw parameter space."""
        gaussians = as_gaussians(dict(self.gaussians.items()))
        if offsets is None:
            return gaussians
        gaussians = gaussians.deformed(offsets.face)
        return gaussians if offsets.emotion is None else gaussians.deformed(offsets.emotion)

    def draw(
        self,
        offsets: FaceOffsets | None,
        camera: Camera,
        background: Float[Tensor, "3 H W"],
        with_normals: bool = False,
        probe: Float[Tensor, "N 2"] | None = None,
    ) -> RenderOutput:
        """The face over mouth and background, with normals where asked for."""
        gaussians = self.pose(offsets)
        return rasterize(
            gaussians if with_normals else replace(gaussians, normal_residuals=None),
            camera,
            background,
            with_normals=with_normals,
            backend=self.compute.backend,
            threads=self.compute.threads,
            means2d_probe=probe,
        )


class Avatar(nn.Module):
    """Mouth and face together; draws whole frames."""

    def __init__(self, mouth: MouthModel, face: FaceModel) -> None:
        super().__init__()
        self.mouth = mouth
        self.face = face

    def settle(self) -> Avatar:
        """Keep what the branches know of the canonical Gaussians: same frames, drawn faster.

        For drawing only: parameters that change afterwards are not seen.
        """
        with torch.no_grad():
            for layer in (self.mouth, self.face):
                layer.still = layer.branch.look(layer.gaussians["means"])
        return self

    def forward(
        self, condition: FrameCondition, camera: Camera, background: Float[Tensor, "3 H W"]
    ) -> Float[Tensor, "3 H W"]:
        """One composited frame in 0..1 (not clamped)."""
        behind = self.behind_face(condition, camera, background)
        return self.face.draw(self.face.deform(condition), camera, behind).rgb

    def behind_face(
        self, condition: FrameCondition, camera: Camera, background: Float[Tensor, "3 H W"]
    ) -> Float[Tensor, "3 H W"]:
        """C_mb = C_mouth + (1 - A_mouth) * C_bg of METHOD 1.1, drawn where the mouth can be."""
        crop = self.mouth.crop(camera)
        inside = self.mouth.draw(
            self.mouth.deform(condition), crop_camera(camera, crop), crop.cut(background)
        )
        return insert(background, inside.rgb, crop)


def grid_box(points: Float[Tensor, "N 3"]) -> tuple[Float[Tensor, " 3"], Float[Tensor, " 3"]]:
    """Axis-parallel box around points with `BOX_MARGIN`."""
    return points.amin(dim=0) - BOX_MARGIN, points.amax(dim=0) + BOX_MARGIN
