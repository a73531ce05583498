"""Our artifacts of a subject in; a TalkingGaussian or ER-NeRF subject folder out."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float32, UInt8

from emotalk_core.errors import InputError
from emotalk_core.media.atomic import atomic_path, write_text
from emotalk_core.media.progress import track
from emotalk_core.media.tables import (
    check_length,
    read_arrays,
    read_cameras,
    read_manifest,
    read_table,
    write_table,
)
from emotalk_core.media.video import VideoReader, expect_frames
from emotalk_core.perception.action_units.packaged import ACTION_UNITS
from emotalk_core.perception.exchange import layout
from emotalk_core.perception.exchange.importing import RULES
from emotalk_core.perception.exchange.labels import colours_of
from emotalk_core.perception.exchange.poses import write_transforms
from emotalk_core.speech.features.base import WINDOW
from emotalk_core.speech.features.registry import ALL_EXTRACTORS
from emotalk_core.types.manifest import FPS, Manifest
from emotalk_core.types.names import check_subject_name
from emotalk_core.types.regions import LABEL

LOG = logging.getLogger(__name__)

NEEDED = ("manifest.json", "video.mkv", "audio.wav")
# The 68 points of the layout's .lms files among the 478 of FaceMesh: jaw from the image's left to
# its right, brows, nose, eyes, outer and inner lips.
POINTS_68 = (
    *(162, 234, 93, 58, 172, 136, 149, 148, 152, 377, 378, 365, 397, 288, 323, 454, 389),
    *(71, 63, 105, 66, 107, 336, 296, 334, 293, 301),
    *(168, 197, 5, 4, 75, 97, 2, 326, 305),
    *(33, 160, 158, 133, 153, 144, 362, 385, 387, 263, 373, 380),
    *(61, 39, 37, 0, 267, 269, 291, 405, 314, 17, 84, 181),
    *(78, 82, 13, 312, 308, 317, 14, 87),
)


def export_subject(*, subject: str, folder: Path, results: Path) -> tuple[str, ...]:
    """Write what the layout holds of a subject (docs/exchange.md).

    Args:
        subject: name of the results folder.
        folder: made; must not hold anything yet.
        results: folder of all results.

    Returns:
        Artifacts that are not there yet, so that their part of the layout is missing.

    Raises:
        InputError: the clip is not there, or `folder` is in use.
        ArtifactError: an artifact is broken or has another number of frames.
    """
    source, folder = results / check_subject_name(subject), folder.resolve()
    absent = [name for name in NEEDED if not (source / name).is_file()]
    if absent:
        raise InputError(f"{source / absent[0]}: missing; run snakemake {source / NEEDED[0]} first")
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise InputError(f"{folder}: is there already; choose another folder or empty it")
    part = folder.with_name(f".{folder.name}.part")  # renamed when whole
    shutil.rmtree(part, ignore_errors=True)
    here = {name for name in RULES if (source / name).is_file()}
    try:
        _export_all(source, part, here)
        _copy(source / "video.mkv", part / f"{folder.name}.mkv")
        part.rename(folder)
    finally:
        shutil.rmtree(part, ignore_errors=True)
    ours = {"alpha.mkv", "normals.mkv", "tracked_cameras.json", "valence_arousal.csv"}
    return tuple(name for name in RULES if name not in here | ours)


def _export_all(source: Path, folder: Path, here: set[str]) -> None:
    """Everything that is in `here` and that the layout holds."""
    facts = read_manifest(source / "manifest.json")
    _export_frames(source, folder, facts)
    _copy(source / "audio.wav", folder / layout.SOUND)
    if "cameras.json" in here:
        cameras = read_cameras(source / "cameras.json")
        check_length("cameras.json", len(cameras), facts.n_frames, "refine_cameras")
        write_transforms(folder, cameras, facts.n_train)
    if "regions.mkv" in here:
        _export_regions(source / "regions.mkv", folder, facts.n_frames)
    if {"torso.mkv", "background.png"} <= here:
        _export_torso(source, folder, facts.n_frames)
    if "action_units.csv" in here:
        _export_action_units(source / "action_units.csv", folder, facts.n_frames)
    if "track.npz" in here:
        _export_landmarks(source / "track.npz", folder, facts.n_frames)
    if "speech.npz" in here:
        _export_speech(source / "speech.npz", folder, facts.n_frames)


def _copy(source: Path, target: Path) -> None:
    with atomic_path(target) as temporary:
        shutil.copyfile(source, temporary)


def _frames(path: Path, n_frames: int) -> Iterator[tuple[int, UInt8[np.ndarray, "..."]]]:
    """Numbered frames of an artifact with progress."""
    expect_frames(path, n_frames, RULES[path.name])
    yield from enumerate(track(VideoReader(path), f"export: {path.name}", n_frames, LOG))


def _export_frames(source: Path, folder: Path, facts: Manifest) -> None:
    """ori_imgs, and gt_imgs: the person over the clean plate where both are known."""
    needs = (source / "regions.mkv", source / "background.png")
    plate, labels = np.zeros(0, np.uint8), None
    if all(path.is_file() for path in needs):
        expect_frames(needs[0], facts.n_frames, "segment_regions")
        labels = iter(VideoReader(needs[0]))
        plate = layout.read_picture(needs[1], (facts.height, facts.width))[..., :3]
    for index, frame in _frames(source / "video.mkv", facts.n_frames):
        layout.write_picture(folder / layout.FRAMES / f"{index}.jpg", frame)
        if labels is not None:
            person = next(labels) != LABEL["background"]
            frame = np.where(person[..., None], frame, plate)
        layout.write_picture(folder / layout.SHOWN_FRAMES / f"{index}.jpg", frame)


def _export_regions(path: Path, folder: Path, n_frames: int) -> None:
    """parsing/{i}.png and teeth_mask/{i}.npy."""
    for index, labels in _frames(path, n_frames):
        layout.write_picture(folder / layout.PARSING / f"{index}.png", colours_of(labels))
        _write_mask(folder / layout.TEETH / f"{index}.npy", labels == LABEL["teeth"])


def _write_mask(path: Path, mask: Bool[np.ndarray, "H W"]) -> None:
    with atomic_path(path) as temporary:
        np.save(temporary, mask, allow_pickle=False)


def _export_torso(source: Path, folder: Path, n_frames: int) -> None:
    """bc.jpg and torso_imgs/{i}.png: opaque where the layer differs from the clean plate."""
    plate = layout.read_picture(source / "background.png")[..., :3]
    layout.write_picture(folder / layout.PLATE, plate)
    for index, layer in _frames(source / "torso.mkv", n_frames):
        alpha = 255 * (layer != plate).any(axis=-1, keepdims=True).astype(np.uint8)
        picture = np.concatenate([layer, alpha], axis=-1)
        layout.write_picture(folder / layout.TORSO / f"{index}.png", picture)


def _export_action_units(path: Path, folder: Path, n_frames: int) -> None:
    """au.csv with OpenFace's columns, a space before each name but the first, as it writes them."""
    table = read_table(path, ("frame", "valid", *ACTION_UNITS))
    check_length(path.name, len(table), n_frames, RULES[path.name])
    valid = table["valid"].to_numpy(dtype=np.int64)
    columns = {
        "frame": np.arange(n_frames) + 1,
        " face_id": np.zeros(n_frames, np.int64),
        " timestamp": np.arange(n_frames) / FPS,
        " confidence": valid.astype(np.float64),
        " success": valid,
        **{f" {unit}_r": table[unit].to_numpy(dtype=np.float64) for unit in ACTION_UNITS},
    }
    write_table(folder / layout.ACTION_UNITS, pd.DataFrame(columns))


def _export_landmarks(path: Path, folder: Path, n_frames: int) -> None:
    """ori_imgs/{i}.lms: x and y of 68 points a line, px."""
    landmarks = read_arrays(path, ("landmarks",))["landmarks"]
    check_length(path.name, len(landmarks), n_frames, RULES[path.name])
    for index, points in enumerate(landmarks[:, list(POINTS_68)].tolist()):
        lines = [f"{x:.3f} {y:.3f}\n" for x, y in points]
        write_text(folder / layout.FRAMES / f"{index}.lms", "".join(lines))


def _export_speech(path: Path, folder: Path, n_frames: int) -> None:
    """The features' .npy under the name and in the shape that their extractor has there."""
    arrays = read_arrays(path, ("features", "extractor"))
    features: Float32[np.ndarray, "T 16 D"] = arrays["features"]
    check_length(path.name, len(features), n_frames, RULES[path.name])
    identity = str(arrays["extractor"])
    names = [n for n in ALL_EXTRACTORS.names() if ALL_EXTRACTORS.load(n).id == identity]
    if not names:
        raise InputError(f"{path}: extractor={identity}: unknown to this version; extract again")
    middle = WINDOW // 2
    if names[0] == "hubert":
        features = features[:, middle : middle + 2]  # the two vectors of the frame itself
    elif names[0] == "ave":
        features = features[:, middle]
    target = folder / layout.features_name(names[0])
    with atomic_path(target) as temporary:
        np.save(temporary, features, allow_pickle=False)
