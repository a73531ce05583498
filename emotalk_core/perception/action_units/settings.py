"""The settings of action units: what the config block `action_units` holds."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class ActionUnitSettings:
    """Settings of `measure_action_units`.

    Attributes:
        openface_csv: path of an OpenFace table of the same clip; empty: measure from the track.
    """

    openface_csv: str = ""
