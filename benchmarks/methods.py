"""Methods of one subject against each other, on the same frames: prints tables and writes JSON.

    python -m benchmarks.methods --subject results/demo --config config.yaml \
        [--methods emotalk talkinggaussian no_normal no_sync] [--json out.json]

Every method is compared with the first: all metrics of `emotalk compare`, paired by frames. Where
the config says that the subject is the digital actor, the normals of the rendered face are held
against the actor's exact ones too: mean angle over skin, brows and lips of the test frames.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
import yaml
from jaxtyping import Bool, Float

from emotalk_core.actor.performance import ActorSettings
from emotalk_core.actor.truth import render_truth
from emotalk_core.avatar.checkpoint import load_avatar
from emotalk_core.avatar.methods import get_method
from emotalk_core.avatar.model import Compute
from emotalk_core.config import checked_config
from emotalk_core.evaluation.compare import Side, as_text, compare
from emotalk_core.evaluation.intervals import BootstrapSettings, paired_interval
from emotalk_core.media.tables import read_manifest
from emotalk_core.media.video import VideoReader
from emotalk_core.perception.ingest.framing import crop_and_resize
from emotalk_core.perception.normals.stage import decode_normals, encode_normals
from emotalk_core.serving.plans import plan_self
from emotalk_core.serving.stage import Drivers, plan_view, read_drivers
from emotalk_core.types.manifest import Manifest
from emotalk_core.types.regions import region_mask

METHODS = ("emotalk", "talkinggaussian", "no_normal", "no_sync")
JUDGED = ("skin", "brows", "lips")  # eyes and hair have no one surface that a normal map shows
SOLID = 0.5  # alpha of the face from which on a pixel shows it
WHOLE = 255  # of a mask in 8 bits
CPU = torch.device("cpu")


def actor_truth(
    settings: ActorSettings, manifest: Manifest, frames: list[int]
) -> Iterator[tuple[Float[np.ndarray, "H W 3"], Bool[np.ndarray, "H W"]]]:
    """Exact normals (camera axes) and judged pixels of source frames, cropped as the video was."""
    size = manifest.height
    for truth in render_truth(settings, frames):
        normals = crop_and_resize(encode_normals(truth.normals), manifest.crop, size)
        inside = region_mask(truth.regions, JUDGED).astype(np.uint8)
        mask = crop_and_resize(np.repeat(inside[..., None] * WHOLE, 3, -1), manifest.crop, size)
        yield decode_normals(normals), mask[..., 0] == WHOLE


def mean_angle(
    normals: Float[np.ndarray, "H W 3"],
    exact: Float[np.ndarray, "H W 3"],
    seen: Bool[np.ndarray, "H W"],
) -> float:
    """Mean angle in degrees between two maps of unit normals where they are seen."""
    cosines = np.clip((normals[seen] * exact[seen]).sum(axis=-1), -1, 1)
    return float(np.degrees(np.arccos(cosines)).mean())


def drivers_of(subject: Path, extractor: str) -> Drivers:
    """What drives an avatar of this subject in its own clip."""
    return read_drivers(
        read_manifest(subject / "manifest.json"),
        subject / "cameras.json",
        subject / "action_units.csv",
        subject / "valence_arousal.csv",
        subject / "speech.npz",
        [],
        extractor,
    )


def normal_errors(
    subject: Path, method: str, truth: list[tuple[np.ndarray, np.ndarray]]
) -> Float[np.ndarray, " T"]:
    """Mean angle in degrees between rendered and true normals, one number a test frame."""
    avatar, header = load_avatar(
        subject / f"avatars/{method}/avatar.safetensors", Compute("auto", 1), "cpu"
    )
    drivers = drivers_of(subject, header["extractor"])
    errors = []
    emotional = get_method(method).has_emotion
    for plan, (exact, mask) in zip(plan_self(drivers.manifest, drivers.emotion), truth):
        condition, camera = plan_view(drivers, plan, emotional, CPU)
        with torch.no_grad():
            drawn = avatar.face.draw(
                avatar.face.deform(condition), camera, torch.zeros(3), with_normals=True
            )
        normals = drawn.normals.permute(1, 2, 0).double().numpy()
        unit = normals / np.maximum(np.linalg.norm(normals, axis=-1, keepdims=True), 1e-6)
        solid = drawn.alpha.reshape(mask.shape).numpy() > SOLID
        errors.append(mean_angle(unit, exact, mask & solid))
    return np.array(errors)


def perceived_errors(
    subject: Path, truth: list[tuple[np.ndarray, np.ndarray]]
) -> Float[np.ndarray, " T"]:
    """The same of the normals that perception gave and that the normal losses teach."""
    manifest = read_manifest(subject / "manifest.json")
    errors = []
    with VideoReader(subject / "normals.mkv") as video:
        for frame, (exact, mask) in zip(range(manifest.n_train, manifest.n_frames), truth):
            normals = decode_normals(video[frame])
            errors.append(mean_angle(normals, exact, mask & normals.any(axis=-1)))
    return np.array(errors)


def judge_normals(
    subject: Path, settings: ActorSettings, methods: list[str], bootstrap: BootstrapSettings
) -> dict[str, dict[str, float]]:
    """Mean angle of every method and its paired difference from the first method's."""
    manifest = read_manifest(subject / "manifest.json")
    frames = list(range(manifest.n_train, manifest.n_frames))
    truth = list(actor_truth(settings, manifest, frames))
    rows = {"perception": {"degrees": float(perceived_errors(subject, truth).mean())}}
    first: Float[np.ndarray, "T 1"] | None = None
    for method in methods:
        errors = normal_errors(subject, method, truth)[:, None]
        rows[method] = {"degrees": float(errors.mean())}
        if first is None:
            first = errors
            continue
        low, high = paired_interval([(first, errors)], lambda x: float(x.mean()), bootstrap, 0)
        difference = float((errors - first).mean())
        rows[method] |= {"difference": difference, "low": low, "high": high}
    return rows


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--subject", type=Path, required=True, help="results/NAME of a whole run")
    parser.add_argument("--config", type=Path, required=True, help="the config of that run")
    parser.add_argument("--methods", nargs="+", default=list(METHODS))
    parser.add_argument("--json", type=Path, help="where the numbers go")
    args = parser.parse_args()

    config = checked_config(yaml.safe_load(args.config.read_text(encoding="utf-8")))
    bootstrap = BootstrapSettings()
    name = read_manifest(args.subject / "manifest.json").subject
    result: dict[str, object] = {}
    first = args.methods[0]
    for other in args.methods[1:]:
        table = compare(Side(args.subject, first), Side(args.subject, other), bootstrap)
        print(as_text(table, first, other))
        result[other] = table.to_dict("records")
    actor = config["subjects"].get(name, {}).get("actor")
    if actor is not None:
        rows = judge_normals(args.subject, ActorSettings(**actor), args.methods, bootstrap)
        result["normals"] = rows
        print(f"{name}: normals of the rendered face against the exact ones, mean angle")
        for method, row in rows.items():
            added = ""
            if "difference" in row:
                added = f"  {row['difference']:+.2f} ({row['low']:+.2f} .. {row['high']:+.2f})"
            print(f"  {method:<18} {row['degrees']:6.2f} deg{added}")
    if args.json:
        args.json.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
