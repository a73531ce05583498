"""Time of scoring on this machine: prints a table and writes a flat JSON.

    python -m benchmarks.evaluation --json out.json [--frames 500] [--size 512]

A subject is made of frames of the digital actor (a few dozen drawn, each copy with grain of its
own, so that no reading comes from the memory of another); its render is a soft copy. `wall` is what
a person waits, `cpu` is processor time and hardly depends on who else uses the machine.
docs/metrics.md says what was measured.
"""

from __future__ import annotations

import argparse
import json
import resource
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
from jaxtyping import UInt8

from emotalk_core.actor.identity import random_identity
from emotalk_core.actor.performance import ActorSettings, perform
from emotalk_core.actor.renderer import Actor, Rendered
from emotalk_core.evaluation.baselines import test_table
from emotalk_core.evaluation.settings import EvaluationSettings
from emotalk_core.evaluation.stage import score_method
from emotalk_core.media.audio import write_wav
from emotalk_core.media.tables import write_arrays, write_manifest, write_table
from emotalk_core.media.video import write_video
from emotalk_core.perception.tracking.shape import eye_distances, lid_gap, lip_gap
from emotalk_core.types.manifest import Manifest

N_DRAWN = 40  # different faces
N_TRAIN = 40  # frames of the training part: enough to fit the lip ridge
SCENARIO = "self_reconstruction"


def make_subject(folder: Path, n_test: int, size: int) -> dict[str, Path]:
    """Artifacts of a subject with `n_test` test frames; returns their paths by name."""
    total = N_TRAIN + n_test
    settings = ActorSettings(seconds=total / 25, size=size)
    identity = random_identity(settings.seed)
    play = perform(settings, identity)
    actor = Actor(identity, size)
    drawn = [actor.render(play.expression[k], play.poses[k]) for k in range(N_DRAWN)]
    order = [k % N_DRAWN for k in range(total)]
    landmarks = np.stack([drawn[k].landmarks for k in order]).astype(np.float32)
    suffixes = {"manifest": "json", "audio": "wav", "track": "npz", "video": "mkv"}
    suffixes |= {"regions": "mkv", "action_units": "csv", "valence_arousal": "csv"}
    paths = {name: folder / f"{name}.{suffix}" for name, suffix in suffixes.items()}
    manifest = Manifest(
        "actor", "actor.mp4", "0" * 64, size, size, total, len(play.samples), (0, size, 0, size),
        0.0, 1.0, N_TRAIN,
    )  # fmt: skip
    write_manifest(paths["manifest"], manifest)
    write_wav(paths["audio"], play.samples)
    write_video(paths["video"], grainy(drawn, order))
    write_video(paths["regions"], (drawn[k].labels for k in order))
    eyes = eye_distances(landmarks)
    write_arrays(
        paths["track"],
        landmarks=landmarks,
        neutral=actor.render(np.zeros(52, np.float32), play.poses[0]).landmarks_head,
        lip_opening=(lip_gap(landmarks) / eyes).astype(np.float32),
        eye_opening=(lid_gap(landmarks) / eyes).astype(np.float32),
        valid=np.ones(total, bool),
    )
    for name in ("action_units", "valence_arousal"):
        write_table(paths[name], pd.DataFrame({"frame": range(total)}))
    render = folder / f"{SCENARIO}.mkv"
    soft = (cv2.GaussianBlur(f, (0, 0), 0.8) for f in grainy(drawn, order[N_TRAIN:]))
    write_video(render, soft)
    write_table(render.with_suffix(".csv"), test_table(manifest))
    return paths


def grainy(drawn: Sequence[Rendered], order: Sequence[int]) -> Iterator[UInt8[np.ndarray, "S S 3"]]:
    """The drawn pictures in some order, no two alike."""
    for number, k in enumerate(order):
        grain = np.random.default_rng(number).integers(-2, 3, drawn[k].rgb.shape)
        yield np.clip(drawn[k].rgb.astype(np.int16) + grain, 0, 255).astype(np.uint8)


def measure(n_frames: int, size: int, settings: EvaluationSettings) -> dict[str, float]:
    """Seconds of scoring `n_frames` self-reconstructed frames with the packaged evaluators."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        paths = make_subject(folder, n_frames, size)
        render = folder / f"{SCENARIO}.mkv"
        wall, cpu = time.perf_counter(), time.process_time()
        score_method(
            subject="actor",
            method="emotalk",
            **paths,
            renders={SCENARIO: (render, render.with_suffix(".csv"))},
            scores=folder / "scores.csv",
            terms=folder / "scores.npz",
            settings=settings,
            seed=0,
            threads=1,
        )
        seconds = time.perf_counter() - wall
        return {
            "frames": n_frames,
            "size": size,
            "wall_s": seconds,
            "cpu_s": time.process_time() - cpu,
            "frames_per_s": n_frames / seconds,
            "peak_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        }


def main() -> None:
    """Parse arguments, measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--frames", type=int, default=500)
    parser.add_argument("--size", type=int, default=512, help="px")
    parser.add_argument("--h264-crf", type=int, default=23, help="0: without that scenario")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    settings = EvaluationSettings(h264_crf=arguments.h264_crf)
    result = measure(arguments.frames, arguments.size, settings)
    for key, value in result.items():
        print(f"{key:<14} {value:10.1f}")
    if arguments.json is not None:
        arguments.json.write_text(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
