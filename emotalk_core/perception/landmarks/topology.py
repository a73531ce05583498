"""Index sets of the 478 FaceMesh landmarks: rings of lips and eyes, brows, rigid points, holes.

"Right" and "left" are the person's: the right eye lies at smaller x in a frontal picture. Rings are
ordered along their outline, closed (the last point is joined to the first).
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from emotalk_core.perception.landmarks.surface import (
    LEFT_EYE,
    N_LANDMARKS,
    N_SURFACE,
    RIGHT_EYE,
    canonical_face,
    mirrored_surface,
    surface_triangles,
)
from emotalk_core.types.lip_points import INNER_LIPS, OUTER_EYE_CORNERS, OUTER_LIPS

# Names of other modules that the rest of the code takes from here.
__all__ = [
    "INNER_LIPS",
    "LEFT_EYE",
    "N_LANDMARKS",
    "N_SURFACE",
    "OUTER_EYE_CORNERS",
    "OUTER_LIPS",
    "RIGHT_EYE",
    "canonical_face",
    "mirrored_surface",
    "surface_triangles",
]

# fmt: off
LIP_MIDDLE = (
    76, 77, 90, 180, 85, 16, 315, 404, 320, 307, 306, 408, 304, 303, 302, 11, 72, 73, 74, 184,
    62, 96, 89, 179, 86, 15, 316, 403, 319, 325, 292, 407, 272, 271, 268, 12, 38, 41, 42, 183,
)
RIGHT_BROW = (70, 63, 105, 66, 107, 55, 65, 52, 53, 46)
LEFT_BROW = (300, 293, 334, 296, 336, 285, 295, 282, 283, 276)
RIGHT_IRIS = (469, 470, 471, 472)
LEFT_IRIS = (474, 475, 476, 477)
OVAL = (
    10, 338, 297, 332, 284, 251, 389, 356, 454, 323, 361, 288, 397, 365, 379, 378, 400, 377,
    152, 148, 176, 149, 150, 136, 172, 58, 132, 93, 234, 127, 162, 21, 54, 103, 67, 109,
)
# fmt: on
RIGHT_IRIS_CENTRE, LEFT_IRIS_CENTRE = 468, 473
INNER_EYE_CORNERS = (133, 362)
LIP_CORNERS = (61, 291)
UPPER_INNER_LIP, LOWER_INNER_LIP = 13, 14
UPPER_LOWER_LIDS = ((159, 145), (386, 374))  # right, left
NOSE_BRIDGE, NOSE_TIP, NOSE_BASE, CHIN, FOREHEAD, BROW_TOP = 168, 1, 2, 152, 10, 105
EAR_POINTS = (234, 454)  # the mesh's outermost points, before the ears
EAR_LINE = (132, 361)  # points of the oval under the ear lobes

LIPS = tuple(sorted({*INNER_LIPS, *OUTER_LIPS, *LIP_MIDDLE}))
EYES = tuple(sorted({*RIGHT_EYE, *LEFT_EYE}))
IRISES = tuple(range(468, 478))
BROWS = tuple(sorted({*RIGHT_BROW, *LEFT_BROW}))
OUTER_EYE_DISTANCE = 0.0889  # metres between points 33 and 263 of an average adult


@lru_cache(maxsize=1)
def hole_triangles() -> tuple[int, ...]:
    """Rows of `surface_triangles` that span the inside of the mouth."""
    inside = np.isin(surface_triangles(), INNER_LIPS).all(axis=1)
    return tuple(np.flatnonzero(inside).tolist())


@lru_cache(maxsize=1)
def rigid_points() -> tuple[int, ...]:
    """Surface points that hardly move with expressions: above the nose base, no lids, no brows.

    The canonical face decides: everything at or below the upper lip is left out, and so is the
    forehead between the brows and its top row, which rises with the brows.
    """
    face = canonical_face()
    below_nose = face[:, 1] > face[NOSE_BASE, 1]
    forehead = (face[:, 1] < face[BROW_TOP, 1] + 0.005) & (face[:, 1] > face[FOREHEAD, 1] + 0.005)
    moving = below_nose | forehead
    moving[[i for i in (*EYES, *BROWS, *LIPS) if i < N_SURFACE]] = True
    return tuple(np.flatnonzero(~moving).tolist())
