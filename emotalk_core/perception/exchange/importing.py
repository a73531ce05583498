"""A TalkingGaussian or ER-NeRF subject folder in; our artifacts of the subject out."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import av
import numpy as np
import pandas as pd
from jaxtyping import Float32, UInt8

import emotalk_core
from emotalk_core.errors import ConfigError, InputError
from emotalk_core.media.atomic import sha256_file, together
from emotalk_core.media.audio import read_audio, write_wav
from emotalk_core.media.progress import track
from emotalk_core.media.tables import read_arrays, write_cameras, write_manifest, write_table
from emotalk_core.media.video import VideoReader, VideoWriter, write_video
from emotalk_core.perception.action_units.openface import read_openface
from emotalk_core.perception.action_units.packaged import ACTION_UNITS
from emotalk_core.perception.exchange import layout
from emotalk_core.perception.exchange.labels import labels_of
from emotalk_core.perception.exchange.poses import read_transforms
from emotalk_core.perception.ingest.sound import shift_and_fit
from emotalk_core.perception.ingest.timing import sample_count
from emotalk_core.speech.features.registry import ALL_EXTRACTORS
from emotalk_core.speech.stage import SpeechSettings, extract_features
from emotalk_core.types.manifest import FPS, SAMPLE_RATE, Manifest, train_frames
from emotalk_core.types.names import check_subject_name
from emotalk_core.types.regions import HEAD, region_mask

LOG = logging.getLogger(__name__)

# Artifacts of the layout, each with the rule that makes it where the folder does not hold it.
RULES = {
    "manifest.json": "ingest",
    "video.mkv": "ingest",
    "audio.wav": "ingest",
    "track.npz": "track_head",
    "tracked_cameras.json": "track_head",
    "cameras.json": "refine_cameras",
    "regions.mkv": "segment_regions",
    "alpha.mkv": "segment_regions",
    "normals.mkv": "estimate_normals",
    "torso.mkv": "separate_torso",
    "background.png": "separate_torso",
    "action_units.csv": "read_face",
    "valence_arousal.csv": "read_face",
    "speech.npz": "extract_speech_features",
}
MAX_SOUND_DIFFERENCE = 0.25  # seconds by which sound and pictures may differ in length
SAME_PICTURE = 4.0  # mean difference in steps of 255 between a frame and its JPEG; others are > 10


@dataclass(frozen=True)
class ImportReport:
    """What an import did.

    Attributes:
        target: the subject's results folder.
        source: the file whose age tells the pipeline whether the import is up to date.
        written: names of the artifacts, in the order of writing.
        missing: name of an artifact -> why it was not imported.
    """

    target: Path
    source: Path
    written: tuple[str, ...]
    missing: dict[str, str]

    def text(self, subject: str) -> str:
        """Lines for people: written, missing with the rules that make them, and how to go on."""
        lines = [f"written to {self.target}: {', '.join(self.written)}", "not in the folder:"]
        lines += [
            f"  {name:<22} {reason + '; ' if reason else ''}rule {RULES[name]} makes it"
            for name, reason in self.missing.items()
        ]
        lines += [
            f"add under `subjects:` in config.yaml:  {subject}: {{video: {self.source}}}",
            "go on as docs/exchange.md says: track the head, then keep these files by --touch",
        ]
        return "\n".join(lines) + "\n"


def import_subject(
    *, folder: Path, subject: str, results: Path, extractor: str = ""
) -> ImportReport:
    """Write the artifacts that a subject folder holds (docs/exchange.md).

    Args:
        folder: with ori_imgs/ (or gt_imgs/) and aud.wav at least.
        subject: name of the results folder.
        results: folder of all results.
        extractor: whose features are taken; empty: the first of ours whose file is there.

    Raises:
        InputError: a file is broken or missing, counts or sizes disagree; names the file.
        ConfigError: unknown extractor.
    """
    check_subject_name(subject)
    target = results / subject
    old = [name for name in RULES if (target / name).exists()]
    if old:
        raise InputError(f"{target / old[0]}: is there already; choose another name or delete it")
    if extractor and extractor not in ALL_EXTRACTORS.names():
        raise ConfigError(
            f"extractor={extractor}: unknown; known: {', '.join(ALL_EXTRACTORS.names())}"
        )
    frames, shape = _pictures(folder)
    cameras, n_train, reason = read_transforms(folder, len(frames), shape)
    missing: dict[str, str] = {}
    with together(*(target / name for name in RULES)):
        _write_clip(folder, target, subject, frames, shape, n_train)
        if cameras is None:
            missing["cameras.json"] = reason
        else:
            write_cameras(target / "cameras.json", cameras)
        missing |= _write_regions(folder, target, len(frames), shape)
        missing |= _write_torso(folder, target, len(frames), shape)
        missing |= _write_action_units(folder, target, len(frames))
        missing |= _write_speech(folder, target, extractor)
    written = tuple(name for name in RULES if (target / name).exists())
    reasons = {name: missing.get(name, "") for name in RULES if name not in written}
    for name, why in missing.items():
        LOG.warning("%s: not imported: %s", name, why)
    return ImportReport(target, layout.source_file(folder), written, reasons)


def _pictures(folder: Path) -> tuple[list[Path], tuple[int, int]]:
    """The frames' files and their (height, width)."""
    if not (folder / layout.SOUND).is_file():
        raise InputError(f"{folder / layout.SOUND}: missing; give a subject folder with its sound")
    for name in (layout.FRAMES, layout.SHOWN_FRAMES):
        if (folder / name).is_dir():
            frames = layout.numbered_files(folder / name, layout.PICTURES)
            height, width = layout.read_picture(frames[0]).shape[:2]
            LOG.info("import: %d frames of %dx%d px from %s", len(frames), width, height, name)
            return frames, (height, width)
    raise InputError(f"{folder / layout.FRAMES}: missing; give a folder with the frames of a clip")


def _sound(path: Path, n_frames: int) -> Float32[np.ndarray, " S"]:
    """Samples of the folder's sound, which must be about as long as its frames."""
    sound = read_audio(path)
    if abs(len(sound) / SAMPLE_RATE - n_frames / FPS) > MAX_SOUND_DIFFERENCE:
        raise InputError(
            f"{path}: {len(sound) / SAMPLE_RATE:.2f} s long, the folder has {n_frames} frames = "
            f"{n_frames / FPS:.2f} s; give the sound of these frames"
        )
    return sound


def _write_clip(
    folder: Path,
    target: Path,
    subject: str,
    frames: list[Path],
    shape: tuple[int, int],
    n_train: int | None,
) -> None:
    """video.mkv, audio.wav and manifest.json."""
    sound = _sound(folder / layout.SOUND, len(frames))
    lossless = _lossless_copy(folder, frames, shape)
    pictures = _rgb(frames, shape) if lossless is None else iter(VideoReader(lossless))
    write_video(target / "video.mkv", track(pictures, "import: frames", len(frames), LOG))
    fitted = shift_and_fit(sound, 0.0, sample_count(len(frames)))
    write_wav(target / "audio.wav", fitted)
    source = layout.source_file(folder)
    facts = Manifest(
        subject=subject,
        source_name=source.name,
        source_sha256=sha256_file(source),
        width=shape[1],
        height=shape[0],
        n_frames=len(frames),
        n_samples=len(fitted),
        crop=(0, shape[0], 0, shape[1]),
        av_offset_frames=0.0,
        av_offset_confidence=0.0,  # taken as it is, not measured
        n_train=n_train or train_frames(len(frames)),
        provenance={
            "tool": f"emotalk {emotalk_core.__version__}",
            "imported_from": "TalkingGaussian/ER-NeRF subject folder",
            "frames": frames[0].parent.name if lossless is None else lossless.name,
        },
    )
    write_manifest(target / "manifest.json", facts)


def _rgb(files: Iterable[Path], shape: tuple[int, int]) -> Iterator[UInt8[np.ndarray, "H W 3"]]:
    """Pictures in order, without alpha."""
    for path in files:
        yield np.ascontiguousarray(layout.read_picture(path, shape)[..., :3])


def _lossless_copy(folder: Path, frames: list[Path], shape: tuple[int, int]) -> Path | None:
    """The lossless video that our export leaves beside the JPEG files, if it shows the same."""
    path = layout.source_file(folder)
    if path.suffix != ".mkv":
        return None
    try:
        with av.open(str(path)) as container:
            if container.streams.video[0].codec_context.name != "ffv1":
                return None
    except (av.FFmpegError, IndexError) as error:
        raise InputError(f"{path}: not readable as video ({error}); remove it") from error
    with VideoReader(path) as reader:
        if len(reader) != len(frames) or (reader.height, reader.width) != shape:
            return None
        for index in sorted({0, len(frames) // 2, len(frames) - 1}):
            picture = layout.read_picture(frames[index], shape)[..., :3].astype(int)
            if np.abs(picture - reader[index]).mean() > SAME_PICTURE:
                LOG.warning("%s: shows other frames than %s; left out", path, frames[index])
                return None
    return path


def _write_regions(
    folder: Path, target: Path, n_frames: int, shape: tuple[int, int]
) -> dict[str, str]:
    """regions.mkv and a hard alpha.mkv; or why not."""
    if not (folder / layout.PARSING).is_dir():
        reason = f"no {layout.PARSING}/"
        return {"regions.mkv": reason, "alpha.mkv": reason}
    pictures = layout.numbered_files(folder / layout.PARSING, (".png",), n_frames)
    masks: list[Path] = []
    if (folder / layout.TEETH).is_dir():
        masks = layout.numbered_files(folder / layout.TEETH, (".npy",), n_frames)
    else:
        LOG.warning("import: no %s/: teeth stay part of the inner mouth", layout.TEETH)
    with (
        VideoWriter(target / "regions.mkv") as regions,
        VideoWriter(target / "alpha.mkv") as alpha,
    ):
        for index, path in enumerate(track(pictures, "import: regions", n_frames, LOG)):
            teeth = layout.read_mask(masks[index], shape) if masks else None
            labels = labels_of(layout.read_picture(path, shape)[..., :3], teeth, path)
            regions.write(labels)
            alpha.write(region_mask(labels, HEAD).astype(np.uint8) * 255)
    return {}


def _write_torso(
    folder: Path, target: Path, n_frames: int, shape: tuple[int, int]
) -> dict[str, str]:
    """torso.mkv (the RGBA torso over the clean plate) and background.png; or why not."""
    absent = [n for n in (layout.TORSO, layout.PLATE) if not (folder / n).exists()]
    if absent:
        return dict.fromkeys(("torso.mkv", "background.png"), f"no {' and no '.join(absent)}")
    files = layout.numbered_files(folder / layout.TORSO, (".png",), n_frames)
    plate = layout.read_picture(folder / layout.PLATE, shape)[..., :3]
    with VideoWriter(target / "torso.mkv") as writer:
        for path in track(files, "import: torso", n_frames, LOG):
            picture = layout.read_picture(path, shape)
            if picture.shape[2] != 4:
                raise InputError(f"{path}: has no alpha channel; make the torso pictures again")
            share = picture[..., 3:] / 255.0
            mixed = picture[..., :3] * share + plate * (1 - share)
            writer.write(np.round(mixed).astype(np.uint8))
    layout.write_picture(target / "background.png", plate)
    return {}


def _write_action_units(folder: Path, target: Path, n_frames: int) -> dict[str, str]:
    """action_units.csv by the OpenFace adapter; or why not."""
    path = folder / layout.ACTION_UNITS
    if not path.is_file():
        return {"action_units.csv": f"no {layout.ACTION_UNITS}"}
    values, valid = read_openface(path, n_frames)
    table = pd.DataFrame(values, columns=list(ACTION_UNITS))
    table.insert(0, "valid", valid.astype(int))
    table.insert(0, "frame", np.arange(n_frames))
    write_table(target / "action_units.csv", table)
    return {}


def _write_speech(folder: Path, target: Path, extractor: str) -> dict[str, str]:
    """speech.npz from saved features; or why not."""
    wanted = [extractor] if extractor else [*layout.FEATURES, *ALL_EXTRACTORS.names()]
    files = {name: folder / layout.features_name(name) for name in wanted}
    unnamed = folder / layout.UNNAMED_FEATURES
    found = [name for name in wanted if files[name].is_file()]
    if not found and unnamed.is_file():
        found = [extractor or "deepspeech"]
        files[found[0]] = unnamed
    if not found and extractor:
        raise InputError(f"{files[extractor]}: missing; give another --extractor, or none")
    if not found:
        return {"speech.npz": "no features of a known extractor (aud_ds.npy, aud_eo.npy, ...)"}
    name = found[0]
    extract_features(
        manifest=target / "manifest.json",
        audio=target / "audio.wav",
        speech=target / "speech.npz",
        settings=SpeechSettings(extractor=name, features_npy=str(files[name])),
        threads=1,
    )
    size = read_arrays(target / "speech.npz", ("features",))["features"].shape[2]
    known = getattr(ALL_EXTRACTORS.load(name), "dim", size)
    if isinstance(known, int) and known != size:
        raise InputError(
            f"{files[name]}: {size} values a step, {name} has {known}; name another --extractor"
        )
    LOG.info("import: speech features of %s from %s", name, files[name].name)
    return {}
