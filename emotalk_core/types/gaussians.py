"""Gaussian sets and what a rasterizer gives back (needs torch)."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace

import torch
from jaxtyping import Float
from torch import Tensor

from emotalk_core.types.camera import CameraPath


@dataclass(frozen=True)
class Camera:
    """One pinhole camera on a device.

    Attributes:
        K: [3,3] intrinsics, px, pixel centres at +0.5.
        viewmat: [4,4] world-to-camera, OpenCV axes; may require grad (pose refinement).
        width, height: image size, px.
    """

    K: Float[Tensor, "3 3"]
    viewmat: Float[Tensor, "4 4"]
    width: int
    height: int

    @classmethod
    def of_frame(cls, path: CameraPath, frame: int, device: torch.device | str = "cpu") -> Camera:
        """The camera of one frame of a clip as tensors."""
        return cls(
            K=torch.tensor(path.Ks[frame], dtype=torch.float32, device=device),
            viewmat=torch.tensor(path.viewmats[frame], dtype=torch.float32, device=device),
            width=path.width,
            height=path.height,
        )


@dataclass(frozen=True)
class GaussianOffsets:
    """Deformation in raw (pre-activation) parameter space (METHOD decision 5)."""

    means: Float[Tensor, "N 3"]
    scales: Float[Tensor, "N 3"] | None = None
    quats: Float[Tensor, "N 4"] | None = None


@dataclass(frozen=True)
class GaussianSet:
    """N Gaussians with raw parameters; activations happen at the rasterizer.

    Attributes:
        means: [N,3] metres, world.
        quats: [N,4] wxyz, normalised at use.
        scales: [N,3] logarithm of the standard deviation (activation exp), metres.
        opacities: [N] logit (activation sigmoid).
        sh_coeffs: [N,K,3] spherical harmonics, K = (degree+1)^2; colour = SH + 0.5, clamped at 0.
        normal_residuals: [N,3] Delta n of METHOD 1.1, or None (inside mouth).
    """

    means: Float[Tensor, "N 3"]
    quats: Float[Tensor, "N 4"]
    scales: Float[Tensor, "N 3"]
    opacities: Float[Tensor, " N"]
    sh_coeffs: Float[Tensor, "N K 3"]
    normal_residuals: Float[Tensor, "N 3"] | None = None

    def __len__(self) -> int:
        return self.means.shape[0]

    @property
    def sh_degree(self) -> int:
        """Degree of the spherical harmonics that sh_coeffs can hold."""
        return round(self.sh_coeffs.shape[1] ** 0.5) - 1

    def tensors(self) -> dict[str, Tensor]:
        """Name -> tensor of every parameter that is present, in field order."""
        return {
            f.name: getattr(self, f.name) for f in fields(self) if getattr(self, f.name) is not None
        }

    def deformed(self, offsets: GaussianOffsets) -> GaussianSet:
        """The set with offsets added to raw means, scales and quats (paper: theta^F, theta^E)."""
        return replace(
            self,
            means=self.means + offsets.means,
            scales=self.scales if offsets.scales is None else self.scales + offsets.scales,
            quats=self.quats if offsets.quats is None else self.quats + offsets.quats,
        )

    def to(self, device: torch.device | str) -> GaussianSet:
        """Every tensor on `device`."""
        return replace(self, **{k: v.to(device) for k, v in self.tensors().items()})


@dataclass(frozen=True)
class RenderOutput:
    """What one rasterization gives.

    Attributes:
        rgb: [3,H,W] linear in the video's own 0..1 values, composited over the background.
        alpha: [H,W] accumulated opacity.
        depth: [H,W] expected depth, metres (0 where alpha is 0).
        normals: [3,H,W] alpha-weighted camera-space normals (x right, y down, z forward),
            not normalised.
        extra: [C,H,W] extra channels, composited over zero.
    """

    rgb: Float[Tensor, "3 H W"]
    alpha: Float[Tensor, "H W"]
    depth: Float[Tensor, "H W"]
    normals: Float[Tensor, "3 H W"]
    extra: Float[Tensor, "C H W"]
