"""Processor and wall time a frame of every perception stage, and the memory it takes.

    python -m benchmarks.perception --video data/obama.mp4 [--size 512] [--keep FOLDER] [--json F]

The clip is ingested once (kept in `--keep`) and repeated or cut to two lengths; every stage walks
over both, each in a process of its own. The difference between the lengths gives the time a frame;
what is left of the shorter walk is the start-up: imports, networks, what is learned of a clip.
Settings are those of config.yaml. Ten frames a second on two cores are 200 ms of processor time.
"""

from __future__ import annotations

import argparse
import contextlib
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

import yaml

from benchmarks.long_clip import repeat_video
from emotalk_core.media.tables import read_manifest, write_manifest
from emotalk_core.perception.ingest.timing import sample_count
from emotalk_core.types.manifest import train_frames

SHORT = 50  # frames: as many as teach the plate, so both lengths learn alike
STAGES = ("tracking", "regions", "torso", "normals", "action_units", "emotion")
Row = dict[str, float]


def block(name: str) -> dict[str, Any]:
    """A block of config.yaml."""
    config = yaml.safe_load(Path("config.yaml").read_text(encoding="utf-8"))
    return dict(config[name])


def ingest(source: Path, folder: Path, size: int) -> None:
    """The clip at this size, unless the folder has it."""
    from emotalk_core.perception.ingest.stage import IngestSettings, ingest_video

    if (folder / "manifest.json").exists():
        return
    folder.mkdir(parents=True, exist_ok=True)
    ingest_video(
        source=source,
        subject=folder.name,
        manifest=folder / "manifest.json",
        video=folder / "video.mkv",
        audio=folder / "audio.wav",
        settings=IngestSettings(**block("ingest") | {"size": size}),
        seed=0,
        threads=1,
    )


def shortened(clip: Path, folder: Path, frames: int) -> None:
    """Manifest and video of that many frames: the first ones, again and again if there are less."""
    folder.mkdir(parents=True, exist_ok=True)
    repeat_video(clip / "video.mkv", folder / "video.mkv", frames)
    facts = read_manifest(clip / "manifest.json")
    facts = replace(
        facts, n_frames=frames, n_train=train_frames(frames), n_samples=sample_count(frames)
    )
    write_manifest(folder / "manifest.json", facts)


def stage_call(stage: str, folder: Path, threads: int) -> Callable[[], None]:
    """The call of a stage on a folder; its modules are imported here, before the clock runs."""
    from emotalk_core.perception.action_units.stage import ActionUnitSettings, measure_action_units
    from emotalk_core.perception.emotion.stage import EmotionReaderSettings, read_emotion
    from emotalk_core.perception.normals.stage import NormalSettings, estimate_normals
    from emotalk_core.perception.regions.stage import RegionSettings, segment_regions
    from emotalk_core.perception.torso.stage import TorsoSettings, separate_torso
    from emotalk_core.perception.tracking.stage import TrackingSettings, track_head

    clip = {"manifest": folder / "manifest.json", "video": folder / "video.mkv"}
    track, cameras = folder / "track.npz", folder / "cameras.json"
    masks = {"regions": folder / "regions.mkv", "alpha": folder / "alpha.mkv"}

    def run() -> None:
        if stage == "tracking":
            tracking = TrackingSettings(**block("tracking"))
            track_head(**clip, track=track, cameras=cameras, settings=tracking, threads=threads)
        elif stage == "regions":
            regions = RegionSettings(**block("regions"))
            segment_regions(**clip, track=track, **masks, settings=regions, threads=threads)
        elif stage == "torso":
            separate_torso(
                **clip,
                track=track,
                **masks,
                torso=folder / "torso.mkv",
                background=folder / "background.png",
                settings=TorsoSettings(**block("torso")),
                threads=threads,
            )
        elif stage == "normals":
            estimate_normals(
                **clip,
                track=track,
                cameras=cameras,
                regions=masks["regions"],
                normals=folder / "normals.mkv",
                settings=NormalSettings(**block("normals")),
                threads=threads,
            )
        elif stage == "action_units":
            units = ActionUnitSettings(**block("action_units"))
            table = folder / "action_units.csv"
            measure_action_units(**clip, track=track, action_units=table, settings=units)
        else:
            read_emotion(
                **clip,
                track=track,
                valence_arousal=folder / "valence_arousal.csv",
                settings=EmotionReaderSettings(**block("emotion_reader")),
                threads=threads,
            )

    return run


def processor_seconds() -> float:
    """User and system time of this process so far."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def timed(stage: str, folder: Path, threads: int) -> Row:
    """Processor and wall seconds of a stage with all its start-up, and the process's peak, GiB."""
    wall = time.perf_counter()
    stage_call(stage, folder, threads)()
    return {
        "cpu": processor_seconds(),
        "wall": time.perf_counter() - wall,
        "peak_gib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20,
    }


def in_own_process(stage: str, folder: Path, threads: int) -> Row:
    """`timed` in a fresh interpreter."""
    command = [sys.executable, "-m", "benchmarks.perception", "--stage", stage]
    done = subprocess.run(
        [*command, "--clip", str(folder), "--threads", str(threads)],
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    row: Row = json.loads(done.stdout.splitlines()[-1])
    return row


def measure(keep: Path, stages: list[str], lengths: tuple[int, int], threads: int) -> list[Row]:
    """One row a stage: ms a frame, seconds of start-up, peaks at both lengths."""
    rows = []
    for stage in stages:
        short, long = (in_own_process(stage, keep / f"{n}_frames", threads) for n in lengths)
        apart = lengths[1] - lengths[0]
        row = {f"{k}_ms": 1e3 * (long[k] - short[k]) / apart for k in ("cpu", "wall")}
        row["start_seconds"] = short["cpu"] - lengths[0] * row["cpu_ms"] / 1e3
        row |= {"peak_gib_short": short["peak_gib"], "peak_gib": long["peak_gib"]}
        rows.append(row)
        print(
            f"{stage:14s} {row['cpu_ms']:7.1f} {row['wall_ms']:7.1f} {row['start_seconds']:9.1f} "
            f"{row['peak_gib_short']:7.2f} {row['peak_gib']:7.2f}",
            flush=True,
        )
    return rows


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--video", type=Path, help="any clip that ingest takes")
    parser.add_argument("--size", type=int, default=512, help="px")
    parser.add_argument("--frames", type=int, default=150, help="of the longer walk")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--stages", nargs="+", choices=STAGES, default=list(STAGES))
    parser.add_argument("--keep", type=Path, help="folder for the ingested clip and all outputs")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--stage", choices=STAGES, help="walk once over --clip and print JSON")
    parser.add_argument("--clip", type=Path)
    options = parser.parse_args()
    if options.stage is not None:
        print(json.dumps(timed(options.stage, options.clip, options.threads)))
        return
    lengths = (SHORT, options.frames)
    with contextlib.ExitStack() as stack:
        keep = options.keep or Path(stack.enter_context(tempfile.TemporaryDirectory()))
        ingest(options.video, keep / "clip", options.size)
        for frames in lengths:
            shortened(keep / "clip", keep / f"{frames}_frames", frames)
        print(f"{options.size} px, {lengths[0]} and {lengths[1]} frames, {options.threads} thread")
        print(f"{'stage':14s} cpu ms wall ms  start-up s  GiB at both lengths")
        rows = measure(keep, options.stages, lengths, options.threads)
    result = {f"{s}.{k}": v for s, row in zip(options.stages, rows) for k, v in row.items()}
    for kind in ("cpu_ms", "wall_ms"):
        result[f"all.{kind}"] = sum(row[kind] for row in rows)
    print(f"{'all':14s} {result['all.cpu_ms']:7.1f} {result['all.wall_ms']:7.1f}")
    if options.json is not None:
        options.json.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
