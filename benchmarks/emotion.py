"""How well edits, avatar and reader show emotions on tracked subjects: prints tables against bars.

    python -m benchmarks.emotion results/obama results/demo [--landmarker face_landmarker.task]
        [--frames 12] [--avatar emotalk] [--json out.json] [--sheet folder]

Each folder needs manifest.json, video.mkv and track.npz. Frames of the whole clip are edited at the
paper's 12 points and read back: by the class network alone, by a fixed formula on expression
coefficients, and by the mean of both, each minus the same on the unedited frame. Landmarks and
coefficients come from the landmarker file where one is given (independent of this project), else
from the packaged detector and fit. Identity is measured where its network is installed. With
`--avatar`, the folder's trained avatar is drawn at the same points and compared with the edits, its
lips and their sync with those of the same frames without emotion, and neighbours on the circle with
one another.
Keys are explained in docs/emotion.md.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Iterator
from functools import partial
from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np

from benchmarks.emotion_readings import Readers, Subject, Tally, landmarks_of, open_subject
from emotalk_core.emotion.circle import evaluation_points
from emotalk_core.emotion.geometric import GeometricGenerator
from emotalk_core.emotion.measures import eye_distance, lip_opening
from emotalk_core.evaluation.driven import DrivenClip
from emotalk_core.evaluation.metrics.sync import near_confidence
from emotalk_core.evaluation.sync_judge import SyncJudge
from emotalk_core.media.video import VideoReader

POINTS = np.array([(p.valence, p.arousal) for p in evaluation_points()])
IDENTITY_EVERY = 3  # the identity network takes a fifth of a second an image
SYNC_RUN = 120  # of the sync scores, around those: below 60 chance decides
RUN_POINTS = (0, 1, 2, 4)  # happy, surprise, anger, sad
RING = 24  # steps around the circle
RING_FRAMES = 3  # frames that go around it
LARGE_EYES = 120.0  # px between the outer eye corners: from here on the stricter lip bar holds

# key -> (bar, True where higher is better)
BARS: dict[str, tuple[float, bool]] = {
    "face_found": (1.0, True),
    "lip_r": (0.97, True),
    "identity_mean": (0.32, False),
    "identity_max": (0.52, False),
    "jitter": (0.001, False),
    "classes_v_r": (0.72, True),
    "classes_v_sign": (0.86, True),
    "classes_a_r": (0.45, True),
    "classes_a_sign": (0.68, True),
    "mean_v_r": (0.84, True),
    "mean_a_r": (0.58, True),
    "mean_v_rmse": (0.32, False),
    "mean_a_rmse": (0.45, False),
    "avatar_v_kept": (0.70, True),
    "avatar_a_kept": (0.70, True),
    "avatar_lip_r": (0.95, True),
    "avatar_sync_kept": (0.95, True),
    "avatar_ring_jump": (3.0, False),
}
MILLISECONDS = {256: 25.0, 512: 50.0}  # bars by picture side


def edit_stills(
    subject: Subject, generator: GeometricGenerator, readers: Readers, count: int
) -> Tally:
    """The generator at all points on frames spread over the clip."""
    tally = Tally()
    for number, index in enumerate(subject.spread(count)):
        frame, shown = subject.frames[index], subject.shown(index, generator)
        before = readers.read(frame)
        if before is None:
            continue
        embed = readers.identity if number % IDENTITY_EVERY == 0 else None
        own = None if embed is None else embed.embed(frame, before.landmarks)
        for target in POINTS:
            start = time.process_time()
            face = shown.at(*target.tolist(), subject.person)
            tally.milliseconds.append(1e3 * (time.process_time() - start))
            tally.jacobian.append(face.smallest_jacobian)
            after = readers.read(face.image)
            tally.add(target, before, after)
            if embed is not None and own is not None and after is not None:
                other = embed.embed(face.image, after.landmarks)
                tally.identity.append(float(np.linalg.norm(other - own)))
    return tally


def edit_run(subject: Subject, generator: GeometricGenerator, readers: Readers) -> dict[str, float]:
    """Worst lip correlation and mean added jitter over consecutive frames."""
    before = [readers.read(subject.frames[i]) for i in subject.run()]
    calm, correlations, jitter = landmarks_of(before), [], []
    for point in RUN_POINTS:
        after, moved = [], []
        for i in subject.run():
            points = subject.landmarks[i]
            face = subject.shown(i, generator).at(*POINTS[point], subject.person)
            after.append(readers.read(face.image))
            moved.append((face.landmarks - points[:, :2]) / eye_distance(points))
        correlations.append(opening_correlation(calm, landmarks_of(after)))
        jitter.append(np.linalg.norm(np.diff(moved, n=2, axis=0), axis=2).mean())
    return {"lip_r": min(correlations), "jitter": float(np.mean(jitter))}


def opening_correlation(before: np.ndarray, after: np.ndarray) -> float:
    """Of the lip opening over the frames [T,478,3] where both show a face (nan: none)."""
    pairs = np.array([(lip_opening(a), lip_opening(b)) for a, b in zip(before, after)])
    return float(np.corrcoef(pairs[np.isfinite(pairs).all(axis=1)].T)[0, 1])


def measure_edits(
    subject: Subject, generator: GeometricGenerator, readers: Readers, count: int
) -> tuple[dict[str, float], Tally]:
    """All numbers of the generator on one subject."""
    tally = edit_stills(subject, generator, readers, count)
    numbers = {
        "eye_distance_px": float(np.median([eye_distance(p) for p in subject.landmarks])),
        "face_found": len(tally.targets) / max(tally.wanted, 1),
        "lip_opening_change": float(np.abs(tally.opening).mean()),
        "smallest_jacobian": float(np.min(tally.jacobian)),
        "milliseconds": float(np.median(tally.milliseconds)),
    }
    if tally.identity:
        numbers["identity_mean"] = float(np.mean(tally.identity))
        numbers["identity_max"] = float(np.max(tally.identity))
    return {**numbers, **edit_run(subject, generator, readers), **tally.responses()}, tally


Draw = Callable[[int, tuple[float, float]], np.ndarray]


def open_avatar(subject: Subject, method: str) -> Draw:
    """A function (frame, (valence, arousal)) -> picture of a trained avatar, own sound and pose."""
    import torch

    from emotalk_core.serving.head import open_head
    from emotalk_core.serving.plans import OWN_SOUND, FramePlan
    from emotalk_core.serving.stage import draw_frame

    torch.set_num_threads(1)
    head = open_head(subject.folder, method, [])
    behind = VideoReader(head.behind)

    def draw(index: int, emotion: tuple[float, float]) -> np.ndarray:
        plan = FramePlan("point", index, OWN_SOUND, index, emotion)
        return draw_frame(head.avatar, head.drivers, plan, behind[index], True, head.device)

    return draw


def measure_avatar(
    subject: Subject, draw: Draw, edits: dict[str, float], readers: Readers, count: int
) -> dict[str, float]:
    """The drawn avatar at the points beside the generator's own response."""
    tally = Tally()
    for index in subject.spread(count):
        before = readers.read(draw(index, (0.0, 0.0)))
        for target in POINTS:
            if before is not None:
                tally.add(target, before, readers.read(draw(index, tuple(target))))
    drawn = tally.responses()
    return {
        "avatar_face_found": len(tally.targets) / max(tally.wanted, 1),
        "avatar_v_kept": drawn["mean_v_slope"] / edits["mean_v_slope"],
        "avatar_a_kept": drawn["mean_a_slope"] / edits["mean_a_slope"],
        **avatar_lips(subject, draw, readers),
        "avatar_ring_jump": max(ring_jump(draw, i) for i in subject.spread(RING_FRAMES + 2)[1:-1]),
        **{f"avatar_{key}": value for key, value in drawn.items()},
    }


def avatar_lips(subject: Subject, draw: Draw, readers: Readers) -> dict[str, float]:
    """Lips and sync of consecutive frames at each point beside the same frames without emotion."""
    judge = SyncJudge.from_track(subject.folder / "track.npz", len(subject.landmarks))
    sound, frames, inner = subject.folder / "audio.wav", subject.run(SYNC_RUN), subject.run()
    middle = slice(inner.start - frames.start, inner.stop - frames.start)

    def seen(emotion: tuple[float, float]) -> np.ndarray:
        return landmarks_of([readers.read(draw(i, emotion)) for i in frames])

    def sync(points: np.ndarray) -> float:
        apart = judge.distances(DrivenClip(lambda: (), points, sound, np.asarray(frames)))
        return near_confidence(apart[np.isfinite(apart).all(axis=1)])

    calm = seen((0.0, 0.0))
    spoken = [seen((v, a)) for v, a in POINTS.tolist()]
    off = sync(calm)
    return {
        "avatar_lip_r": min(opening_correlation(calm[middle], p[middle]) for p in spoken),
        "avatar_sync_off": off,
        "avatar_sync_kept": float(np.mean([sync(p) for p in spoken])) / off,
    }


def ring_jump(draw: Draw, index: int) -> float:
    """Largest picture change between neighbours around the circle, in median ones."""
    angles = np.linspace(0, 2 * np.pi, RING + 1)
    ring = [draw(index, (0.8 * np.cos(a), 0.8 * np.sin(a))).astype(np.float32) for a in angles]
    steps = np.array([np.abs(a - b).mean() for a, b in pairwise(ring)])
    return float(steps.max() / np.median(steps))


def bar_of(key: str, numbers: dict[str, float], size: int) -> tuple[float, bool] | None:
    """The bar of a number, if it has one."""
    if key == "lip_opening_change":
        return (0.006 if numbers["eye_distance_px"] >= LARGE_EYES else 0.010), False
    if key == "milliseconds":
        return (MILLISECONDS[size], False) if size in MILLISECONDS else None
    return BARS.get(key)


def table(name: str, numbers: dict[str, float], size: int) -> Iterator[str]:
    """Lines of one subject: number, bar, verdict."""
    yield f"{name}"
    for key, value in numbers.items():
        bar = bar_of(key, numbers, size)
        if bar is None:
            yield f"  {key:<22} {value:9.4g}"
            continue
        wanted, higher = bar
        fine = value >= wanted if higher else value <= wanted
        sign = ">=" if higher else "<="
        yield f"  {key:<22} {value:9.4g}  {sign} {wanted:<6g} {'ok' if fine else 'MISSED'}"


def edited(
    generator: GeometricGenerator, subject: Subject, index: int, emotion: tuple[float, float]
) -> np.ndarray:
    """One frame of the clip with an emotion."""
    return subject.shown(index, generator).at(*emotion, subject.person).image


def write_sheet(path: Path, subject: Subject, draw: Draw) -> None:
    """Two frames of the clip, each without emotion and at the 12 points, as a PNG to look at."""
    rows = []
    for index in subject.spread(4)[1:3]:
        pictures = [draw(index, (v, a)) for v, a in [[0.0, 0.0], *POINTS.tolist()]]
        pictures.append(np.zeros_like(pictures[0]))
        rows += [np.hstack(pictures[:7]), np.hstack(pictures[7:])]
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), cv2.cvtColor(np.vstack(rows), cv2.COLOR_RGB2BGR))


def main() -> None:
    """Measure the folders of the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folders", type=Path, nargs="+")
    parser.add_argument("--landmarker", type=Path, help="face_landmarker.task, optional")
    parser.add_argument("--frames", type=int, default=12, help="frames of each clip")
    parser.add_argument("--avatar", default="", help="method whose trained avatar is measured too")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--sheet", type=Path, help="folder for pictures")
    arguments = parser.parse_args()
    cv2.setNumThreads(1)
    generator, readers = GeometricGenerator(), Readers(arguments.landmarker)
    results, together = {}, Tally()
    for folder in arguments.folders:
        subject = open_subject(folder)
        readers.fitter = subject.fitter
        numbers, tally = measure_edits(subject, generator, readers, arguments.frames)
        for part in ("targets", "classes", "formula"):
            getattr(together, part).extend(getattr(tally, part))
        if arguments.sheet:
            write_sheet(
                arguments.sheet / f"{subject.name}.png",
                subject,
                partial(edited, generator, subject),
            )
        if arguments.avatar:
            draw = open_avatar(subject, arguments.avatar)
            if arguments.sheet:
                write_sheet(arguments.sheet / f"{subject.name}_avatar.png", subject, draw)
            numbers |= measure_avatar(subject, draw, numbers, readers, arguments.frames)
        results[subject.name] = numbers
        print("\n".join(table(subject.name, numbers, subject.size)), flush=True)
    results["together"] = together.responses()
    print("\n".join(table("together", results["together"], 0)))
    readers.close()
    if arguments.json:
        arguments.json.write_text(json.dumps(results, indent=1))


if __name__ == "__main__":
    main()
