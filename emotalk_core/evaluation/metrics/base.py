"""What a metric is: terms of each frame from the evidence, and their reduction to one number."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from jaxtyping import Bool, Float, UInt8

from emotalk_core.types.metrics import H264_SCENARIO, SCENARIOS

SELF, CROSS, EMOTION = SCENARIOS
PIXEL_SCENARIOS = (SELF, H264_SCENARIO)  # where the truth is the wanted picture
# Who measured: pixels alone, the landmark model, ... Each kind has one evaluator id in a run.
# Reference networks have kinds of their own, so that they never share one with a stand-in.
EvaluatorKind = Literal[
    "image",
    "perceptual",
    "lpips",
    "landmarks",
    "fan",
    "action_units",
    "identity",
    "emotion",
    "lip_audio",
    "sync",
    "syncnet",
]
# "one" is a ratio that is right at 1; "none" is a reading without a good direction.
Direction = Literal["higher", "lower", "one", "none"]
Terms = tuple[float, ...]
ROUNDING = 1e-12  # share of a signal's energy below which its variation is rounding


@dataclass(frozen=True)
class FaceReading:
    """What the evaluators read off one picture.

    Attributes:
        landmarks: [478,3] FaceMesh points, px (z in px too, unused by the metrics).
        action_units: "AU01".."AU45" -> 0..5; empty where not read.
        valence, arousal: -1..1; nan where not read.
        posterior: [8] probabilities in the order of `emotion.circle.CLASSES`, or None.
        identity: embedding of the person, or None where not read.
        fan: [68,2] points of the paper's landmark network, px, or None where not read.
    """

    landmarks: Float[np.ndarray, "478 3"]
    action_units: Mapping[str, float] = field(default_factory=dict)
    valence: float = float("nan")
    arousal: float = float("nan")
    posterior: Float[np.ndarray, " 8"] | None = None
    identity: Float[np.ndarray, " E"] | None = None
    fan: Float[np.ndarray, "68 2"] | None = None


@dataclass(frozen=True, eq=False)
class FrameEvidence:
    """Everything that a metric may look at for one rendered frame; compared by identity.

    Attributes:
        clip: name of the clip inside the scenario.
        render: [H,W,3] RGB uint8, the frame that is judged.
        source: [H,W,3] the subject's own frame that gave the head pose; in self-reconstruction this
            is the truth that the render should equal.
        head: [H,W] head of `source`, dilated (settings), for image metrics.
        head_inner: [H,W] head of `source`, eroded, so that the silhouette does not count.
        seam: [H,W] band along the border between head and body of `source`.
        mouth_box: (y0, y1, x0, x1) around the mouth of `source`, px.
        face, source_face: readings of the two pictures; None where no face was found.
        valence, arousal: target of the frame (the condition that was asked for); nan without one.
        label: emotion class that the target should be read as, "" without one.
        lip_opening_from_audio: what the subject's ridge expects from the sound; nan without one.
        sync_distances: kind of sync evaluator -> distances of lips and sound at every shift of the
            sound; kinds without a sound or a face are left out.
        lpips: distance of render and source by the reference network; nan without one.
        before: up to two preceding frames of the same clip, latest last.
    """

    clip: str
    render: UInt8[np.ndarray, "H W 3"]
    source: UInt8[np.ndarray, "H W 3"] | None = None
    head: Bool[np.ndarray, "H W"] | None = None
    head_inner: Bool[np.ndarray, "H W"] | None = None
    seam: Bool[np.ndarray, "H W"] | None = None
    mouth_box: tuple[int, int, int, int] | None = None
    face: FaceReading | None = None
    source_face: FaceReading | None = None
    valence: float = float("nan")
    arousal: float = float("nan")
    label: str = ""
    lip_opening_from_audio: float = float("nan")
    sync_distances: Mapping[str, Terms] = field(default_factory=dict)
    lpips: float = float("nan")
    before: tuple[FrameEvidence, ...] = ()


@dataclass(frozen=True)
class Metric:
    """One column of the tables.

    Attributes:
        name: name in metrics.csv.
        terms: numbers of one frame, or None where this frame cannot be measured (it is counted).
        reduce: [N,K] terms of the measured frames -> value; nan where undefined.
        evaluator: who measures.
        scenarios: where the metric makes sense.
        better: direction of improvement.
        unit: for docs and tables.
        meaning: one short sentence for the report.
    """

    name: str
    terms: Callable[[FrameEvidence], Terms | None]
    reduce: Callable[[Float[np.ndarray, "N K"]], float]
    evaluator: EvaluatorKind
    scenarios: tuple[str, ...]
    better: Direction
    unit: str
    meaning: str


def mean_term(terms: Float[np.ndarray, "N 1"]) -> float:
    """Mean over frames of a single term."""
    return float(terms[:, 0].mean())


def moves(terms: Float[np.ndarray, "N K"]) -> Bool[np.ndarray, " K"]:
    """Which terms vary; rounding noise of a constant signal is not motion."""
    energy = ((terms - terms.mean(axis=0)) ** 2).sum(axis=0)
    return energy > ROUNDING * (terms**2).sum(axis=0)


def correlation(terms: Float[np.ndarray, "N 2"]) -> float:
    """Pearson correlation of two terms; nan when one of them does not move or N < 3."""
    if len(terms) < 3:
        return float("nan")
    if not moves(terms).all():
        return float("nan")
    centred = terms - terms.mean(axis=0)
    energy = (centred**2).sum(axis=0)
    return float((centred[:, 0] * centred[:, 1]).sum() / np.sqrt(energy.prod()))
