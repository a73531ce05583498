"""Accuracy of head tracking against exact truth: prints a table and writes a flat JSON.

    python -m benchmarks.tracking --json out.json [--seeds 31 32] [--seconds 9] [--kinds acted]
                                  [--detector NAME] [--real ../shared/real] [--cache DIR]

Two clips of every seed: `talking` is the actor's own performance, `acted` adds strong smiles,
puckers, brows and open jaws at random times. The real clip is compared with another tracker's
coefficients. `--cache` keeps landmarks and grey pictures, so that only the solver runs
again. The columns are explained in docs/tracking.md.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import cv2
import numpy as np
import scipy.io
from jaxtyping import Float, UInt8
from scipy.spatial.transform import Rotation

from emotalk_core.actor.identity import random_identity
from emotalk_core.actor.motion import pulses
from emotalk_core.actor.performance import ActorSettings, Performance, perform
from emotalk_core.actor.truth import render_performance
from emotalk_core.perception.action_units.packaged import ACTION_UNITS, action_units
from emotalk_core.perception.glasses.reader import CLIP_FRAMES, GlassesReader
from emotalk_core.perception.landmarks import create_detector
from emotalk_core.perception.landmarks import topology as tp
from emotalk_core.perception.tracking.axes import DETECTORS, LOOKS, Looks, part_maps
from emotalk_core.perception.tracking.clip import detect_clip, fill_gaps
from emotalk_core.perception.tracking.settings import TrackingSettings
from emotalk_core.perception.tracking.shape import spread_frames
from emotalk_core.perception.tracking.skin import watch_skin
from emotalk_core.perception.tracking.solve import HeadTrack, solve_head

Arrays = dict[str, np.ndarray]
SIZE = 256  # px
KINDS = ("talking", "acted")
ACTS = (
    ("mouthSmileLeft", "mouthSmileRight", "cheekSquintLeft", "cheekSquintRight"),
    ("mouthPucker",),
    ("browInnerUp", "browOuterUpLeft", "browOuterUpRight"),
    ("browDownLeft", "browDownRight"),
    ("jawOpen",),
)
CHEEK_SHARE = 0.6  # of a smile
SHAPES = {
    "jaw": ("jawOpen",),
    "smile": ("mouthSmileLeft", "mouthSmileRight"),
    "blink": ("eyeBlinkLeft", "eyeBlinkRight"),
    "pucker": ("mouthPucker",),
    "brow_up": ("browInnerUp",),
    "brow_down": ("browDownLeft", "browDownRight"),
}
UNIT_TRUTH = {"AU12": "smile", "AU26": "jaw", "AU45": "blink"}
# Columns of the independent tracker's table: expression, then pitch, yaw, roll; row i is frame i+2
OTHER_EXPRESSION, OTHER_ANGLES, OTHER_DELAY = slice(80, 144), slice(224, 227), 2
FOLDS = 5


def acted(performance: Performance, seed: int) -> Performance:
    """The performance with half of its mouth, a still face above, and strong acts on top."""
    rng = np.random.default_rng([seed, 99])
    n_frames, names = performance.expression.shape[0], performance.names
    weights = 0.5 * performance.expression.astype(np.float64)
    column = {name: i for i, name in enumerate(names)}
    for name, i in column.items():
        if name.startswith(("brow", "cheek", "eyeSquint", "mouthSmile")):
            weights[:, i] = 0
    for act in ACTS:
        for centre in rng.uniform(0.5, n_frames / 25 - 0.5, max(3, n_frames // 75)):
            size = rng.uniform(0.4, 1) * pulses(n_frames, [float(centre)], 0.25, 0.35)
            for name in act:
                share = CHEEK_SHARE if name.startswith("cheek") else 1.0
                weights[:, column[name]] = np.maximum(weights[:, column[name]], share * size)
    return dataclasses.replace(performance, expression=np.clip(weights, 0, 1).astype(np.float32))


def actor_clip(seed: int, seconds: float, kind: str, detector: str) -> Arrays:
    """Landmarks and truth of one rendered clip."""
    settings, identity = ActorSettings(seed=seed, seconds=seconds, size=SIZE), random_identity(seed)
    performance = perform(settings, identity)
    if kind == "acted":
        performance = acted(performance, seed)
    rows: dict[str, list[np.ndarray]] = {k: [] for k in ("points", "viewmat", "expression", "gap")}
    pictures = []
    with create_detector(detector) as found:
        for frame in render_performance(identity, performance, settings):
            points = found.detect(frame.rgb)
            rows["points"].append(np.full((478, 3), np.nan) if points is None else points)
            pictures.append(frame.rgb)
            rows["viewmat"].append(frame.viewmat)
            rows["expression"].append(frame.expression)
            lips = frame.landmarks_world[[tp.LOWER_INNER_LIP, tp.UPPER_INNER_LIP], 1]
            rows["gap"].append(lips[0] - lips[1])
    arrays = {k: np.array(v) for k, v in rows.items()}
    names = {"names": np.array(performance.names)}
    return names | arrays | looked_at(pictures, arrays["points"], detector)


def looked_at(
    pictures: list[UInt8[np.ndarray, "H W 3"]], points: np.ndarray, detector: str
) -> Arrays:
    """What the tracker sees of the frames beside their landmarks; of wearers these too, anew."""
    clip = fill_gaps(points.astype(np.float64))
    known = spread_frames(clip.valid, CLIP_FRAMES)
    glasses = GlassesReader((pictures[i], clip.points[i, :, :2]) for i in known)
    faces = pictures
    if glasses.worn:
        faces = [glasses.taken_off(f, p[:, :2]) for f, p in zip(pictures, clip.points)]
        with create_detector(detector) as found:
            clip = detect_clip(faces, len(faces), found)
    frames = spread_frames(clip.valid, LOOKS)
    chosen = np.array([pictures[i] for i in frames])
    return {
        "points": np.where(clip.valid[:, None, None], clip.points, np.nan),
        "looked_at": frames,
        "parts": part_maps(chosen, clip.points[frames, :, :2]),
        "grey": np.array([cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY) for picture in faces]),
    }


def video_frames(path: Path) -> Iterator[UInt8[np.ndarray, "H W 3"]]:
    """RGB frames of a video at its own rate."""
    capture = cv2.VideoCapture(str(path))
    while True:
        read, frame = capture.read()
        if not read:
            return
        yield np.ascontiguousarray(frame[:, :, ::-1])


def real_clip(path: Path, detector: str) -> Arrays:
    """Landmarks of a video."""
    points, size = [], 0
    pictures = []
    with create_detector(detector) as found:
        for frame in video_frames(path):
            size = frame.shape[0]
            face = found.detect(frame)
            points.append(np.full((478, 3), np.nan) if face is None else face)
            pictures.append(frame)
    return {
        "size": np.array(size),
        **looked_at(pictures, np.array(points), detector),
    }


def cached(cache: Path | None, name: str, make: Callable[[], Arrays]) -> Arrays:
    """The arrays of a clip out of the cache, or made and kept there."""
    path = None if cache is None else cache / f"{name}.npz"
    if path is not None and path.exists():
        with np.load(path) as archive:
            return {k: archive[k] for k in archive.files}
    arrays = make()
    if path is not None:
        path.parent.mkdir(parents=True, exist_ok=True)
        np.savez(path, **arrays)
    return arrays


def correlation(a: Float[np.ndarray, " T"], b: Float[np.ndarray, " T"]) -> float:
    """Pearson's r; nan where one of them stands still."""
    return float(np.corrcoef(a, b)[0, 1]) if min(a.std(), b.std()) > 1e-6 else float("nan")


def shake(values: Float[np.ndarray, "T C"]) -> float:
    """Root mean square of the steps from frame to frame."""
    return float(np.sqrt((np.diff(values, axis=0) ** 2).sum(axis=1).mean()))


def steps(rotations: Float[np.ndarray, "T 3 3"]) -> float:
    """Root mean square of the turns from frame to frame, rad."""
    turns = Rotation.from_matrix(rotations[1:] @ rotations[:-1].transpose(0, 2, 1)).magnitude()
    return float(np.sqrt((turns**2).mean()))


def compare(head: HeadTrack, truth: Arrays) -> dict[str, float]:
    """Errors against the truth, by the names of docs/tracking.md."""
    found, true = head.cameras.viewmats, truth["viewmat"]
    turn, true_turn = found[:, :3, :3], true[:, :3, :3]
    mean = Rotation.from_matrix(true_turn.transpose(0, 2, 1) @ turn).mean().as_matrix()
    still = turn @ mean.T
    rest = (found[:, :3, 3] - true[:, :3, 3]) - (found[:, :3, 3] - true[:, :3, 3]).mean(axis=0)
    depth = true[:, 2, 3].mean()

    def degrees(a: Float[np.ndarray, "T 3 3"]) -> float:
        between = Rotation.from_matrix(a @ true_turn.transpose(0, 2, 1)).magnitude()
        return float(np.degrees(between.mean()))

    result = {
        "rotation_deg": degrees(turn),
        "rotation_deg_offset_removed": degrees(still),
        "translation_share": np.linalg.norm(found[:, :3, 3] - true[:, :3, 3], axis=1).mean()
        / depth,
        "translation_share_mean_removed": np.linalg.norm(rest, axis=1).mean() / depth,
        "jitter_rotation": steps(turn) / steps(true_turn),
        "jitter_translation": shake(found[:, :3, 3]) / shake(true[:, :3, 3]),
        "reprojection_share": reprojection(head),
    }
    column = {str(name): i for i, name in enumerate(truth["names"])}
    strengths = {}
    for name, members in SHAPES.items():
        places = [column[m] for m in members]
        strengths[name] = truth["expression"][:, places].mean(axis=1)
        result[f"r_{name}"] = correlation(head.expression[:, places].mean(axis=1), strengths[name])
    units = action_units(head.expression, head.expression_names, head.lip_opening, head.eye_opening)
    for unit, name in UNIT_TRUTH.items():
        result[f"r_{unit}"] = correlation(units[:, ACTION_UNITS.index(unit)], strengths[name])
    result["r_AU25"] = correlation(units[:, ACTION_UNITS.index("AU25")], truth["gap"])
    return {k: float(v) for k, v in result.items()}


def reprojection(head: HeadTrack) -> float:
    """Mean reprojection error over the distance of the pupils."""
    pupils = head.landmarks[:, tp.RIGHT_IRIS_CENTRE] - head.landmarks[:, tp.LEFT_IRIS_CENTRE]
    return float(head.reprojection_error.mean() / np.linalg.norm(pupils, axis=1).mean())


def against_other(head: HeadTrack, other: Float[np.ndarray, "R 257"]) -> dict[str, float]:
    """Correlations with another tracker: angles one by one, lips by ridge regression."""
    seen = slice(OTHER_DELAY, OTHER_DELAY + len(other))
    turn = Rotation.from_matrix(head.cameras.viewmats[seen, :3, :3])
    angles = turn.as_euler("YXZ")[:, [1, 0, 2]]
    wanted = other[:, OTHER_ANGLES]
    result = {
        f"r_{name}": abs(correlation(angles[:, i], wanted[:, i]))
        for i, name in enumerate(("pitch", "yaw", "roll"))
    }
    causes = np.c_[other[:, OTHER_EXPRESSION], np.ones(len(other))]
    lips, guess = head.lip_opening[seen], np.empty(len(other))
    fold = np.arange(len(other)) * FOLDS // len(other)
    ridge = 1e-3 * len(other) * np.diag(np.r_[causes[:, :-1].var(axis=0), 1e-9])
    for k in range(FOLDS):
        known = causes[fold != k]
        weights = np.linalg.solve(known.T @ known + ridge, known.T @ lips[fold != k])
        guess[fold == k] = causes[fold == k] @ weights
    return result | {"r_lip_opening": correlation(lips, guess)}


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, nargs="*", default=[31, 32, 33, 34])
    parser.add_argument("--kinds", nargs="*", choices=KINDS, default=list(KINDS))
    parser.add_argument("--seconds", type=float, default=9.0)
    parser.add_argument("--detector", default="facemesh")
    parser.add_argument("--real", type=Path)
    parser.add_argument("--cache", type=Path)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    settings = TrackingSettings(detector=options.detector)
    results: dict[str, float] = {}

    def tracked(name: str, make: Callable[[], Arrays]) -> tuple[HeadTrack, Arrays, int]:
        arrays = cached(options.cache, f"{options.detector}_bare_{name}", make)
        size = int(arrays.get("size", SIZE))
        started = time.perf_counter()
        clip = fill_gaps(arrays["points"].astype(np.float64))
        used = options.detector in DETECTORS
        looks = Looks(arrays["looked_at"], arrays["parts"]) if used else None
        watch = partial(watch_skin, partial(iter, arrays["grey"]))
        head = solve_head(clip, size, size, settings, looks=looks, watch=watch)
        seconds = time.perf_counter() - started
        results[f"{name}.solver_frames_per_second"] = len(head.valid) / seconds
        return head, arrays, size

    for kind in options.kinds:
        rows = []
        for seed in options.seeds:
            make = partial(actor_clip, seed, options.seconds, kind, options.detector)
            head, truth, _ = tracked(f"{kind}_{seed}_{options.seconds:g}", make)
            rows.append(compare(head, truth))
        for key in rows[0] if rows else ():
            values = np.array([row[key] for row in rows])
            results[f"{kind}.{key}.mean"] = float(np.nanmean(values))
            worst = np.nanmin(values) if key.startswith("r_") else np.nanmax(values)
            results[f"{kind}.{key}.worst"] = float(worst)
    if options.real is not None:
        for path in sorted(options.real.glob("*.mp4")):
            head, _, _ = tracked(path.stem, partial(real_clip, path, options.detector))
            results[f"{path.stem}.reprojection_share"] = reprojection(head)
            other = path.with_name(f"{path.stem}_3dmm.mat")
            if other.exists():
                found = against_other(head, scipy.io.loadmat(other)["coeff"])
                results |= {f"{path.stem}.{k}": v for k, v in found.items()}
    for key, value in results.items():
        print(f"{key:55s} {value:8.3f}")
    if options.json is not None:
        options.json.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
