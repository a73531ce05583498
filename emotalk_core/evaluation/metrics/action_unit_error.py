"""Action unit error (AUE) of the upper and the lower face: squared differences summed over AUs."""

from __future__ import annotations

from collections.abc import Callable

from emotalk_core.evaluation.metrics.base import SELF, FrameEvidence, Metric, Terms, mean_term

# METHOD 3; OpenFace's 17 intensities in two groups.
UPPER_UNITS = tuple(f"AU{n:02d}" for n in (1, 2, 4, 5, 6, 7, 9, 45))
LOWER_UNITS = tuple(f"AU{n:02d}" for n in (10, 12, 14, 15, 17, 20, 23, 25, 26))


def _terms(units: tuple[str, ...]) -> Callable[[FrameEvidence], Terms | None]:
    def terms(frame: FrameEvidence) -> Terms | None:
        if frame.face is None or frame.source_face is None:
            return None
        render, truth = frame.face.action_units, frame.source_face.action_units
        if not all(unit in render and unit in truth for unit in units):
            return None
        return (float(sum((render[unit] - truth[unit]) ** 2 for unit in units)),)

    return terms


METRICS = tuple(
    Metric(name, _terms(units), mean_term, "action_units", (SELF,), "lower", "AU²", meaning)
    for name, units, meaning in (
        ("aue_u", UPPER_UNITS, "squared error summed over the eight upper-face action units"),
        ("aue_l", LOWER_UNITS, "squared error summed over the nine lower-face action units"),
    )
)
