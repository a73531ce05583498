"""The readable rasterizer: plain torch on any device and dtype, the oracle of the others."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from emotalk_core.gaussians.conventions import (
    EPS2D,
    MAX_ALPHA,
    MIN_ALPHA,
    MIN_COVERAGE,
    MIN_TRANSMITTANCE,
    NEAR_PLANE,
    RasterInfo,
    RasterRequest,
    RasterResult,
    check_finite,
)
from emotalk_core.geometry.normals import gaussian_normals
from emotalk_core.geometry.projection import (
    camera_centre,
    covariance_factors,
    project_covariances,
    world_to_camera,
)
from emotalk_core.geometry.spherical_harmonics import sh_colours
from emotalk_core.types.gaussians import Camera, RenderOutput

TILE = 16  # px; only speed depends on it


@dataclass(frozen=True)
class Splats:
    """V visible Gaussians in image space, sorted front to back.

    Attributes:
        means2d: [V,2] px; conics: [V,3] (xx, xy, yy) of the inverse covariance, 1/px^2.
        opacities: [V]; features: [V,F] what is blended; radii: [V,2] px, int.
        index: [V] row in the Gaussian set.
    """

    means2d: Float[Tensor, "V 2"]
    conics: Float[Tensor, "V 3"]
    opacities: Float[Tensor, " V"]
    features: Float[Tensor, "V F"]
    radii: Int[Tensor, "V 2"]
    index: Int[Tensor, " V"]


def gaussian_features(request: RasterRequest) -> Float[Tensor, "N F"]:
    """Per-Gaussian values to blend: rgb, camera-space normals (if wanted), depth, extra."""
    gaussians, viewmat = request.gaussians, request.camera.viewmat
    offsets = gaussians.means - camera_centre(viewmat)
    directions = torch.nn.functional.normalize(offsets, dim=-1)
    parts = [sh_colours(gaussians.sh_coeffs, directions, request.sh_degree)]
    if request.with_normals:
        world = gaussian_normals(
            gaussians.quats, gaussians.scales, gaussians.normal_residuals, offsets
        )
        parts.append(world @ viewmat[:3, :3].T)
    parts.append(world_to_camera(gaussians.means, viewmat)[:, 2:3])
    parts.append(request.extra_channels)
    return torch.cat(parts, dim=-1)


def pixel_extents(
    covariances: Float[Tensor, "N 2 2"], opacities: Float[Tensor, " N"]
) -> Float[Tensor, "N 2"]:
    """Half sizes in px of the box outside which alpha < MIN_ALPHA (StopThePop, section B.2)."""
    level = 2 * torch.log((opacities / MIN_ALPHA).clamp_min(1.0))
    return torch.ceil((level[:, None] * covariances.diagonal(dim1=1, dim2=2)).sqrt())


def _on_image(
    means2d: Float[Tensor, "N 2"], extents: Float[Tensor, "N 2"], camera: Camera
) -> Tensor:
    size = means2d.new_tensor([camera.width, camera.height])
    return ((means2d + extents > 0) & (means2d - extents < size)).all(-1)


def project(request: RasterRequest) -> Splats:
    """Activate, project and sort: what the blending step needs of the visible Gaussians."""
    gaussians, camera = request.gaussians, request.camera
    points = world_to_camera(gaussians.means, camera.viewmat)
    opacities = gaussians.opacities.sigmoid()
    front = ((points[:, 2] >= NEAR_PLANE) & (opacities >= MIN_ALPHA)).nonzero()[:, 0]
    points, opacities = points[front], opacities[front]
    factors = covariance_factors(gaussians.quats[front], gaussians.scales[front].exp())
    size = (camera.width, camera.height)
    covariances = project_covariances(factors, points, camera.K, camera.viewmat, size, EPS2D)
    focal = torch.stack([camera.K[0, 0], camera.K[1, 1]])
    means2d = points[:, :2] / points[:, 2:] * focal + camera.K[:2, 2]
    if request.means2d_probe is not None:
        means2d = means2d + request.means2d_probe[front]

    determinants = covariances.det()
    with torch.no_grad():
        extents = pixel_extents(covariances, opacities)
        drawn = (determinants > 0) & determinants.isfinite() & _on_image(means2d, extents, camera)
        order = drawn.nonzero()[:, 0]
        order = order[points[order, 2].argsort(stable=True)]
    conics = torch.stack([covariances[:, 1, 1], -covariances[:, 0, 1], covariances[:, 0, 0]], -1)
    return Splats(
        means2d=means2d[order],
        conics=(conics / determinants[:, None])[order],
        opacities=opacities[order],
        features=gaussian_features(request)[front[order]],
        radii=extents[order].clamp_max(2**30).int(),
        index=front[order],
    )


def _tile_pairs(splats: Splats, columns: int, rows: int) -> tuple[Tensor, list[int]]:
    """Rows of the splats that each tile must blend, tile after tile, and their number per tile."""
    low = ((splats.means2d - splats.radii) / TILE).floor()
    high = ((splats.means2d + splats.radii) / TILE).floor() + 1
    last = splats.means2d.new_tensor([columns, rows])
    low, high = (torch.minimum(x.clamp_min(0), last).long() for x in (low, high))
    spans = high - low
    counts = spans.prod(-1)
    owner = torch.arange(len(counts), device=counts.device).repeat_interleave(counts)
    rank = torch.arange(len(owner), device=counts.device) - (counts.cumsum(0) - counts)[owner]
    tile_x = low[owner, 0] + rank % spans[owner, 0]
    tile_y = low[owner, 1] + rank // spans[owner, 0]
    tiles = tile_y * columns + tile_x
    order = tiles.argsort(stable=True)
    return owner[order], torch.bincount(tiles, minlength=columns * rows).tolist()


def _tile_pixels(column: int, row: int, like: Tensor) -> Float[Tensor, "P 2"]:
    steps = torch.arange(TILE, dtype=like.dtype, device=like.device) + 0.5
    y, x = torch.meshgrid(steps + row * TILE, steps + column * TILE, indexing="ij")
    return torch.stack([x, y], dim=-1).reshape(-1, 2)


def blend(
    pixels: Float[Tensor, "P 2"], splats: tuple[Tensor, Tensor, Tensor, Tensor]
) -> tuple[Float[Tensor, "P F"], Float[Tensor, " P"]]:
    """Front-to-back blending of every splat into every pixel.

    Args:
        pixels: centres of P pixels, px.
        splats: means2d [G,2], conics [G,3], opacities [G], features [G,F], sorted by depth.

    Returns:
        Blended features (over zero) and accumulated alpha.
    """
    means2d, conics, opacities, features = splats
    delta = pixels[:, None] - means2d
    xx, xy, yy = conics.unbind(-1)
    dx, dy = delta.unbind(-1)
    sigma = 0.5 * (xx * dx * dx + yy * dy * dy) + xy * dx * dy
    alpha = (opacities * torch.exp(-sigma)).clamp_max(MAX_ALPHA)
    alpha = torch.where((sigma >= 0) & (alpha >= MIN_ALPHA), alpha, torch.zeros_like(alpha))
    after = torch.cumprod(1 - alpha, dim=1)
    before = torch.cat([torch.ones_like(after[:, :1]), after[:, :-1]], dim=1)
    # The product only falls, so everything behind the first pixel-closing Gaussian is cut as well.
    weights = torch.where(after > MIN_TRANSMITTANCE, alpha * before, torch.zeros_like(alpha))
    return weights @ features, weights.sum(-1)


def _blend_image(splats: Splats, camera: Camera) -> tuple[Tensor, Tensor]:
    """Features [F,H,W] over zero and alpha [H,W]."""
    columns, rows = -(-camera.width // TILE), -(-camera.height // TILE)
    pairs, counts = _tile_pairs(splats, columns, rows)
    # One gather for all tiles: its backward is one index_add instead of one per tile.
    per_tile = [
        values[pairs].split(counts)
        for values in (splats.means2d, splats.conics, splats.opacities, splats.features)
    ]
    blended = []
    for tile, parts in enumerate(zip(*per_tile, strict=True)):
        pixels = _tile_pixels(tile % columns, tile // columns, splats.means2d)
        features, alpha = blend(pixels, parts)
        blended.append(torch.cat([features, alpha[:, None]], dim=-1))
    grid = torch.stack(blended).reshape(rows, columns, TILE, TILE, -1)
    image = grid.permute(4, 0, 2, 1, 3).reshape(-1, rows * TILE, columns * TILE)
    image = image[:, : camera.height, : camera.width]
    return image[:-1], image[-1]


def rasterize_torch(request: RasterRequest) -> RasterResult:
    """`rasterize` with torch operations alone."""
    check_finite(request.named_tensors())
    splats = project(request)
    features, alpha = _blend_image(splats, request.camera)
    background = request.background
    if background.ndim == 1:
        background = background[:, None, None]
    at = 6 if request.with_normals else 3
    normals = features[3:6] if request.with_normals else torch.zeros_like(features[:3])
    output = RenderOutput(
        rgb=features[:3] + (1 - alpha) * background,
        alpha=alpha,
        depth=features[at] / alpha.clamp_min(MIN_COVERAGE),
        normals=normals,
        extra=features[at + 1 :],
    )
    n = len(request.gaussians)
    radii = splats.radii.new_zeros(n, 2)
    radii[splats.index] = splats.radii
    means2d = splats.means2d.new_zeros(n, 2)
    means2d[splats.index] = splats.means2d.detach()
    return output, RasterInfo(radii=radii, means2d=means2d)
