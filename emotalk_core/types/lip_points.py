"""Which of FaceMesh's 478 points lie on the lips, and which hold still while the lips move."""

from __future__ import annotations

# Rings from the person's right lip corner over the lower lip to the left one and back.
# fmt: off
OUTER_LIPS = (
    61, 146, 91, 181, 84, 17, 314, 405, 321, 375, 291, 409, 270, 269, 267, 0, 37, 39, 40, 185,
)
INNER_LIPS = (
    78, 95, 88, 178, 87, 14, 317, 402, 318, 324, 308, 415, 310, 311, 312, 13, 82, 81, 80, 191,
)
# fmt: on
# Eye corners and nose: speech and brows leave them where they are.
STILL_POINTS = (33, 133, 362, 263, 168, 6, 197, 195, 5, 4, 2, 98, 327, 1)
OUTER_EYE_CORNERS = (33, 263)  # the person's right, left
