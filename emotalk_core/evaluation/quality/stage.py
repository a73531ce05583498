"""All per-frame artifacts of a subject in, quality.json and a contact sheet out."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool, Float

from emotalk_core.errors import InputError
from emotalk_core.evaluation.drawing import encode, grid, overlay_labels, spread
from emotalk_core.evaluation.quality.checks import (
    PictureFacts,
    QualitySettings,
    clipped_share,
    flags,
    overlay_picture,
    picture_facts,
    runs,
)
from emotalk_core.evaluation.stand_ins import stand_ins
from emotalk_core.media.atomic import atomic_path, write_json
from emotalk_core.media.audio import read_audio
from emotalk_core.media.tables import check_length, read_arrays, read_manifest, read_table
from emotalk_core.media.video import VideoReader, expect_frames
from emotalk_core.perception.glasses.reader import clip_glasses
from emotalk_core.types.manifest import FPS, Manifest

logger = logging.getLogger(__name__)
TRACK_ARRAYS = ("landmarks", "reprojection_error", "valid", "reason", "lip_opening")
MAX_LISTED = 40  # runs of one check in quality.json; the count is always complete
# Checks whose frames are refused (left out of training); the others are warnings.
REFUSING = ("no_face", "no_head_mask")
ADVICE = {
    "no_face": "the face was not found: turned away, covered or out of the picture",
    "no_head_mask": "no head region was segmented",
    "blur": "motion blur or loss of focus",
    "reprojection": "tracked landmarks lie far from detected ones",
    "exposure": "the head is very dark or overexposed",
    "mouth_hidden": "something covers the mouth",
    "mask_jump": "the head region changes size suddenly",
    "cut": "the face jumps: a cut in the clip",
    "silence": "nobody speaks (not a fault)",
    "clipping": "the sound stands at full scale",
}
Flags = Mapping[str, Bool[np.ndarray, " T"]]


def _check_counts(manifest: Manifest, videos: Mapping[str, tuple[Path, str]]) -> None:
    for path, rule in videos.values():
        expect_frames(path, manifest.n_frames, rule)


def _numbers(values: Float[np.ndarray, " T"]) -> dict[str, float]:
    """Median and extremes, rounded, for people."""
    finite = values[np.isfinite(values)]
    if not len(finite):
        return {}
    low, middle, high = np.quantile(finite, [0.05, 0.5, 0.95])
    return {
        "p05": round(float(low), 4),
        "median": round(float(middle), 4),
        "p95": round(float(high), 4),
    }


def _refusals(failed: Flags, reasons: np.ndarray) -> list[dict[str, Any]]:
    """Runs of refused frames with the reason that the tracker gave."""
    listed = []
    for check in REFUSING:
        for first, last in runs(failed[check]):
            reason = str(reasons[first]) if check == "no_face" else ""
            listed.append({"first": first, "last": last, "why": reason or ADVICE[check]})
    return sorted(listed, key=lambda entry: entry["first"])


def summary(
    manifest: Manifest,
    facts: PictureFacts,
    failed: Flags,
    track: Mapping[str, np.ndarray],
    extractor: str,
    settings: QualitySettings,
    chosen: str = "",
    generator: str = "geometric",
) -> dict[str, Any]:
    """The content of quality.json."""
    total = manifest.n_frames
    refused = np.any([failed[c] for c in REFUSING], axis=0)
    checks = {
        check: {
            "frames": int(flag.sum()),
            "share": round(float(flag.mean()), 4),
            "meaning": ADVICE[check],
            "runs": [list(r) for r in runs(flag)[:MAX_LISTED]],
        }
        for check, flag in failed.items()
    }
    return {
        "subject": manifest.subject,
        "n_frames": total,
        "seconds": round(total / FPS, 2),
        "n_test": manifest.n_test,
        "size": [manifest.width, manifest.height],
        "av_offset_frames": manifest.av_offset_frames,
        "av_offset_confidence": manifest.av_offset_confidence,
        "checks": checks,
        "refused": _refusals(failed, track["reason"]),
        "refused_share": round(float(refused.mean()), 4),
        "limits": {k: v for k, v in vars(settings).items() if k != "sheet_frames"},
        "facts": {
            "sharpness": _numbers(facts.sharpness),
            "head_area": _numbers(facts.head_area),
            "brightness": _numbers(facts.brightness),
            "mouth_seen": _numbers(facts.mouth_seen),
            "reprojection_error_px": _numbers(track["reprojection_error"].astype(np.float64)),
            "lip_opening": _numbers(track["lip_opening"].astype(np.float64)),
        },
        "stand_ins": stand_ins(extractor, chosen, generator),
    }


def _refuse_bad_clip(report: Mapping[str, Any], video: Path, settings: QualitySettings) -> None:
    if report["refused_share"] > settings.max_refused_share:
        first = report["refused"][0]
        raise InputError(
            f"{video}: {report['refused_share']:.0%} of the frames have no usable face (limit "
            f"{settings.max_refused_share:.0%}); first: frames {first['first']}..{first['last']}, "
            f"{first['why']}; cut those parts out of the source video or raise "
            "quality.max_refused_share in config.yaml"
        )


def contact_sheet(
    manifest: Manifest,
    paths: Mapping[str, Path],
    failed: Flags,
    settings: QualitySettings,
    glasses: bool = False,
) -> np.ndarray:
    """Frame, labels, alpha, normals and what lies behind the head for a few frames.

    The title says what was found, `glasses` among it: who wears none sees that they were seen.
    """
    chosen = spread(manifest.n_frames, settings.sheet_frames)
    readers = {name: VideoReader(path) for name, path in paths.items()}
    rows: list[list[np.ndarray]] = [[], [], [], [], []]
    for index in chosen:
        frame = readers["video"][index]
        rows[0].append(frame)
        rows[1].append(overlay_labels(frame, readers["regions"][index]))
        rows[2].append(overlay_picture(readers["alpha"][index]))
        rows[3].append(readers["normals"][index])
        rows[4].append(readers["torso"][index])
    for reader in readers.values():
        reader.close()
    faults = [c for c in failed if c != "silence"]
    names = []
    for index in chosen:
        wrong = [c for c in faults if failed[c][index]]
        names.append(f"frame {index}" + (f": {', '.join(wrong)}" if wrong else ""))
    found = [f"{c.replace('_', ' ')} {int(failed[c].sum())}" for c in faults if failed[c].any()]
    title = f"{manifest.subject}: {manifest.n_frames} frames, {manifest.n_frames / FPS:.1f} s; "
    title += "glasses; " if glasses else ""
    title += f"frames with faults: {', '.join(found)}" if found else "no fault found"
    return grid(rows, ("frame", "regions", "head alpha", "normals", "torso"), names, title)


def check_quality(
    *,
    manifest: Path,
    video: Path,
    track: Path,
    regions: Path,
    alpha: Path,
    torso: Path,
    normals: Path,
    action_units: Path,
    valence_arousal: Path,
    speech: Path,
    quality_json: Path,
    quality_png: Path,
    settings: QualitySettings,
    audio: Path | None = None,
    chosen: str = "",
    generator: str = "geometric",
) -> None:
    """Check that all artifacts agree and say what is wrong with which frames.

    Without `audio` the clipping check is skipped. `chosen` says which of the paper's own networks
    the configuration chooses and which files are there (`weights.weights_param`), `generator` who
    makes its emotional pictures.

    Raises:
        ArtifactError: an artifact has another number of frames than the manifest.
        InputError: too many frames have no usable face.
    """
    facts_of = read_manifest(manifest)
    total = facts_of.n_frames
    pictures = {
        "video": (video, "ingest_video"),
        "regions": (regions, "segment_regions"),
        "alpha": (alpha, "segment_regions"),
        "torso": (torso, "separate_torso"),
        "normals": (normals, "estimate_normals"),
    }
    _check_counts(facts_of, pictures)
    arrays = read_arrays(track, TRACK_ARRAYS)
    sound = read_arrays(speech, ("features", "extractor", "silence"))
    check_length(str(track), len(arrays["landmarks"]), total, "track_head")
    check_length(str(speech), len(sound["features"]), total, "extract_features")
    units, emotion = (read_table(p, ("frame", "valid")) for p in (action_units, valence_arousal))
    check_length(str(action_units), len(units), total, "read_face")
    check_length(str(valence_arousal), len(emotion), total, "read_face")
    samples = read_audio(audio) if audio is not None else np.zeros(0, dtype=np.float32)
    clipped = clipped_share(samples, total)
    with VideoReader(video) as frames, VideoReader(regions) as labels:
        facts = picture_facts(frames, labels, arrays["landmarks"])
    failed = flags(facts, arrays, sound["silence"], clipped, facts_of.height, settings)
    extractor = str(sound["extractor"])
    report = summary(facts_of, facts, failed, arrays, extractor, settings, chosen, generator)
    for name, check in report["checks"].items():
        if check["frames"]:
            logger.info("%s: %d frames (%s)", name, check["frames"], check["meaning"])
    _refuse_bad_clip(report, video, settings)
    glasses = clip_glasses(video, arrays["landmarks"], arrays["valid"].astype(bool))
    report["glasses"] = {"worn": glasses.worn, "frame_px": glasses.area}
    paths = {name: path for name, (path, _) in pictures.items()}
    sheet = contact_sheet(facts_of, paths, failed, settings, glasses.worn)
    with atomic_path(quality_png) as temporary:
        temporary.write_bytes(encode(sheet))
    write_json(quality_json, report)
