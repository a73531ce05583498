"""The settings of action units: what the config block `action_units` holds."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class ActionUnitSettings:
    """Settings of `measure_action_units`.

    Attributes:
        openface_csv: path of an OpenFace table of the same clip; it goes before `reader`.
        reader: "packaged" (from the track) or "openface" (its program is run on the clip).
        openface_program: name on the PATH or path of the program.
        openface_container: "apptainer:FILE.sif", "docker:IMAGE" or "podman:IMAGE" that holds the
            program; empty: it is on this machine.
    """

    openface_csv: str = ""
    reader: str = "packaged"
    openface_program: str = "FeatureExtraction"
    openface_container: str = ""
