"""Tri-plane hash encoder: points in metres in, features of three multi-resolution planes out."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn

from emotalk_core.errors import explain
from emotalk_core.gaussians.backends import resolve
from emotalk_core.gaussians.conventions import check_finite

PLANES = ((0, 1), (1, 2), (0, 2))  # the point's coordinates that span xy, yz and xz
# Second factor of the spatial hash of Mueller et al. 2022 (the first is 1).
HASH_PRIME = 2654435761
FEATURE_COUNTS = (1, 2, 4, 8)  # per level; what the compiled kernels are made for
INIT_RANGE = 1e-4  # uniform initialisation of the tables (same source)


@dataclass(frozen=True)
class GridLayout:
    """Where each level of one plane lies in its table.

    Attributes:
        resolutions: vertices per side of each level.
        sizes: entries of each level: resolution^2, at most the table size (then it is hashed).
        bound: half edge of the encoded cube, metres.
    """

    resolutions: tuple[int, ...]
    sizes: tuple[int, ...]
    bound: float

    @property
    def offsets(self) -> tuple[int, ...]:
        """First entry of each (plane, level) in the common table, plane-major, and the total."""
        offsets = [0]
        for size in self.sizes * len(PLANES):
            offsets.append(offsets[-1] + size)
        return tuple(offsets)


def grid_layout(
    levels: int, base_resolution: int, finest_resolution: int, log2_table: int, bound: float
) -> GridLayout:
    """Geometric ladder of resolutions from base to finest, both included.

    Raises:
        ValueError: fewer than one level, base below 2 or above finest, or a bound that is not > 0.
    """
    got = (levels, base_resolution, finest_resolution, bound)
    if levels < 1 or not 2 <= base_resolution <= finest_resolution or not bound > 0:
        wanted = "wanted levels >= 1, 2 <= base <= finest, bound > 0"
        raise ValueError(explain("levels, base, finest, bound", got, wanted, "correct the config"))
    growth = (finest_resolution / base_resolution) ** (1 / max(levels - 1, 1))
    resolutions = tuple(round(base_resolution * growth**level) for level in range(levels))
    sizes = tuple(min(r * r, 1 << log2_table) for r in resolutions)
    return GridLayout(resolutions=resolutions, sizes=sizes, bound=bound)


def _corner_indices(
    column: Tensor, row: Tensor, resolutions: Tensor, sizes: Tensor, dense: Tensor
) -> Tensor:
    # Both products are far below 2^63; the mask makes the hash equal to 32-bit arithmetic.
    hashed = (column ^ ((row * HASH_PRIME) & 0xFFFFFFFF)) & (sizes - 1)
    return torch.where(dense, row * resolutions + column, hashed)


def encode_torch(
    points: Float[Tensor, "N 3"], tables: Float[Tensor, "T F"], layout: GridLayout
) -> Float[Tensor, "N D"]:
    """The encoder with torch operations: bilinear look-ups of all planes and levels at once."""
    check_finite({"points": points})
    device = points.device
    resolutions = torch.tensor(layout.resolutions, device=device)
    sizes = torch.tensor(layout.sizes, device=device)
    dense = resolutions * resolutions <= sizes
    offsets = torch.tensor(layout.offsets[:-1], device=device).reshape(len(PLANES), -1)
    # In float32 a point near a cell border would land in the wrong cell of a fine level.
    unit = (points.double() / (2 * layout.bound) + 0.5).clamp(0.0, 1.0)
    pairs = unit[:, torch.tensor(PLANES, device=device)]
    scaled = pairs[:, :, None, :] * (resolutions - 1)[:, None]
    cell = torch.minimum(scaled.detach().long(), (resolutions - 2)[:, None])
    u, v = (scaled - cell).to(points.dtype).unbind(-1)
    column, row = cell.unbind(-1)
    total = points.new_zeros(())
    for step_v, weight_v in ((0, 1 - v), (1, v)):
        for step_u, weight_u in ((0, 1 - u), (1, u)):
            index = _corner_indices(column + step_u, row + step_v, resolutions, sizes, dense)
            values = nn.functional.embedding(index + offsets, tables)
            total = total + (weight_u * weight_v)[..., None] * values
    return total.reshape(len(points), len(PLANES) * len(layout.sizes) * tables.shape[1])


class TriPlaneHashGrid(nn.Module):
    """H of METHOD 1.1: three planes (xy, yz, xz) of multi-resolution grids, METHOD decision 3.

    A level whose resolution^2 fits the table is a dense grid without collisions; a larger one is
    hashed. Points outside the cube are clamped to it (and get no gradient from it).
    Output order: plane, level, feature: D = 3 * levels * features.
    """

    def __init__(
        self,
        *,
        levels: int = 12,
        features: int = 1,
        base_resolution: int = 16,
        finest_resolution: int = 256,
        log2_table: int = 17,
        bound: float = 0.15,
        backend: str = "auto",
        threads: int = 1,
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__()
        if features not in FEATURE_COUNTS:
            raise ValueError(
                explain(
                    "features", features, f"wanted one of {FEATURE_COUNTS}", "correct the config"
                )
            )
        self.layout = grid_layout(levels, base_resolution, finest_resolution, log2_table, bound)
        self.backend = backend
        self.threads = threads
        self.out_features = len(PLANES) * levels * features
        noise = torch.rand(self.layout.offsets[-1], features, generator=generator)
        self.tables = nn.Parameter((2 * noise - 1) * INIT_RANGE)

    def forward(self, points: Float[Tensor, "N 3"]) -> Float[Tensor, "N D"]:
        """Features of world points (metres).

        Raises:
            ValueError: points are not [N,3].
        """
        if points.ndim != 2 or points.shape[1] != 3:
            raise ValueError(
                explain("points", tuple(points.shape), "wanted [N,3]", "reshape to rows of xyz")
            )
        if resolve(self.backend, points.device, points.dtype) == "cpu":
            from emotalk_core.gaussians.hash_cpu import encode_cpu

            return encode_cpu(points, self.tables, self.layout, self.threads)
        return encode_torch(points, self.tables, self.layout)
