"""Full beards: a few shells of strands over jaw, chin and upper lip."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float32

from emotalk_core.actor.face_model import AXES, DECIMETRE, FaceModel
from emotalk_core.actor.identity import Identity
from emotalk_core.actor.layers import FIRST_BEARD, N_BEARD, Layer
from emotalk_core.actor.paint_tools import smoothstep
from emotalk_core.actor.surface_map import ATLAS, SurfaceMap

LENGTH = (0.035, 0.11)  # dm: a short and a long full beard
MOUSTACHE = 0.55  # of the length: it is kept off the lips
COMB = (0.0, -0.7, 0.15)  # downwards and a little forward (x left, y up, z front)
# Base dm: middle of the closed lips, half width and half height of what stays bare
LIP_LINE, LIP_SIDE, LIP_BAND = 6.615, 0.25, 0.09


def beard_cover(points: Float32[np.ndarray, "*n 3"]) -> Float32[np.ndarray, "*n"]:
    """Where beards grow, 0..1, at base coordinates (dm): jaw, chin, upper lip."""
    side, y, z = np.abs(points[..., 0]), points[..., 1], points[..., 2]
    cheek = y - 0.35 * np.clip(0.95 - z, 0, 1)
    jaw = smoothstep(y, 5.95, 6.2) * (1 - smoothstep(cheek, 6.56, 6.86)) * smoothstep(z, 0.55, 0.8)
    lip = smoothstep(y, 6.67, 6.76) * (1 - smoothstep(y - (6.80 - 0.25 * side), 0, 0.12))
    lip = lip * smoothstep(0.44 - side, 0, 0.16) * smoothstep(z, 1.08, 1.28)
    return np.maximum(jaw, lip)


def beard_shells(
    model: FaceModel,
    surface: SurfaceMap,
    identity: Identity,
    normals: Float32[np.ndarray, "V 3"],
) -> list[Layer]:
    """Copies of the skin where the beard grows; the renderer cuts strands out of them."""
    base = model.base_vertices
    lips = np.maximum(np.abs(base[:, 0]) / LIP_SIDE, np.abs(base[:, 1] - LIP_LINE) / LIP_BAND)
    density = beard_cover(base) ** 1.5 * smoothstep(lips, 0.9, 1.2) * ~surface.ear_vertices
    off_head = np.ones(len(density), bool)
    off_head[np.unique(model.triangles[surface.head])] = False
    density[off_head] = 0
    low, high = LENGTH
    length = (low + (high - low) * identity.full_beard) * smoothstep(density, 0, 0.9)
    length = length * (1 - (1 - MOUSTACHE) * smoothstep(base[:, 1], LIP_LINE, LIP_LINE + 0.1))
    grow = (normals + np.array(COMB, np.float32) * AXES) * (length * DECIMETRE)[:, None]
    chosen = surface.head & (density[model.triangles].max(axis=1) > 0.05)
    source, flat = np.unique(model.triangles[chosen], return_inverse=True)
    uv = (surface.texels[chosen] / (ATLAS - 1)).astype(np.float32)
    return [
        Layer(
            part=FIRST_BEARD + k,
            source=source.astype(np.int32),
            offset=(grow[source] * ((k + 1) / N_BEARD)).astype(np.float32),
            triangles=flat.reshape(-1, 3).astype(np.int32),
            uv=uv,
            threshold=density[source].astype(np.float32),
        )
        for k in reversed(range(N_BEARD))
    ]
