"""Pictures of a tracked head in; how far the skin moved at points of the face, out.

A landmark detector's points scatter by about half a pixel, as much as brows and lip corners move in
plain talking. The skin itself tells more: every frame, held still by its tracked pose, is compared
with the clip's own mean picture by dense optical flow. The person's face is its own reference, so
nothing here was learnt; only how far such motions err was measured on rendered people
(`measure_skin`).
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import cv2
import numpy as np
from jaxtyping import Bool, Float, Float32, UInt8

from emotalk_core.actor.face_model import landmark_basis
from emotalk_core.media.checkpoints import load_checkpoint
from emotalk_core.perception.landmarks import topology as tp
from emotalk_core.perception.tracking.expression import Evidence
from emotalk_core.perception.tracking.shape import spread_frames
from emotalk_core.types.camera import CameraPath

logger = logging.getLogger(__name__)

DATA = Path(__file__).parent / "data"
WEIGHTS = "skin.safetensors"
KIND = "skin_covariance"
# The file's sha256: new weights are new code, so stages that read them run again
SHA256 = "dc331afe19a23fc1657961f70d0a6c92816b25222ee01ba05002516e18afe762"
# fmt: off
BROWS = (*tp.RIGHT_BROW, *tp.LEFT_BROW, 8, 9, 69, 104, 108, 151, 299, 333, 337, 168, 6)
CHEEKS = (
    36, 49, 50, 98, 101, 118, 123, 129, 187, 203, 205, 207, 266, 279, 280, 327, 330, 347, 352, 358,
    411, 423, 425, 427,
)
MOUTH = (*tp.LIP_CORNERS, 57, 92, 165, 212, 216, 287, 322, 391, 432, 436)
LIPS = (0, 17, 37, 39, 40, 84, 91, 146, 181, 185, 267, 269, 270, 314, 321, 375, 405, 409)
STILL = (4, 5, 10, 21, 109, 122, 127, 193, 195, 197, 234, 251, 338, 351, 356, 417, 454)
# fmt: on
POINTS = tuple(sorted({*BROWS, *CHEEKS, *MOUTH, *LIPS, *STILL}))
PATCH = (160, 128)  # height, width of the face held still
MARGIN = 0.01  # metres around the face's points
TEMPLATE_FRAMES = 60
ROUNDS = 2  # mean pictures: of the frames, then of the frames moved onto the first one
CONTRAST, MIDDLE = 40.0, 128.0  # grey values: standard deviation and mean of a patch
WINDOW = 5  # px: the flow's mean around a point counts
OUTLIER = 3.0  # a frame whose misfit exceeds the median this many times does not show the face
# Metres that a point errs by at least. The rendered people alone ask for less; real skin, whose
# shading moves too, agrees with other trackers best from here on
FLOOR = 1.0e-3
# Flow errs for many frames alike: frames count as this share of independent ones
FRAME_SHARE = 0.3
PUCKER, JAW = "mouthPucker", "jawOpen"
TAKEN = ("brow", "mouthSmile", PUCKER)  # coefficients that it reads better than landmarks do

Frames = Iterable[UInt8[np.ndarray, "H W *C"]]


@dataclass(frozen=True)
class SkinMotion:
    """How the skin moved.

    Attributes:
        moved: of `POINTS` to the right and down in the face's plane, metres, less its mean over
            the clip.
        seen: frames that show the face; elsewhere `moved` says nothing.
    """

    moved: Float[np.ndarray, "T N 2"]
    seen: Bool[np.ndarray, " T"]


Watch = Callable[
    [CameraPath, Float[np.ndarray, "478 3"], Bool[np.ndarray, " T"]],
    SkinMotion,
]
"""`watch_skin` of a clip's frames: (cameras, neutral, valid) -> motion."""


def watch_skin(
    frames: Callable[[], Frames],
    cameras: CameraPath,
    neutral: Float[np.ndarray, "478 3"],
    valid: Bool[np.ndarray, " T"],
) -> SkinMotion:
    """Motion of the skin in all frames; two passes, only small patches are held.

    Args:
        frames: gives the clip's frames from the first one, RGB or grey.
        cameras: as tracked.
        neutral: landmarks at rest, metres, world.
        valid: frames whose pose is known.
    """
    surface = neutral[: tp.N_SURFACE]
    low, high = surface[:, :2].min(axis=0) - MARGIN, surface[:, :2].max(axis=0) + MARGIN
    pixel = (high - low) / PATCH[::-1]  # metres

    def still(index: int, frame: np.ndarray) -> UInt8[np.ndarray, "h w"]:
        return _held_still(frame, cameras.Ks[index], cameras.viewmats[index], surface, low, pixel)

    chosen = set(spread_frames(valid, TEMPLATE_FRAMES).tolist())
    flow = _dense_flow()
    template = _template([still(i, f) for i, f in enumerate(frames()) if i in chosen], flow)
    places = ((surface[list(POINTS)][:, :2] - low) / pixel).astype(int)
    x, y = np.clip(places, 0, np.array(PATCH[::-1]) - 1).T
    moved, misfit = np.zeros((len(valid), len(POINTS), 2)), np.full(len(valid), np.nan)
    for index, frame in enumerate(frames()):
        if not valid[index]:
            continue
        patch = still(index, frame)
        field = _field(flow, template, patch)
        misfit[index] = np.abs(_moved_back(patch, field) - template.astype(np.float32)).mean()
        moved[index] = cv2.blur(field, (WINDOW, WINDOW))[y, x] * pixel
    seen = misfit <= OUTLIER * np.nanmedian(misfit)  # False where nan
    if (valid & ~seen).any():
        logger.info("tracking: %d frames hide the skin from view", int((valid & ~seen).sum()))
    moved -= moved[seen].mean(axis=0)
    return SkinMotion(moved, seen)


def _held_still(
    frame: UInt8[np.ndarray, "H W *C"],
    intrinsics: Float[np.ndarray, "3 3"],
    viewmat: Float[np.ndarray, "4 4"],
    surface: Float[np.ndarray, "468 3"],
    low: Float[np.ndarray, " 2"],
    pixel: Float[np.ndarray, " 2"],
) -> UInt8[np.ndarray, "h w"]:
    """The face in a frame, brought to its plane by the affine map next to its projection."""
    camera = (surface @ viewmat[:3, :3].T + viewmat[:3, 3]) @ intrinsics.T
    seen = camera[:, :2] / camera[:, 2:]
    columns = np.concatenate([surface[:, :2], np.ones((len(surface), 1))], axis=1)
    affine = np.linalg.lstsq(columns, seen, rcond=None)[0]  # metres of the plane to px
    to_frame = np.concatenate([affine[:2].T * pixel, (low @ affine[:2] + affine[2])[:, None]], 1)
    grey = frame if frame.ndim == 2 else cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY)
    patch = cv2.warpAffine(
        grey, to_frame, PATCH[::-1], flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    )
    return _even(patch.astype(np.float32))


def _even(patch: Float32[np.ndarray, "h w"]) -> UInt8[np.ndarray, "h w"]:
    """Grey values of one mean and contrast: exposure is no motion."""
    scale = CONTRAST / max(float(patch.std()), 1.0)
    return np.clip((patch - patch.mean()) * scale + MIDDLE, 0, 255).astype(np.uint8)


def _dense_flow() -> cv2.DISOpticalFlow:
    """Down to the full picture; without variational refinement weak brows are lost."""
    flow = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    flow.setFinestScale(0)
    return flow


def _field(
    flow: cv2.DISOpticalFlow,
    template: UInt8[np.ndarray, "h w"],
    patch: UInt8[np.ndarray, "h w"],
) -> Float32[np.ndarray, "h w 2"]:
    """Where every pixel of the template lies in the patch, px from its own place."""
    return flow.calc(template, patch, None)  # type: ignore[call-overload, no-any-return]


def _template(
    patches: list[UInt8[np.ndarray, "h w"]], flow: cv2.DISOpticalFlow
) -> UInt8[np.ndarray, "h w"]:
    """The clip's mean picture, sharpened by moving every picture onto the mean before."""
    template = _even(np.mean(patches, axis=0, dtype=np.float32))
    for _ in range(ROUNDS - 1):
        moved = [_moved_back(p, _field(flow, template, p)) for p in patches]
        template = _even(np.mean(moved, axis=0))
    return template


def _moved_back(
    patch: UInt8[np.ndarray, "h w"], field: Float32[np.ndarray, "h w 2"]
) -> Float32[np.ndarray, "h w"]:
    """A patch brought onto the template by the template's flow to it."""
    y, x = np.indices(patch.shape, dtype=np.float32)
    picture = patch.astype(np.float32)
    edge = cv2.BORDER_REPLICATE
    return cv2.remap(picture, x + field[..., 0], y + field[..., 1], cv2.INTER_LINEAR, None, edge)


def with_skin(
    expression: Float[np.ndarray, "T 52"],
    watched: Float[np.ndarray, "T 52"],
    names: Sequence[str],
) -> Float[np.ndarray, "T 52"]:
    """Coefficients of the landmarks with those of `TAKEN` from the skin, which reads them better.

    Cheeks and lids that follow it speak with the mouth, and avatars driven by such action units
    lose their lips (docs/tracking.md). A mouth that opens draws the skin around it together as a
    pucker does, which landmarks tell apart: of the two readings' difference, what goes with the jaw
    is taken off.

    Args:
        expression: as the landmarks alone tell it.
        watched: the same with `skin_evidence`.
        names: of the columns.
    """
    taken = [name.startswith(TAKEN) for name in names]
    result = np.where(taken, watched, expression)
    jaw, pucker = expression[:, names.index(JAW)], names.index(PUCKER)
    jaw = jaw - jaw.mean()
    excess = (watched - expression)[:, pucker]
    slope = float(jaw @ excess) / max(float(jaw @ jaw), 1e-9)
    result[:, pucker] = np.clip(result[:, pucker] - slope * jaw, 0, 1)
    return result


def skin_response() -> Float[np.ndarray, "52 D"]:
    """Motion of `POINTS` in the face's plane, metres, at full weight of each coefficient."""
    return landmark_basis()[1][:, list(POINTS), :2].astype(np.float64).reshape(52, -1)


def skin_evidence(motion: SkinMotion, expression: Float[np.ndarray, "T 52"]) -> Evidence:
    """What the motion says of the coefficients.

    The mean picture's own expression cannot be seen: its mean, and frames that hide the face, are
    taken from `expression`, a first solution without the skin.
    """
    response = skin_response()
    known = expression @ response
    moved = motion.moved.reshape(len(known), -1) + known[motion.seen].mean(axis=0)
    moved = np.where(motion.seen[:, None], moved, known)
    return Evidence(response, skin_precision(), moved)


@lru_cache(maxsize=1)
def skin_precision() -> Float[np.ndarray, "D D"]:
    """Inverse covariance of the motion's errors, 1 / metres^2."""
    tensors, _ = load_checkpoint(DATA / WEIGHTS, KIND)
    covariance = 1e-6 * tensors["covariance"].double().numpy()  # the file is in mm^2
    return FRAME_SHARE * np.linalg.inv(covariance + FLOOR**2 * np.eye(len(covariance)))
