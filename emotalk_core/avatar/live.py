"""An avatar for live pictures: trained modules in, a drawer of frames on the compiled kernels out.

Nearly the pictures of `Avatar`: the kernels alone differ by float32 rounding; with bfloat16
products and unseen Gaussians left out, as `live_avatar` asks for, by what docs/engine.md says
(tests/avatar/test_live.py). Nothing is learnt here: offsets are added to the Gaussians'
parameters inside the kernels, layer by layer in a core's first cache, where torch would write
every hidden layer to memory.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor, nn

from emotalk_core.avatar.branches import REST_RADIUS, DeformationBranch, RegionAttention
from emotalk_core.avatar.compositing import insert
from emotalk_core.avatar.conditions import FrameCondition
from emotalk_core.avatar.crops import box_corners, crop_camera
from emotalk_core.avatar.encoders import AUDIO_CODE, LEAK, NEIGHBOURS, WINDOW, AudioEncoder
from emotalk_core.avatar.model import Avatar, Drawer, FaceModel, MouthModel, as_gaussians
from emotalk_core.gaussians.backends import resolve
from emotalk_core.gaussians.conventions import non_finite
from emotalk_core.gaussians.kernels import load, view
from emotalk_core.gaussians.raster_cpu import paint_cpu
from emotalk_core.gaussians.rasterize import rasterize
from emotalk_core.types.gaussians import Camera, GaussianSet

# A Gaussian that lights fewer pixels than this in every view (sum of its weights) is left out: 18 %
# of those of the Obama clip; its test part keeps 73 dB to pictures with all (docs/engine.md).
LEAST_LIGHT = 0.1
View = tuple[FrameCondition, Camera]


class LiveBranch:
    """A trained branch as one kernel call."""

    def __init__(
        self, branch: DeformationBranch, still: Float[Tensor, "N 3"] | None, half: bool = False
    ) -> None:
        """Copy the weights.

        Args:
            branch: trained, on the CPU in float32.
            still: positions that every call asks about, or None if they move.
            half: multiply bfloat16 numbers where this processor can, summed up in float32.
        """
        self.spec = branch.spec
        layout = branch.grid.layout
        self.kernel = load().Branch(
            view(branch.grid.tables),
            list(layout.resolutions),
            list(layout.sizes),
            layout.bound,
            [_attention(branch, name) for name in branch.attention],
            _weights(branch.from_features),
            _weights(branch.from_condition),
            _weights(branch.layers[1]),
            _weights(branch.layers[3]),
            view(branch.axes_gain),
            half,
        )
        if still is not None and not self.kernel.settle(view(still)):
            raise non_finite("means")

    def move(
        self, gaussians: GaussianSet, codes: Mapping[str, Float[Tensor, "1 C"]], threads: int
    ) -> None:
        """Add the offsets of one frame to the set's means, quats and scales, in place.

        Raises:
            NumericalError: a position is NaN or infinite.
        """
        code = torch.cat([codes[name][0] for name in self.spec.conditions])
        gain = 1.0
        if self.spec.zero_at_rest:
            size = float(code.square().sum())
            if size == 0.0:
                return
            gain = size / (size + REST_RADIUS**2)
        shape = (gaussians.quats, gaussians.scales) if self.spec.with_shape else (None, None)
        if not self.kernel.deform(
            view(code), gain, view(gaussians.means), *map(view, shape), threads
        ):
            raise non_finite("means")


def _weights(layer: nn.Module):  # type: ignore[no-untyped-def]
    assert isinstance(layer, nn.Linear)
    return view(layer.weight)


def _attention(branch: DeformationBranch, name: str):  # type: ignore[no-untyped-def]
    module = branch.attention[name]
    assert isinstance(module, RegionAttention)
    hidden, factors = (_weights(module.layers[k]) for k in (0, 2))
    return hidden, factors, name in branch.spec.relu_attention


class LiveEncoder:
    """The audio encoders of several layers at once.

    Convolutions over 16 samples or eight frames are so short that starting one costs more than its
    arithmetic: each becomes one matrix over all samples, and the layers' matrices are multiplied
    in one batch.
    """

    def __init__(self, encoders: Sequence[AudioEncoder]) -> None:
        """Copy the weights of trained encoders of one shape."""
        self.mean = torch.stack([e.mean for e in encoders])[:, None, None]
        self.scale = torch.stack([e.std for e in encoders])[:, None, None]
        nets, attentions = [e.net for e in encoders], [e.attention for e in encoders]
        self.codes = _stacked(
            [[*_matrices(n.convolutions, WINDOW), *_linear(n.head)] for n in nets]
        )
        self.scores = _stacked(
            [[*_matrices(a.convolutions, NEIGHBOURS), *_linear([a.head])] for a in attentions]
        )

    def __call__(self, audio: Float[Tensor, "8 W D"]) -> Float[Tensor, "E 32"]:
        """One code an encoder."""
        inside = (audio.abs().sum(dim=(1, 2)) > 0).to(audio.dtype)[:, None, None]
        scaled = ((audio - self.mean) / self.scale * inside).transpose(2, 3).flatten(2)
        codes = _through(scaled, self.codes)
        scores = _through(codes.transpose(1, 2).flatten(1)[:, None], self.scores)
        return F.layer_norm((torch.softmax(scores, dim=2) @ codes)[:, 0], (AUDIO_CODE,))


Layer = tuple[Tensor, Tensor]  # [inputs, outputs] weights and [outputs] bias


def _matrices(convolutions: Iterable[nn.Module], length: int) -> list[Layer]:
    """Convolutions of a sequence of `length` samples as matrices over [channel, sample]."""
    layers = []
    for module in convolutions:
        if not isinstance(module, nn.Conv1d):
            continue
        channels = module.in_channels
        basis = torch.eye(channels * length).reshape(-1, channels, length)
        bias = module(torch.zeros(1, channels, length))
        layers.append(((module(basis) - bias).flatten(1), bias.flatten()))
        length = bias.shape[2]
    return layers


def _linear(modules: Iterable[nn.Module]) -> list[Layer]:
    return [(m.weight.T, m.bias) for m in modules if isinstance(m, nn.Linear)]


def _stacked(networks: Sequence[Sequence[Layer]]) -> list[Layer]:
    """Networks of one shape, layer by layer as [E, inputs, outputs] and [E, 1, outputs]."""
    return [
        (
            torch.stack([w for w, _ in same]).contiguous(),
            torch.stack([b for _, b in same])[:, None],
        )
        for same in zip(*networks)
    ]


def _through(values: Float[Tensor, "E B I"], layers: Sequence[Layer]) -> Float[Tensor, "E B O"]:
    """Layers with LeakyReLU between them, none behind the last."""
    for weights, bias in layers[:-1]:
        values = F.leaky_relu_(torch.baddbmm(bias, values, weights), LEAK)
    weights, bias = layers[-1]
    return torch.baddbmm(bias, values, weights)


class LiveAvatar:
    """Draws the frames of a trained avatar; several threads may call it at the same time."""

    def __init__(
        self, avatar: Avatar, kept: Bool[Tensor, " N"] | None = None, half: bool = False
    ) -> None:
        """Prepare the drawing of trained modules.

        Args:
            avatar: trained, on the CPU in float32.
            kept: face Gaussians that are drawn; None is all of them.
            half: see `LiveBranch`.
        """
        self.mouth, self.face = avatar.mouth, avatar.face
        self.mouth_set, self.face_set = _set_of(self.mouth), _set_of(self.face, kept)
        self.encoder = LiveEncoder([self.mouth.audio, self.face.audio])
        self.mouth_branch = LiveBranch(self.mouth.branch, self.mouth_set.means, half)
        self.face_branch = LiveBranch(self.face.branch, self.face_set.means, half)
        self.mouth_box = box_corners(self.mouth.low, self.mouth.high)
        emotion = self.face.emotion
        self.emotion_branch = None if emotion is None else LiveBranch(emotion, None, half)

    @torch.no_grad()
    def __call__(
        self, condition: FrameCondition, camera: Camera, background: Float[Tensor, "3 H W"]
    ) -> Float[Tensor, "3 H W"]:
        """One composited frame in 0..1 (not clamped); see `Avatar.forward`."""
        to_mouth, to_face = self.encoder(condition.audio).split(1)
        crop = self.mouth.crop(camera, self.mouth_box)
        inside = crop.cut(background).contiguous()
        mouth = self._posed_mouth(to_mouth)
        paint_cpu(mouth, crop_camera(camera, crop), inside, self.mouth.compute.threads)
        picture = insert(background, inside, crop)
        paint_cpu(self._posed_face(to_face, condition), camera, picture, self.face.compute.threads)
        return picture

    def _posed_mouth(self, audio: Float[Tensor, "1 32"]) -> GaussianSet:
        posed = _movable(self.mouth_set)
        self.mouth_branch.move(posed, {"audio": audio}, self.mouth.compute.threads)
        return posed

    def _posed_face(self, audio: Float[Tensor, "1 32"], condition: FrameCondition) -> GaussianSet:
        emotion = (
            condition.action_units.new_zeros(2) if condition.emotion is None else condition.emotion
        )[None]
        units = self.face.standardised(condition.action_units[None])
        codes = {"audio": audio, "action_units": units, "emotion": emotion}
        posed = _movable(self.face_set)
        for branch in (self.face_branch, self.emotion_branch):
            if branch is not None:
                branch.move(posed, codes, self.face.compute.threads)
        return posed


def _set_of(layer: MouthModel | FaceModel, kept: Bool[Tensor, " N"] | None = None) -> GaussianSet:
    gaussians = as_gaussians(dict(layer.gaussians.items()))
    rows = slice(None) if kept is None else kept
    plain = {name: value.detach()[rows] for name, value in gaussians.tensors().items()}
    plain = {name: value.contiguous() for name, value in plain.items()}
    return replace(GaussianSet(**plain), normal_residuals=None)


def _movable(gaussians: GaussianSet) -> GaussianSet:
    """The set with its own copy of what branches move."""
    return replace(
        gaussians,
        means=gaussians.means.clone(),
        quats=gaussians.quats.clone(),
        scales=gaussians.scales.clone(),
    )


def lit_gaussians(avatar: Avatar, views: Iterable[View]) -> Bool[Tensor, " N"]:
    """Which face Gaussians light at least `LEAST_LIGHT` pixels in one of the views."""
    face = avatar.face
    most = torch.zeros(len(face.gaussians["means"]))
    for condition, camera in views:
        with torch.no_grad():
            posed = replace(face.pose(face.deform(condition)), normal_residuals=None)
        light = most.new_zeros(len(most), 1).requires_grad_()
        drawn = rasterize(
            posed,
            camera,
            most.new_zeros(3),
            light,
            with_normals=False,
            backend=face.compute.backend,
            threads=face.compute.threads,
        )
        (pixels,) = torch.autograd.grad(drawn.extra.sum(), light)
        most = torch.maximum(most, pixels[:, 0])
    return most >= LEAST_LIGHT


def live_avatar(avatar: Avatar, views: Iterable[View] = ()) -> Drawer:
    """The quickest drawer here: the compiled kernels, or the avatar itself.

    Args:
        avatar: trained.
        views: frames of the kind that will be drawn, at the clip's own size; face Gaussians that
            are as good as unseen in all of them are left out. None: every Gaussian is drawn.
    """
    means = avatar.face.gaussians["means"]
    if resolve(avatar.face.compute.backend, means.device, means.dtype) != "cpu":
        return avatar
    views = list(views)
    return LiveAvatar(avatar, lit_gaussians(avatar, views) if views else None, half=True)
