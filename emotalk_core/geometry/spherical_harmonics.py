"""Real spherical harmonics up to degree 3: directions and coefficients in, values out."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

# Normalisation constants of the real basis in the order of the 3D Gaussian splatting literature
# (Condon-Shortley signs as there); K_lm = sqrt((2l+1)/(4 pi) (l-m)!/(l+m)!), times sqrt(2)
# for m > 0.
SH_DC = 0.2820947917738781
SH_1 = 0.4886025119029199
SH_2_XY = 1.0925484305920792
SH_2_ZZ = 0.31539156525252005
SH_2_XX = 0.5462742152960396
SH_3_OUTER = 0.5900435899266435
SH_3_XYZ = 2.890611442640554
SH_3_INNER = 0.4570457994644658
SH_3_ZZZ = 0.3731763325901154
SH_3_XXZ = 1.445305721320277

MAX_DEGREE = 3
# The basis value of degree 0 stands for a grey of 0.5: colour = 0.5 + sum(coefficient * basis).
COLOUR_OFFSET = 0.5


def sh_size(degree: int) -> int:
    """Number of coefficients a degree needs."""
    return (degree + 1) ** 2


def sh_basis(directions: Float[Tensor, "*batch 3"], degree: int) -> Float[Tensor, "*batch K"]:
    """Values of the (degree+1)^2 basis functions at unit directions.

    Raises:
        ValueError: a degree outside 0..3.
    """
    if not 0 <= degree <= MAX_DEGREE:
        raise ValueError(
            f"degree={degree}: spherical harmonics of degree 0..{MAX_DEGREE}; clamp it"
        )
    x, y, z = directions.unbind(-1)
    values = [torch.full_like(x, SH_DC)]
    if degree >= 1:
        values += [-SH_1 * y, SH_1 * z, -SH_1 * x]
    if degree >= 2:
        values += [
            SH_2_XY * x * y,
            -SH_2_XY * y * z,
            SH_2_ZZ * (2 * z * z - x * x - y * y),
            -SH_2_XY * x * z,
            SH_2_XX * (x * x - y * y),
        ]
    if degree >= 3:
        values += [
            -SH_3_OUTER * y * (3 * x * x - y * y),
            SH_3_XYZ * x * y * z,
            -SH_3_INNER * y * (4 * z * z - x * x - y * y),
            SH_3_ZZZ * z * (2 * z * z - 3 * x * x - 3 * y * y),
            -SH_3_INNER * x * (4 * z * z - x * x - y * y),
            SH_3_XXZ * z * (x * x - y * y),
            -SH_3_OUTER * x * (x * x - 3 * y * y),
        ]
    return torch.stack(values, dim=-1)


def sh_values(
    coefficients: Float[Tensor, "N K C"], directions: Float[Tensor, "N 3"], degree: int
) -> Float[Tensor, "N C"]:
    """Sums of coefficients times basis at unit directions; those above `degree` are ignored."""
    basis = sh_basis(directions, degree)
    return (basis[:, :, None] * coefficients[:, : basis.shape[1]]).sum(dim=1)


def sh_colours(
    coefficients: Float[Tensor, "N K 3"], directions: Float[Tensor, "N 3"], degree: int
) -> Float[Tensor, "N 3"]:
    """Colours as splatting defines them: SH value + 0.5, clamped at 0."""
    return (sh_values(coefficients, directions, degree) + COLOUR_OFFSET).clamp_min(0.0)


def colours_to_sh(colours: Float[Tensor, "N 3"]) -> Float[Tensor, "N 3"]:
    """Degree-0 coefficients whose colour is `colours` (0..1) from every side."""
    return (colours - COLOUR_OFFSET) / SH_DC
