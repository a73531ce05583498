"""The actor's true action units: what its expression weights mean in FACS, by definition."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float32

from emotalk_core.errors import ConfigError, explain

MAX_INTENSITY = 5.0  # FACS E
FULLY_PARTED = 0.25  # gap between the inner lips, in outer eye distances, that is AU25 = 5
UPPER_LIP, LOWER_LIP, OUTER_EYES = 13, 14, (33, 263)  # FaceMesh
# Which weights show which unit: the published correspondence of FACS and these blendshape names
# (docs/action_units.md). A unit is 5 times their mean; both sides count alike.
WEIGHTS: dict[str, tuple[str, ...]] = {
    "AU01": ("browInnerUp",),
    "AU02": ("browOuterUpLeft", "browOuterUpRight"),
    "AU04": ("browDownLeft", "browDownRight"),
    "AU05": ("eyeWideLeft", "eyeWideRight"),
    "AU06": ("cheekSquintLeft", "cheekSquintRight"),
    "AU07": ("eyeSquintLeft", "eyeSquintRight"),
    "AU09": ("noseSneerLeft", "noseSneerRight"),
    "AU10": ("mouthUpperUpLeft", "mouthUpperUpRight"),
    "AU12": ("mouthSmileLeft", "mouthSmileRight"),
    "AU14": ("mouthDimpleLeft", "mouthDimpleRight"),
    "AU15": ("mouthFrownLeft", "mouthFrownRight"),
    "AU17": ("mouthShrugLower",),
    "AU20": ("mouthStretchLeft", "mouthStretchRight"),
    "AU23": ("mouthPressLeft", "mouthPressRight", "mouthRollLower", "mouthRollUpper"),
    "AU25": (),  # measured: the lips part by many weights
    "AU26": ("jawOpen",),
    "AU45": ("eyeBlinkLeft", "eyeBlinkRight"),
}


def true_action_units(
    expression: Float32[np.ndarray, " 52"],
    names: tuple[str, ...],
    landmarks: Float32[np.ndarray, "478 3"],
) -> dict[str, float]:
    """Intensities 0..5 of OpenFace's 17 units.

    Args:
        expression: weights 0..1.
        names: of the weights.
        landmarks: of the face with this expression, in any unit (FaceMesh order).

    Raises:
        ConfigError: a weight is missing.
    """
    missing = sorted({w for ws in WEIGHTS.values() for w in ws} - set(names))
    if missing:
        raise ConfigError(explain("names", missing, "missing weights", "take the face model's"))
    weight = dict(zip(names, np.clip(expression, 0, 1).tolist()))
    units = {
        unit: MAX_INTENSITY * float(np.mean([weight[name] for name in needed]))
        for unit, needed in WEIGHTS.items()
        if needed
    }
    left, right = landmarks[list(OUTER_EYES)]
    gap = np.linalg.norm(landmarks[LOWER_LIP] - landmarks[UPPER_LIP]) / np.linalg.norm(left - right)
    units["AU25"] = MAX_INTENSITY * float(np.clip(gap / FULLY_PARTED, 0, 1))
    return {unit: units[unit] for unit in WEIGHTS}
