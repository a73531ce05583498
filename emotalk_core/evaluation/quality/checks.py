"""Per-frame quality checks: artifacts of a subject in, one flag column a check out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import cv2
import numpy as np
from jaxtyping import Bool, Float, Float32, UInt8

from emotalk_core.evaluation.frames import head_masks
from emotalk_core.evaluation.metrics.sharpness import laplacian_energy
from emotalk_core.media.video import VideoReader
from emotalk_core.perception.regions.filters import polygon
from emotalk_core.types.lip_points import OUTER_LIPS
from emotalk_core.types.manifest import FPS, SAMPLE_RATE
from emotalk_core.types.regions import MOUTH, region_mask

NEIGHBOURS = 7  # frames of the running median that a jump is measured against
CLIPPED_LEVEL = 0.999  # of full scale


@dataclass(frozen=True)
class QualitySettings:
    """Limits of the checks (all our choice).

    Attributes:
        max_refused_share: of frames without a usable face; above, the clip is refused.
        max_reprojection_share: of the frame's height (0.012 = 3 px at 256).
        blur_share: Laplacian energy of the head below this share of the clip's median is blur.
        max_area_jump: relative change of the head's area against its neighbours.
        max_motion_share: of the frame's height that the face moves between two frames (a cut).
        min_brightness: mean grey level of the head (0..255); below it is too dark.
        max_brightness: the same; above it is overexposed.
        mouth_share: lips and mouth that are seen inside the lips' landmarks; below this share of
            the clip's median something covers them (.4 behind a hand, never below .8 without).
        max_clipped_share: of a frame's sound samples at full scale.
        sheet_frames: columns of the contact sheet.
    """

    max_refused_share: float = 0.25
    max_reprojection_share: float = 0.012
    blur_share: float = 0.3
    max_area_jump: float = 0.08
    max_motion_share: float = 0.12
    min_brightness: float = 40.0
    max_brightness: float = 215.0
    mouth_share: float = 0.6
    max_clipped_share: float = 0.01
    sheet_frames: int = 6


@dataclass(frozen=True)
class PictureFacts:
    """What the checks need of the pictures, gathered in one pass.

    Attributes:
        sharpness: [T] Laplacian energy inside the head, grey levels squared (nan without a head).
        head_area: [T] share of the frame that is head.
        brightness: [T] mean grey level of the head (nan without one).
        mouth_seen: [T] share of the lips' outline that is labelled lips or mouth.
    """

    sharpness: Float[np.ndarray, " T"]
    head_area: Float[np.ndarray, " T"]
    brightness: Float[np.ndarray, " T"]
    mouth_seen: Float[np.ndarray, " T"]


def picture_facts(
    video: VideoReader, regions: VideoReader, landmarks: Float32[np.ndarray, "T 478 2"]
) -> PictureFacts:
    """One pass over frames and labels."""
    facts = []
    for frame, labels, points in zip(video, regions, landmarks, strict=True):
        seen = mouth_seen(labels, points)
        _, inner, _ = head_masks(labels)
        if not inner.any():
            facts.append((np.nan, 0.0, np.nan, seen))
            continue
        grey = cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY)
        facts.append((laplacian_energy(frame, inner), inner.mean(), grey[inner].mean(), seen))
    return PictureFacts(*np.array(facts, dtype=np.float64).T)


def mouth_seen(labels: UInt8[np.ndarray, "H W"], landmarks: Float32[np.ndarray, "478 2"]) -> float:
    """Share of the lips' outline that is labelled lips or mouth; 1 where it is out of sight."""
    height, width = labels.shape
    outline = polygon(landmarks[list(OUTER_LIPS)].astype(np.float64), (height, width))
    area = float(outline.sum())
    return float(outline[region_mask(labels, ("lips", *MOUTH))].sum()) / area if area else 1.0


def running_median(values: Float[np.ndarray, " T"]) -> Float[np.ndarray, " T"]:
    """Median of the surrounding frames (mirrored at the ends)."""
    half = min(NEIGHBOURS // 2, len(values) - 1)
    padded = np.pad(values, half, mode="reflect") if half else values
    return np.median(np.lib.stride_tricks.sliding_window_view(padded, 2 * half + 1), axis=1)


def clipped_share(samples: Float32[np.ndarray, " S"], n_frames: int) -> Float[np.ndarray, " T"]:
    """Share of each frame's samples that stand at full scale."""
    per_frame = SAMPLE_RATE // FPS
    full = np.zeros(n_frames * per_frame, dtype=bool)
    used = samples[: len(full)]
    full[: len(used)] = np.abs(used) >= CLIPPED_LEVEL
    return full.reshape(n_frames, per_frame).mean(axis=1)


def motion_share(landmarks: Float32[np.ndarray, "T 478 2"], height: int) -> Float[np.ndarray, " T"]:
    """How far the middle of the face moves since the frame before, as a share of the height."""
    centre = landmarks[:, :, :2].mean(axis=1)
    step = np.linalg.norm(np.diff(centre, axis=0), axis=1) / height
    return np.concatenate([[0.0], step])


def flags(
    facts: PictureFacts,
    track: Mapping[str, np.ndarray],
    silence: Bool[np.ndarray, " T"],
    clipped: Float[np.ndarray, " T"],
    height: int,
    settings: QualitySettings,
) -> dict[str, Bool[np.ndarray, " T"]]:
    """Check name -> frames that fail it. Silence is a fact about the clip, not a fault."""
    area = np.maximum(running_median(facts.head_area), 1e-6)
    return {
        "no_face": ~track["valid"].astype(bool),
        "no_head_mask": facts.head_area == 0,
        "blur": facts.sharpness < settings.blur_share * np.nanmedian(facts.sharpness),
        "reprojection": track["reprojection_error"] > settings.max_reprojection_share * height,
        "exposure": (facts.brightness < settings.min_brightness)
        | (facts.brightness > settings.max_brightness),
        "mouth_hidden": facts.mouth_seen < settings.mouth_share * np.median(facts.mouth_seen),
        "mask_jump": np.abs(facts.head_area / area - 1) > settings.max_area_jump,
        "cut": motion_share(track["landmarks"], height) > settings.max_motion_share,
        "silence": silence.astype(bool),
        "clipping": clipped > settings.max_clipped_share,
    }


def runs(flag: Bool[np.ndarray, " T"]) -> list[tuple[int, int]]:
    """(first, last) of every run of True."""
    edges = np.diff(np.concatenate([[0], flag.astype(np.int8), [0]]))
    starts, ends = np.flatnonzero(edges == 1), np.flatnonzero(edges == -1) - 1
    return list(zip(starts.tolist(), ends.tolist()))


def overlay_picture(alpha: UInt8[np.ndarray, "H W"]) -> UInt8[np.ndarray, "H W 3"]:
    """A one-plane picture in grey RGB."""
    return np.repeat(alpha[..., None], 3, axis=2)
