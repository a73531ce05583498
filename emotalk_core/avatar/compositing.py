"""Layers to one picture: what the face is drawn over (METHOD 1.1).

I = C_face + (1 - A_face) * (C_mouth + (1 - A_mouth) * C_bg) with colours that the rasterizer has
already weighted by alpha (the paper writes C * A for straight colours): each layer is rasterized
with the one behind it as its background.
"""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor

from emotalk_core.avatar.crops import Crop


def paste(
    background: Float[Tensor, "3 H W"],
    image: Float[Tensor, "3 H W"],
    mask: Float[Tensor, "H W"],
) -> Float[Tensor, "3 H W"]:
    """`image` where the mask is 1, `background` where it is 0."""
    return background + mask * (image - background)


def insert(
    image: Float[Tensor, "3 H W"], piece: Float[Tensor, "3 h w"], crop: Crop
) -> Float[Tensor, "3 H W"]:
    """A copy of `image` with `piece` in the rectangle `crop` (gradients reach the piece)."""
    result = image.clone()
    result[:, crop.y0 : crop.y1, crop.x0 : crop.x1] = piece
    return result
