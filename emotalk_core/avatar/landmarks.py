"""Index lists of the 478-point face mesh that the avatar needs: lips, lids, brows, surface."""

from __future__ import annotations

# Order of FaceMesh; rings run around the opening.
INNER_LIPS = (
    78,
    95,
    88,
    178,
    87,
    14,
    317,
    402,
    318,
    324,
    308,
    415,
    310,
    311,
    312,
    13,
    82,
    81,
    80,
    191,
)
OUTER_LIPS = (
    61,
    185,
    40,
    39,
    37,
    0,
    267,
    269,
    270,
    409,
    291,
    375,
    321,
    405,
    314,
    17,
    84,
    181,
    91,
    146,
)
RIGHT_LIDS = (33, 7, 163, 144, 145, 153, 154, 155, 133, 173, 157, 158, 159, 160, 161, 246)
LEFT_LIDS = (362, 382, 381, 380, 374, 373, 390, 249, 263, 466, 388, 387, 386, 385, 384, 398)
RIGHT_BROW = (46, 53, 52, 65, 55, 70, 63, 105, 66, 107)
LEFT_BROW = (276, 283, 282, 295, 285, 300, 293, 334, 296, 336)
LIPS = INNER_LIPS + OUTER_LIPS
LIDS = RIGHT_LIDS + LEFT_LIDS
BROWS = RIGHT_BROW + LEFT_BROW
OUTER_EYE_CORNERS = (33, 263)  # their distance is the unit of openings in docs/artifacts.md
MOUTH_CORNERS = (61, 291)
UPPER_INNER_LIP, LOWER_INNER_LIP = 13, 14
SURFACE_POINTS = 468  # the first 468 points are skin; 468..477 are the irises
