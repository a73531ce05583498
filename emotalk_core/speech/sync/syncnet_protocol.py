"""SyncNet's protocol: face crops and sound in; offset, Sync-E (LSE-D) and Sync-C (LSE-C) out.

Crop, windows, shifts and scores are those of joonson/syncnet_python (run_pipeline, run_syncnet).
Two things differ on purpose: frames are lossless (there: JPEG inside XVID), and face boxes are
given by the caller (there: its S3FD detector).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Protocol

import cv2
import numpy as np
import torch
from jaxtyping import Float, Float32, UInt8
from torch import Tensor

from emotalk_core.speech.sync.cepstrum import mfcc
from emotalk_core.speech.sync.syncnet import SyncNet
from emotalk_core.types.manifest import FPS, SAMPLE_RATE

CROP_SIZE = 224  # px, side of the face crop
CROP_SCALE = 0.4  # of the box: how much wider the crop is
BORDER = 110  # grey that fills the crop outside the frame
SMOOTHING = 13  # frames of the median filter over box centres and sizes
LIP_FRAMES = 5  # frames of a window
SOUND_COLUMNS = 20  # columns of cepstral coefficients of a window
COLUMNS_PER_FRAME = 4
REACH = 15  # shifts are tried from -15 to +15 frames (run_syncnet's default)
BATCH = 20  # windows at once, as there
EPS = 1e-6  # that torch's pairwise distance adds to each difference
INT16_FULL = 32_768
SAMPLES_PER_FRAME = SAMPLE_RATE // FPS

Crop = UInt8[np.ndarray, "224 224 3"]


class Towers(Protocol):
    """What embeds windows: the network, or an oracle in tests."""

    def forward_lip(self, frames: Float[Tensor, "B 3 5 224 224"]) -> Float[Tensor, "B E"]:
        """Embeddings of five frames, BGR 0..255."""
        ...

    def forward_aud(self, mfcc: Float[Tensor, "B 1 13 20"]) -> Float[Tensor, "B E"]:
        """Embeddings of 20 columns of 13 coefficients."""
        ...


@dataclass(frozen=True)
class SyncScore:
    """Both scores of a clip and the shift at which they are found.

    Attributes:
        offset: frames by which the picture comes later than the sound that belongs to it.
        distance: Sync-E, LSE-D: the smallest mean distance over shifts; lower is better.
        confidence: Sync-C, LSE-C: median of the mean distances less the smallest; higher is better.
    """

    offset: int
    distance: float
    confidence: float


def smooth_boxes(
    boxes: Float[np.ndarray, "T 4"],
) -> tuple[Float[np.ndarray, " T"], Float[np.ndarray, " T"], Float[np.ndarray, " T"]]:
    """Centres x and y and half the longer side of face boxes (x0, y0, x1, y1), median-filtered.

    Clips of fewer than 13 frames, which the original refuses, get a shorter filter.
    """
    from scipy.signal import medfilt

    width = min(SMOOTHING, len(boxes) - (len(boxes) + 1) % 2)

    x0, y0, x1, y1 = boxes.T.astype(np.float64)
    half = np.maximum(y1 - y0, x1 - x0) / 2
    x, y, s = (medfilt(v, width) for v in ((x0 + x1) / 2, (y0 + y1) / 2, half))
    return x, y, s


def crop_face(frame: UInt8[np.ndarray, "H W 3"], x: float, y: float, half: float) -> Crop:
    """The square that SyncNet looks at: 2.8 half sides wide, more below the centre than above.

    Args:
        frame: any channel order; it is kept.
        x: centre of the face box, px.
        y: the same downwards.
        half: half of its longer side, px.
    """
    margin = int(half * (1 + 2 * CROP_SCALE))
    padded = cv2.copyMakeBorder(
        frame, margin, margin, margin, margin, cv2.BORDER_CONSTANT, value=(BORDER,) * 3
    )
    x, y, reach = x + margin, y + margin, half * (1 + CROP_SCALE)
    rows = slice(int(y - half), int(y + half * (1 + 2 * CROP_SCALE)))
    face = padded[rows, int(x - reach) : int(x + reach)]
    return cv2.resize(face, (CROP_SIZE, CROP_SIZE))


def crop_faces(
    frames: Iterable[UInt8[np.ndarray, "H W 3"]], boxes: Float[np.ndarray, "T 4"]
) -> Iterator[Crop]:
    """Crops of RGB frames as BGR, one for each box (x0, y0, x1, y1)."""
    for frame, x, y, half in zip(frames, *smooth_boxes(boxes)):
        yield crop_face(np.ascontiguousarray(frame[..., ::-1]), float(x), float(y), float(half))


def _batches(
    crops: Iterable[Crop], columns: Float32[np.ndarray, "13 C"], n_windows: int
) -> Iterator[tuple[Tensor, Tensor]]:
    """(five frames, 20 columns) of consecutive windows, a batch at a time; few frames are held."""
    held: list[Tensor] = []
    lips: list[Tensor] = []
    begin = 0
    for number, crop in enumerate(crops):
        held = [*held[1 - LIP_FRAMES :], torch.from_numpy(crop.transpose(2, 0, 1).copy()).float()]
        window = number - LIP_FRAMES + 1
        if window < 0 or window >= n_windows:
            continue
        lips.append(torch.stack(held[-LIP_FRAMES:], dim=1))
        if len(lips) == BATCH or window == n_windows - 1:
            starts = [COLUMNS_PER_FRAME * i for i in range(begin, begin + len(lips))]
            sound = np.stack([columns[:, s : s + SOUND_COLUMNS] for s in starts])
            yield torch.stack(lips), torch.from_numpy(sound)[:, None]
            begin, lips = begin + len(lips), []


def embed(
    crops: Iterable[Crop], n_frames: int, samples: Float32[np.ndarray, " N"], towers: Towers
) -> tuple[Float[Tensor, "M E"], Float[Tensor, "M E"]]:
    """(lips, sound) embeddings of all windows of a clip.

    Args:
        crops: BGR face crops at 25 fps.
        n_frames: how many there are.
        samples: 16 kHz mono in [-1,1], sample 0 at frame 0.
        towers: the network.

    Returns:
        M = min(frames, whole frames of sound) - 5 windows each; empty where there are fewer.
    """
    n_windows = max(min(n_frames, len(samples) // SAMPLES_PER_FRAME) - LIP_FRAMES, 0)
    if n_windows == 0:
        return torch.zeros(0, 1), torch.zeros(0, 1)
    integers = np.clip(np.round(samples * INT16_FULL), -INT16_FULL, INT16_FULL - 1)
    columns = np.ascontiguousarray(mfcc(integers).T, dtype=np.float32)
    lips, sound = [], []
    with torch.no_grad():
        for pictures, cepstra in _batches(crops, columns, n_windows):
            lips.append(towers.forward_lip(pictures))
            sound.append(towers.forward_aud(cepstra))
    return torch.cat(lips), torch.cat(sound)


def shift_distances(
    lips: Float[Tensor, "M E"], sound: Float[Tensor, "M E"], reach: int = REACH
) -> Float[Tensor, "M S"]:
    """Distance of every window's lips to the sound of windows -reach..reach away, S = 2 reach + 1.

    Beyond the clip's ends the sound's embedding is zero, as in the original.
    """
    padded = torch.nn.functional.pad(sound, (0, 0, reach, reach))
    shifted = padded.unfold(0, 2 * reach + 1, 1).transpose(1, 2)
    return torch.linalg.vector_norm(lips[:, None] - shifted + EPS, dim=2)


def score_distances(distances: Float[Tensor, "M S"] | Float[np.ndarray, "M S"]) -> SyncScore:
    """Offset and both scores from `shift_distances`."""
    means = np.asarray(distances, dtype=np.float64).mean(axis=0)
    best = int(means.argmin())
    return SyncScore(
        offset=len(means) // 2 - best,
        distance=float(means[best]),
        confidence=float(np.median(means) - means[best]),
    )


def measure_sync(
    crops: Iterable[Crop],
    n_frames: int,
    samples: Float32[np.ndarray, " N"],
    towers: Towers | SyncNet,
    reach: int = REACH,
) -> SyncScore | None:
    """Sync-E and Sync-C of a clip; None where it is too short for one window."""
    lips, sound = embed(crops, n_frames, samples, towers)
    return score_distances(shift_distances(lips, sound, reach)) if len(lips) else None
