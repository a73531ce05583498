"""Speed of the digital actor, and a contact sheet of some people with their truth.

    python -m benchmarks.actor [--seeds 7 10 15] [--sheet docs/images/actors.jpg] [--json out.json]

Milliseconds a frame on one thread (drawing with truth; the clip's encoding is not counted), the
best of the repeats. A row of the sheet: three frames of speech, a smile, regions, normals, depth.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
from jaxtyping import UInt8

from emotalk_core.actor.identity import Identity, random_identity
from emotalk_core.actor.performance import ActorSettings, Performance, perform
from emotalk_core.actor.renderer import Actor
from emotalk_core.actor.truth import ActorFrame, render_performance
from emotalk_core.evaluation.drawing import overlay_labels

SIZES = (256, 384, 512)
SECONDS = 4.0  # of speech from which the sheet's frames are chosen
REPEATS = 12
Picture = UInt8[np.ndarray, "H W 3"]


def best(run: Callable[[int], object]) -> float:
    """Shortest time in ms of some repeats after one that compiles."""
    run(0)
    times = []
    for index in range(REPEATS):
        start = time.perf_counter()
        run(index)
        times.append(1000 * (time.perf_counter() - start))
    return min(times)


def speeds(seed: int) -> dict[str, float]:
    """Ms a frame by size."""
    identity = random_identity(seed)
    out = {}
    for size in SIZES:
        acting = perform(ActorSettings(seed=seed, seconds=1.0, size=size), identity)
        actor = Actor(identity, size)

        def draw(index: int, actor: Actor = actor, acting: Performance = acting) -> object:
            return actor.render(acting.expression[index], acting.poses[index])

        out[f"actor.{size}.1t.frame_ms"] = best(draw)
    return out


def smiling(acting: Performance) -> Performance:
    """The same performance with a broad smile on top."""
    extra = np.zeros_like(acting.expression)
    for name in ("mouthSmile", "cheekSquint"):
        for side in ("Left", "Right"):
            extra[:, acting.names.index(name + side)] = 0.8
    weights = np.clip(acting.expression + extra, 0, 1).astype(np.float32)
    return Performance(**{**vars(acting), "expression": weights})


def depth_picture(frame: ActorFrame) -> Picture:
    """Depth as grey, near = bright; the background is black."""
    near, far = frame.depth[frame.depth > 0].min(), frame.depth.max()
    grey = np.where(frame.depth > 0, 255 - 200 * (frame.depth - near) / (far - near), 0)
    return np.repeat(grey.astype(np.uint8)[..., None], 3, axis=2)


def sheet_row(identity: Identity, seed: int, size: int) -> Picture:
    """One person's row of the sheet."""
    settings = ActorSettings(seed=seed, seconds=SECONDS, size=size)
    acting = perform(settings, identity)
    jaw = acting.expression[:, acting.names.index("jawOpen")]
    chosen = [int(np.argmin(jaw)), int(np.argmax(jaw)), len(jaw) * 3 // 4]
    frames = list(render_performance(identity, acting, settings, chosen))
    (smile,) = render_performance(identity, smiling(acting), settings, [chosen[2]])
    last = frames[-1]
    normals = (127.5 + 127.5 * last.normals).astype(np.uint8)
    normals[last.depth == 0] = 0
    tinted = overlay_labels(last.rgb, last.regions)
    pictures = [f.rgb for f in frames] + [smile.rgb, tinted, normals, depth_picture(last)]
    return np.concatenate(pictures, axis=1)


def main() -> None:
    """Measure, print, draw, write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, nargs="+", default=[7, 10, 15, 6])
    parser.add_argument("--sheet", type=Path, help="where to draw the contact sheet (.jpg)")
    parser.add_argument("--json", type=Path, help="where to write the flat JSON")
    arguments = parser.parse_args()
    values = speeds(arguments.seeds[0])
    for key, value in values.items():
        print(f"{key:32s} {value:8.1f}")
    if arguments.sheet:
        rows = [sheet_row(random_identity(s), s, 224) for s in arguments.seeds]
        sheet = np.concatenate(rows, axis=0)[..., ::-1]
        cv2.imwrite(str(arguments.sheet), sheet, [cv2.IMWRITE_JPEG_QUALITY, 88])
    if arguments.json:
        arguments.json.write_text(json.dumps(values, indent=1, sort_keys=True), encoding="utf-8")


if __name__ == "__main__":
    main()
