"""Expression coefficients and openings in, 17 action unit intensities 0..5 out."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

READER_ID = "expression-table-1"
STANDING_FOR = "OpenFace 2.2 action unit intensities"
ACTION_UNITS = (
    "AU01",
    "AU02",
    "AU04",
    "AU05",
    "AU06",
    "AU07",
    "AU09",
    "AU10",
    "AU12",
    "AU14",
    "AU15",
    "AU17",
    "AU20",
    "AU23",
    "AU25",
    "AU26",
    "AU45",
)
MAX_INTENSITY = 5.0  # FACS E, OpenFace's scale


@dataclass(frozen=True)
class Row:
    """One line of the table: intensity = 5 * min(gain * mean of the coefficients, 1)."""

    coefficients: tuple[str, ...]
    gain: float


def _both(name: str) -> tuple[str, str]:
    return f"{name}Left", f"{name}Right"


# Which muscle action each blendshape shows follows the published correspondence of FACS and the
# ARKit set (docs/action_units.md). Gains bring the fitted size of a full action to about 5.
TABLE = {
    "AU01": Row(("browInnerUp",), 1.2),
    "AU02": Row(_both("browOuterUp"), 1.2),
    "AU04": Row(_both("browDown"), 1.4),
    "AU05": Row(_both("eyeWide"), 1.4),
    "AU06": Row(_both("cheekSquint"), 2.5),
    "AU07": Row(_both("eyeSquint"), 2.5),
    "AU09": Row(_both("noseSneer"), 2.0),
    "AU10": Row(_both("mouthUpperUp"), 1.4),
    "AU12": Row(_both("mouthSmile"), 1.2),
    "AU14": Row(_both("mouthDimple"), 1.6),
    "AU15": Row(_both("mouthFrown"), 1.4),
    "AU17": Row(("mouthShrugLower",), 1.6),
    "AU20": Row(_both("mouthStretch"), 1.6),
    "AU23": Row((*_both("mouthPress"), "mouthRollLower", "mouthRollUpper"), 2.0),
    "AU26": Row(("jawOpen",), 1.6),
}
FULLY_PARTED = 0.25  # lip opening in outer eye distances that counts as AU25 = 5
# Lids: the person's own open eye is the 80th percentile (blinks and looks down lie below); FaceMesh
# leaves about a fifth of it between closed lids.
OPEN_QUANTILE, CLOSED_SHARE = 0.8, 0.2


def action_units(
    expression: Float[np.ndarray, "T 52"],
    names: tuple[str, ...],
    lip_opening: Float[np.ndarray, " T"],
    eye_opening: Float[np.ndarray, " T"],
) -> Float[np.ndarray, "T 17"]:
    """Intensities of `ACTION_UNITS` in every frame.

    Args:
        expression: coefficients 0..1.
        names: of the coefficients.
        lip_opening: in outer eye distances.
        eye_opening: in outer eye distances.
    """
    column = {name: i for i, name in enumerate(names)}
    measured = {
        unit: expression[:, [column[c] for c in row.coefficients]].mean(axis=1) * row.gain
        for unit, row in TABLE.items()
    }
    measured["AU25"] = lip_opening / FULLY_PARTED
    measured["AU45"] = eye_closure(eye_opening)
    shares = np.stack([measured[unit] for unit in ACTION_UNITS], axis=1)
    return MAX_INTENSITY * np.clip(shares, 0, 1)


def eye_closure(eye_opening: Float[np.ndarray, " T"]) -> Float[np.ndarray, " T"]:
    """0 at the person's own open eyes, 1 at closed lids."""
    wide = float(np.quantile(eye_opening, OPEN_QUANTILE))
    return np.clip((wide - eye_opening) / max(wide * (1 - CLOSED_SHARE), 1e-6), 0, 1)
