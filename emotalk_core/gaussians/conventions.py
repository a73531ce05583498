"""The rasterizer's constants and checked inputs, shared by every backend (gsplat's conventions).

Quaternions are wxyz, viewmats are world-to-camera with OpenCV axes, pixel centres lie at +0.5.
A Gaussian counts in a pixel if its alpha is at least MIN_ALPHA; alpha is clamped to MAX_ALPHA; a
pixel stops before the Gaussian that would bring its transmittance to MIN_TRANSMITTANCE or below.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from emotalk_core.errors import NumericalError, explain
from emotalk_core.types.gaussians import Camera, GaussianSet, RenderOutput

EPS2D = 0.3  # px^2 added to the projected covariance: a Gaussian is never thinner than a pixel
NEAR_PLANE = 0.01  # metres; closer Gaussians are dropped
MIN_ALPHA = 1.0 / 255.0  # invisible in 8 bits
MAX_ALPHA = 0.999  # keeps 1 - alpha invertible in the backward pass
MIN_TRANSMITTANCE = 1e-4
MIN_COVERAGE = 1e-10  # depth is divided by at least this alpha (gsplat's "ED" mode)


@dataclass(frozen=True)
class RasterInfo:
    """What densification needs to know about one rasterization.

    Attributes:
        radii: [N,2] half extents in x and y, px, rounded up; 0 where a Gaussian was not drawn.
        means2d: [N,2] projected centres, px (undefined where radii is 0); carries no gradient,
            `means2d_probe` of `rasterize` does.
        pixel_splats: [] how many pixels of Gaussians were computed (0: the backend does not count).
    """

    radii: Int[Tensor, "N 2"]
    means2d: Float[Tensor, "N 2"]
    pixel_splats: Int[Tensor, ""] | int = 0

    @property
    def visible(self) -> Tensor:
        """[N] bool: the Gaussian was drawn."""
        return self.radii[:, 0] > 0


@dataclass(frozen=True)
class RasterRequest:
    """One checked call of `rasterize`, as the backends get it.

    Attributes:
        background: [3] or [3,H,W].
        extra_channels: [N,C], C may be 0.
        means2d_probe: [N,2] zeros that receive the gradient of the projected centres, or None.
        sh_degree: bands to use, 0..3.
    """

    gaussians: GaussianSet
    camera: Camera
    background: Tensor
    extra_channels: Tensor
    means2d_probe: Tensor | None
    sh_degree: int
    with_normals: bool
    threads: int

    def named_tensors(self) -> dict[str, Tensor]:
        """Every floating-point input by the name that the caller knows it under."""
        return {
            **self.gaussians.tensors(),
            "extra_channels": self.extra_channels,
            "background": self.background,
            "camera.viewmat": self.camera.viewmat,
            "camera.K": self.camera.K,
        }


RasterResult = tuple[RenderOutput, RasterInfo]


def _require(ok: bool, argument: str, got: object, wanted: str, next_step: str) -> None:
    if not ok:
        raise ValueError(explain(argument, got, wanted, next_step))


def check_request(request: RasterRequest) -> None:
    """Shapes, types and devices of a request.

    Raises:
        ValueError: an argument has the wrong shape, dtype or device, or an option is out of range.
    """
    gaussians, camera = request.gaussians, request.camera
    n = len(gaussians)
    expected = {"means": (n, 3), "quats": (n, 4), "scales": (n, 3), "opacities": (n,)}
    for name, shape in expected.items():
        got = tuple(getattr(gaussians, name).shape)
        _require(got == shape, name, got, f"wanted shape {shape}", "fix the GaussianSet")
    sh_shape = tuple(gaussians.sh_coeffs.shape)
    sizes = {(n, (d + 1) ** 2, 3) for d in range(4)}
    _require(sh_shape in sizes, "sh_coeffs", sh_shape, "wanted [N,K,3], K in 1,4,9,16", "pad K")
    if gaussians.normal_residuals is not None:
        got = tuple(gaussians.normal_residuals.shape)
        _require(got == (n, 3), "normal_residuals", got, f"wanted {(n, 3)}", "fix the GaussianSet")
    got = tuple(request.extra_channels.shape)
    _require(len(got) == 2 and got[0] == n, "extra_channels", got, f"wanted [{n},C]", "add an axis")
    _require(
        camera.width > 0 and camera.height > 0,
        "camera",
        (camera.width, camera.height),
        "wanted a positive image size",
        "check the cameras file",
    )
    image = (3, camera.height, camera.width)
    got = tuple(request.background.shape)
    _require(got in {(3,), image}, "background", got, f"wanted (3,) or {image}", "resize it")
    if request.means2d_probe is not None:
        got = tuple(request.means2d_probe.shape)
        _require(got == (n, 2), "means2d_probe", got, f"wanted {(n, 2)} of zeros", "resize it")
    limit = gaussians.sh_degree
    _require(
        0 <= request.sh_degree <= limit,
        "sh_degree",
        request.sh_degree,
        f"wanted 0..{limit}, the bands that sh_coeffs holds",
        "lower it",
    )
    _require(request.threads >= 1, "threads", request.threads, "wanted >= 1", "give a core count")
    kinds = {(str(t.dtype), str(t.device)) for t in request.named_tensors().values()}
    _require(len(kinds) == 1, "dtype, device", sorted(kinds), "wanted one for all", "convert them")


def check_finite(tensors: dict[str, Tensor]) -> None:
    """One pass of sums first (one wait on a GPU); the exact search only if that looks wrong.

    Raises:
        NumericalError: NaN or infinity in one of the tensors.
    """
    with torch.no_grad():
        if bool(torch.stack([tensor.sum() for tensor in tensors.values()]).isfinite().all()):
            return
        for name, tensor in tensors.items():
            wrong = int((~tensor.isfinite()).sum())
            if wrong:
                raise non_finite(name, wrong)


def non_finite(name: str, count: int | None = None) -> NumericalError:
    """The error that all backends raise on NaN or infinity in an input."""
    found = "NaN or infinity" if count is None else f"{count} values NaN or infinite"
    return NumericalError(
        f"{name} has {found}; the step before this one diverged: lower its learning "
        "rate or restart from the last checkpoint"
    )
