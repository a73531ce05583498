"""Rendered people with known truth in; what a landmark detector makes of them out.

Every person is rendered in frames that stand alone: poses, speech and random expressions. The
detector's points, brought into head axes by the true pose, are explained by the person's points,
a person-constant error, the true coefficients and the viewing direction; the rest is its noise.
How people differ is then read off what the tracker makes of them with that model.
"""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from jaxtyping import Float, Float32, Int
from scipy.spatial.transform import Rotation

from emotalk_core.actor.face_model import landmark_basis, load_face_model
from emotalk_core.actor.identity import identity_head, random_identity
from emotalk_core.actor.performance import ActorSettings, perform
from emotalk_core.actor.pose import Pose
from emotalk_core.actor.truth import render_performance
from emotalk_core.media.progress import track
from emotalk_core.media.tables import write_arrays
from emotalk_core.perception.landmarks import LandmarkDetector, create_detector
from emotalk_core.perception.landmarks import topology as tp
from emotalk_core.perception.tracking.bundle import solve_person
from emotalk_core.perception.tracking.clip import fill_gaps
from emotalk_core.perception.tracking.detector_model import DetectorModel, view_features
from emotalk_core.perception.tracking.path import unproject
from emotalk_core.perception.tracking.solve import metric_clip

logger = logging.getLogger(__name__)

FIRST_SEED, N_PEOPLE, FRAMES_EACH = 1000, 93, 26  # seeds that no demo and no test uses
SIZE, SECONDS = 256, 5.0  # px, s of speech to draw mouths from
SPEECH_SHARE, BOTH_SHARE, BLINK_SHARE = 0.4, 0.2, 0.25
ACTIVE_SHARE = 0.16  # of the muscle actions in a random expression
SUBTLE = ("jawLeft", "jawRight", "jawForward", "mouthLeft", "mouthRight", "mouthClose", "cheekPuff")
POSE_SIGMA, POSE_LIMIT = (7.0, 12.0, 5.0), (18.0, 30.0, 15.0)  # degrees: pitch, yaw, roll
SWAY = 0.006  # metres
LARGEST_ERROR = 0.03  # metres: a frame whose points lie farther off on average is no find
# Ridges (frames) towards the face model's motion and towards no error by pose
EXPRESSION_RIDGE, POSE_RIDGE = 3.0, 0.05
N_NOISE_MODES, N_PERSON_MODES = 40, 60
# Each person counts as a clip of all frames and as clips in which the head looks to one side
SIDE_CLIPS, SIDE_SHARE = 4, 0.6
CAMERA_DISTANCE = 1.1  # metres; only the scale of a clip's points


@dataclasses.dataclass(frozen=True)
class PersonFrames:
    """One person's frames.

    Attributes:
        truth: the person's points at rest, metres, head axes.
        errors: of the detector, metres, head axes.
        expression: true coefficients. rotations: true, world to camera.
        points: of the detector, px.
    """

    truth: Float[np.ndarray, "478 3"]
    errors: Float[np.ndarray, "F 478 3"]
    expression: Float[np.ndarray, "F 52"]
    rotations: Float[np.ndarray, "F 3 3"]
    points: Float[np.ndarray, "F 478 3"]


def random_expressions(
    speech: Float32[np.ndarray, "T 52"],
    names: tuple[str, ...],
    n_frames: int,
    rng: np.random.Generator,
) -> Float32[np.ndarray, "F 52"]:
    """At rest, speaking, or a few muscle actions at random, most of them symmetric."""
    groups: dict[str, list[int]] = {}
    for i, name in enumerate(names):
        groups.setdefault(name.removesuffix("Left").removesuffix("Right"), []).append(i)
    groups = {n: members for n, members in groups.items() if n != "tongueOut"}
    weights = np.zeros((n_frames, len(names)), np.float32)
    for frame in weights[3:]:
        if rng.random() < SPEECH_SHARE:
            frame[:] = speech[rng.integers(len(speech))]
            continue
        for name, members in groups.items():
            if rng.random() < ACTIVE_SHARE:
                size = rng.uniform(0, 1) ** 1.3 * (0.6 if name in SUBTLE else 1.0)
                for i in members:
                    frame[i] = size * (1.0 if rng.random() < 0.7 else rng.uniform(0.3, 1))
        if rng.random() < BOTH_SHARE:
            frame += speech[rng.integers(len(speech))]
        if rng.random() > BLINK_SHARE:
            frame[groups["eyeBlink"]] = 0
    return np.clip(weights, 0, 1)


def random_pose(rng: np.random.Generator) -> Pose:
    """A pose of a person who looks about."""
    turns = np.clip(rng.normal(0, POSE_SIGMA), -np.array(POSE_LIMIT), POSE_LIMIT)
    pitch, yaw, roll = (float(v) for v in np.radians(turns))
    x, y, z = (float(v) for v in rng.normal(0, SWAY, 3))
    return Pose(pitch=pitch, yaw=yaw, roll=roll, shift=(x, y, z))


def render_person(seed: int, n_frames: int, detector: LandmarkDetector) -> PersonFrames | None:
    """Render one person and compare the detector with the truth; None where it finds no face."""
    rng = np.random.default_rng([seed, 77])
    settings = ActorSettings(seed=seed, seconds=SECONDS, size=SIZE)
    identity = random_identity(seed)
    spoken = perform(settings, identity)
    performance = dataclasses.replace(
        spoken,
        expression=random_expressions(spoken.expression, spoken.names, n_frames, rng),
        poses=tuple(random_pose(rng) for _ in range(n_frames)),
    )
    model = load_face_model()
    truth = model.on_surface(identity_head(model, identity).vertices).astype(np.float64)
    errors, expression, rotations, found = [], [], [], []
    for frame in render_performance(identity, performance, settings):
        detector.detect(frame.rgb)  # the second look is what a running detector sees
        points = detector.detect(frame.rgb)
        if points is None:
            continue
        error = in_head_axes(points, frame.viewmat, frame.K, truth) - truth
        if np.linalg.norm(error, axis=1).mean() > LARGEST_ERROR:
            continue
        errors.append(error)
        expression.append(frame.expression)
        rotations.append(frame.viewmat[:3, :3])
        found.append(points)
    if not errors:
        return None
    return PersonFrames(
        truth,
        np.array(errors),
        np.array(expression, np.float64),
        np.array(rotations, np.float64),
        np.array(found, np.float64),
    )


def in_head_axes(
    points: Float[np.ndarray, "478 3"],
    viewmat: Float[np.ndarray, "4 4"],
    K: Float[np.ndarray, "3 3"],
    truth: Float[np.ndarray, "478 3"],
) -> Float[np.ndarray, "478 3"]:
    """A detector's points (px) in the head's axes (metres), by the true camera.

    The detector's depth counts from the middle of the face, whose distance is taken from the truth.
    """
    rotation, shift = viewmat[:3, :3], viewmat[:3, 3]
    middle = truth[list(tp.rigid_points())].mean(axis=0)
    depth = float((rotation @ middle + shift)[2])
    centre = (float(K[0, 2]), float(K[1, 2]))
    camera = unproject(points[None].astype(np.float64), np.array([depth]), float(K[0, 0]), centre)
    return (camera[0] - shift) @ rotation


def fit_model(people: list[PersonFrames]) -> dict[str, np.ndarray]:
    """Least squares over all frames: arrays of a `DetectorModel` (float16), but for people."""
    _, deltas, names = landmark_basis()
    person: Int[np.ndarray, " F"] = np.repeat(
        np.arange(len(people)), [len(p.errors) for p in people]
    )
    expression = np.concatenate([p.expression for p in people])
    views = np.concatenate([view_features(p.rotations) for p in people])
    errors = np.concatenate([p.errors for p in people]).reshape(len(person), -1)
    geometry = deltas.astype(np.float64).reshape(len(deltas), -1)
    left = errors - expression @ geometry

    def mean_by_person(values: Float[np.ndarray, "F C"]) -> Float[np.ndarray, "P C"]:
        total = np.zeros((len(people), values.shape[1]))
        np.add.at(total, person, values)
        return total / np.bincount(person)[:, None]

    causes = np.concatenate([expression, views], axis=1)
    within = causes - mean_by_person(causes)[person]
    ridge = np.diag([EXPRESSION_RIDGE] * len(deltas) + [POSE_RIDGE] * views.shape[1])
    effect = np.linalg.solve(
        within.T @ within + ridge, within.T @ (left - mean_by_person(left)[person])
    )
    left = left - causes @ effect
    constant = mean_by_person(left)
    noise_modes, noise = _modes(left - constant[person], N_NOISE_MODES)
    seen = np.array([p.truth for p in people]) + constant.reshape(len(people), -1, 3)
    points = (-1, tp.N_LANDMARKS, 3)
    arrays = {
        "neutral": seen.mean(axis=0),
        "depth_error": constant.mean(axis=0).reshape(points)[0, :, 2],
        "expression": (geometry + effect[: len(deltas)]).reshape(points),
        "pose": effect[len(deltas) :].reshape(points),
        "noise_modes": noise_modes.reshape(points),
        "noise": noise.reshape(points)[0],
    }
    return {"names": np.array(names)} | {k: v.astype(np.float16) for k, v in arrays.items()}


def plain_model(arrays: dict[str, np.ndarray]) -> DetectorModel:
    """The measured model with people as the face model has them."""
    plain = DetectorModel.of_geometry()
    return dataclasses.replace(
        plain,
        neutral=arrays["neutral"].astype(np.float64),
        depth_error=arrays["depth_error"].astype(np.float64),
        expression=arrays["expression"].astype(np.float64),
        pose=arrays["pose"].astype(np.float64),
        noise_modes=arrays["noise_modes"].astype(np.float64),
        noise=arrays["noise"].astype(np.float64),
        person=arrays["neutral"].astype(np.float64),
    )


def fit_people(people: list[PersonFrames], model: DetectorModel) -> dict[str, np.ndarray]:
    """Mean and spread of what the tracker makes of people, in their true axes, in float16.

    Args:
        people: who were rendered.
        model: with everything else measured.
    """
    rng = np.random.default_rng(0)
    shapes = np.array([s for p in people for s in _tracked_shapes(p, model, rng)])
    modes, _ = _modes((shapes - shapes.mean(axis=0)).reshape(len(shapes), -1), N_PERSON_MODES)
    arrays = {
        "person": shapes.mean(axis=0),
        "person_modes": modes.reshape(-1, tp.N_LANDMARKS, 3),
    }
    return {k: v.astype(np.float16) for k, v in arrays.items()}


def _tracked_shapes(
    person: PersonFrames, model: DetectorModel, rng: np.random.Generator
) -> list[Float[np.ndarray, "478 3"]]:
    """The person as tracked in several clips, in true axes, moved and scaled to the truth."""
    seen = person.truth + np.median(person.errors, axis=0)
    rigid = list(tp.rigid_points())
    views = view_features(person.rotations)[:, :2]
    chosen = [np.ones(len(views), dtype=bool)]
    for _ in range(SIDE_CLIPS):
        aside = views @ rng.normal(size=2)
        chosen.append(aside >= np.quantile(aside, 1 - SIDE_SHARE))
    shapes = []
    for frames in chosen:
        clip = fill_gaps(person.points[frames])
        start, rotations, _ = metric_clip(clip, model, CAMERA_DISTANCE, (SIZE / 2, SIZE / 2))
        found, rotations = solve_person(start, clip.valid, rotations, model)
        off = person.rotations[frames].transpose(0, 2, 1) @ rotations
        turned = found.shape @ Rotation.from_matrix(off).mean().as_matrix().T
        middle, wanted = turned[rigid].mean(axis=0), seen[rigid].mean(axis=0)
        a, b = turned[rigid] - middle, seen[rigid] - wanted
        shapes.append((turned - middle) * ((a * b).sum() / (a**2).sum()) + wanted)
    return shapes


def _modes(
    values: Float[np.ndarray, "F D"], count: int
) -> tuple[Float[np.ndarray, "M D"], Float[np.ndarray, " D"]]:
    """Principal directions times their standard deviation; deviation of what they leave."""
    _, sizes, directions = np.linalg.svd(values, full_matrices=False)
    modes = directions[:count] * (sizes[:count] / np.sqrt(len(values)))[:, None]
    rest = (values**2).mean(axis=0) - (modes**2).sum(axis=0)
    return modes, np.sqrt(np.maximum(rest, 0))


def measure_detector(
    *,
    detector: str,
    output: Path,
    seeds: Iterable[int] = range(FIRST_SEED, FIRST_SEED + N_PEOPLE),
    n_frames: int = FRAMES_EACH,
) -> None:
    """Write the measured model of a detector (about ten minutes on one quiet core).

    Args:
        detector: name in `perception.landmarks.LANDMARK_DETECTORS`.
        output: .npz, written.
        seeds: of the people.
        n_frames: of each.
    """
    wanted = list(seeds)
    with create_detector(detector) as found:
        people = [
            render_person(seed, n_frames, found)
            for seed in track(wanted, "people", len(wanted), logger)
        ]
    known = [p for p in people if p is not None]
    logger.info(
        "detector model: %d people, %d frames", len(known), sum(len(p.errors) for p in known)
    )
    arrays = fit_model(known)
    write_arrays(output, **arrays, **fit_people(known, plain_model(arrays)))
