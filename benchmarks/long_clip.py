"""Memory and time per step of training on a short clip and on the same clip made long.

    python -m benchmarks.long_clip --subject results/obama --stage face --frames 6500 --size 512

The subject's finished artifacts are enlarged to `--size` px and repeated to `--frames` frames (a
scratch folder, removed at the end), then a stage trains `--steps` steps at the numbers of
presets/paper.yaml, once on each length, each in a process of its own.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest.mock import patch

import av
import cv2
import numpy as np
import pandas as pd
import yaml

from emotalk_core.media.atomic import read_json, write_json
from emotalk_core.media.tables import (
    read_arrays,
    read_cameras,
    write_arrays,
    write_cameras,
    write_table,
)
from emotalk_core.media.video import VideoReader, VideoWriter
from emotalk_core.training.loop import Loop
from emotalk_core.training.settings import TrainingSettings
from emotalk_core.training.stage import train_stage
from emotalk_core.types.camera import CameraPath

VIDEOS = {
    "video": cv2.INTER_CUBIC,
    "torso": cv2.INTER_CUBIC,
    "normals": cv2.INTER_CUBIC,
    "alpha": cv2.INTER_CUBIC,
    "regions": cv2.INTER_NEAREST,  # labels
}
TABLES = ("action_units", "valence_arousal")
CANONICAL_SHARE, LANDMARK_SHARE = 0.25, 0.25  # of the steps; the motion phase takes the rest


def enlarge(source: Path, target: Path, size: int, interpolation: int) -> None:
    """The same video, `size` px wide."""
    with VideoReader(source) as frames, VideoWriter(target) as writer:
        for k in range(len(frames)):
            writer.write(cv2.resize(frames[k], (size, size), interpolation=interpolation))


def repeat_video(source: Path, target: Path, frames: int) -> None:
    """The same coded pictures again and again: no picture is coded a second time."""
    with av.open(str(source)) as container:
        stream = container.streams.video[0]
        packets = [bytes(p) for p in container.demux(stream) if p.size]
        with av.open(str(target), "w", format="matroska") as out:
            copy = out.add_stream_from_template(stream)
            for k in range(frames):
                packet = av.Packet(packets[k % len(packets)])
                packet.stream, packet.is_keyframe = copy, True
                packet.time_base = 1 / stream.average_rate
                packet.pts = packet.dts = k
                packet.duration = 1
                out.mux(packet)


def repeated(values: np.ndarray, frames: int) -> np.ndarray:
    """Rows again and again."""
    return values[np.arange(frames) % len(values)]


def long_clip(subject: Path, folder: Path, frames: int, size: int, pictures: Path) -> None:
    """Artifacts of a clip of `frames` frames at `size` px; `pictures` holds the enlarged videos."""
    facts = read_json(subject / "manifest.json")
    n, scale = facts["n_frames"], size / facts["width"]
    folder.mkdir()
    for name in VIDEOS:
        repeat_video(pictures / f"{name}.mkv", folder / f"{name}.mkv", frames)
    for name in ("track", "speech"):
        with np.load(subject / f"{name}.npz") as stored:
            arrays = read_arrays(subject / f"{name}.npz", tuple(stored))
        longer = {k: repeated(v, frames) if v.shape[:1] == (n,) else v for k, v in arrays.items()}
        if "landmarks" in longer:
            longer["landmarks"] = longer["landmarks"] * np.float32(scale)
        write_arrays(folder / f"{name}.npz", **longer)
    path = read_cameras(subject / "cameras.json")
    intrinsics = repeated(path.Ks, frames) * np.array([[scale], [scale], [1.0]])
    viewmats = repeated(path.viewmats, frames)
    write_cameras(folder / "cameras.json", CameraPath(size, size, path.fps, intrinsics, viewmats))
    for name in TABLES:
        table = pd.read_csv(subject / f"{name}.csv")
        longer_table = table.iloc[np.arange(frames) % n].assign(frame=np.arange(frames))
        write_table(folder / f"{name}.csv", longer_table)
    write_json(
        folder / "manifest.json",
        facts
        | {"n_frames": frames, "n_train": round(frames * 10 / 11), "width": size, "height": size}
        | {"n_samples": frames * facts["sample_rate"] // facts["fps"]},
    )


def paper_settings(stage: str, steps: int) -> TrainingSettings:
    """Numbers of the `paper` preset, with the first steps of each phase only."""
    block: dict[str, Any] = {}
    for file in ("config.yaml", "presets/paper.yaml"):
        block |= yaml.safe_load(Path(file).read_text(encoding="utf-8"))["training"][stage]
    early = round(CANONICAL_SHARE * steps), round(LANDMARK_SHARE * steps)
    return replace(
        TrainingSettings.from_dict(block),
        canonical_steps=early[0],
        landmark_steps=early[1],
        steps=steps - sum(early),
        lambda_sync=0.0,  # the sync loss reads sounds, which are not repeated here
    )


def train(folder: Path, stage: str, steps: int, threads: int) -> dict[str, float]:
    """Peak memory, GiB, and seconds a step; the preparation is told apart."""
    seconds: list[float] = []

    def timed(walk: Callable[[Loop], None]) -> Callable[[Loop], None]:
        def run(loop: Loop) -> None:
            begin = time.perf_counter()
            walk(loop)
            seconds.append(time.perf_counter() - begin)

        return run

    begin = time.perf_counter()
    with patch.object(Loop, "walk", timed(Loop.walk)):
        train_stage(
            stage=stage,
            method="emotalk",
            **{name: folder / f"{name}.mkv" for name in VIDEOS},
            **{name: folder / f"{name}.csv" for name in TABLES},
            manifest=folder / "manifest.json",
            track=folder / "track.npz",
            cameras=folder / "cameras.json",
            speech=folder / "speech.npz",
            bank=None,
            previous={},
            output=folder / f"{stage}.safetensors",
            state=folder / f"{stage}.state.safetensors",
            settings=paper_settings(stage, steps),
            seed=0,
            threads=threads,
            device="cpu",
        )
    total = time.perf_counter() - begin
    return {
        "peak_gib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20,
        "step_seconds": seconds[0] / steps,
        "prepare_seconds": total - seconds[0],
    }


def main() -> None:
    """Make the clips, train on each in a fresh process, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--subject", type=Path, required=True, help="folder of a finished subject")
    parser.add_argument("--stage", choices=("mouth", "face"), default="face")
    parser.add_argument("--frames", type=int, default=6500)
    parser.add_argument("--size", type=int, default=512, help="px")
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--clip", type=Path, help="train on this folder and print JSON")
    arguments = parser.parse_args()
    if arguments.clip is not None:
        numbers = train(arguments.clip, arguments.stage, arguments.steps, arguments.threads)
        print(json.dumps(numbers))
        return
    with tempfile.TemporaryDirectory() as scratch:
        pictures = Path(scratch) / "pictures"
        pictures.mkdir()
        for name, interpolation in VIDEOS.items():
            source = arguments.subject / f"{name}.mkv"
            enlarge(source, pictures / f"{name}.mkv", arguments.size, interpolation)
        short = read_json(arguments.subject / "manifest.json")["n_frames"]
        for frames in (short, arguments.frames):
            clip = Path(scratch) / f"clip_{frames}"
            long_clip(arguments.subject, clip, frames, arguments.size, pictures)
            done = subprocess.run(
                [sys.executable, "-m", "benchmarks.long_clip", *sys.argv[1:], "--clip", str(clip)],
                capture_output=True,
                text=True,
                check=True,
            )
            numbers = json.loads(done.stdout.splitlines()[-1])
            print(
                f"{frames:6d} frames: peak {numbers['peak_gib']:.2f} GiB, "
                f"{1e3 * numbers['step_seconds']:.0f} ms a step, "
                f"{numbers['prepare_seconds']:.0f} s before the first"
            )


if __name__ == "__main__":
    main()
