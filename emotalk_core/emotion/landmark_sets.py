"""Ordered landmark sets that the generator needs beside `perception.landmarks.topology`.

"Right" and "Left" are the person's; pairs of lists match point by point.
"""

from __future__ import annotations

from emotalk_core.perception.landmarks.topology import INNER_LIPS, OUTER_LIPS, OVAL

LIP_OUTLINES = tuple(sorted({*INNER_LIPS, *OUTER_LIPS}))
RIGHT_LIP_CORNER, LEFT_LIP_CORNER = 61, 291
INNER_LIP_MIDDLES = ((82, 87), (13, 14), (312, 317))  # upper, lower: where the opening is measured
# Lips from the person's right to the left, (outer edge, inner edge) without the corners.
UPPER_LIP_PAIRS = ((40, 80), (39, 81), (37, 82), (0, 13), (267, 312), (269, 311), (270, 310))
LOWER_LIP_PAIRS = ((91, 88), (181, 178), (84, 87), (17, 14), (314, 317), (405, 402), (321, 318))

RIGHT_EYE_OUTER, LEFT_EYE_OUTER = 33, 263
# Points that expression hardly moves, spread wide: the pose is fitted on them.
STABLE = (*OVAL, 1, 4, 6, 168, 197, 195, 5, 33, 133, 263, 362, 129, 358)
HAIRLINE = (109, 10, 338)

# Eyelids as (upper, lower) from the inner corner to the outer one.
LIDS = {
    "Right": (
        (133, 173, 157, 158, 159, 160, 161, 246, 33),
        (133, 155, 154, 153, 145, 144, 163, 7, 33),
    ),
    "Left": (
        (362, 398, 384, 385, 386, 387, 388, 466, 263),
        (362, 382, 381, 380, 374, 373, 390, 249, 263),
    ),
}
# The pairs over the iris, (upper, lower): where the opening is measured.
LID_MIDDLES = {
    "Right": ((158, 159, 160), (153, 145, 144)),
    "Left": ((385, 386, 387), (380, 374, 373)),
}
IRIS_CENTRE = {"Right": 468, "Left": 473}
IRIS_RIM = {"Right": (469, 470, 471, 472), "Left": (474, 475, 476, 477)}

BROWS = {
    "Right": {"Inner": (55, 107), "Middle": (65, 66, 52, 105), "Outer": (53, 63, 46, 70)},
    "Left": {"Inner": (285, 336), "Middle": (295, 296, 282, 334), "Outer": (283, 293, 276, 300)},
}
BROW_POINTS = tuple(sorted({i for parts in BROWS.values() for p in parts.values() for i in p}))
