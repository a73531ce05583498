"""What a step is compared with: from frames, labels and masks to tensors of one crop."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import cv2
import numpy as np
import torch
from jaxtyping import Bool, Float, Float32, UInt8
from torch import Tensor

from emotalk_core.avatar.crops import Crop
from emotalk_core.perception.landmarks.topology import BROWS, EYES, OUTER_LIPS
from emotalk_core.training.frames import FrameStore
from emotalk_core.training.inputs import Clip
from emotalk_core.training.sampling import Sample
from emotalk_core.training.settings import TrainingSettings
from emotalk_core.types.regions import MOUTH, region_mask

BOX_MARGIN = 0.25  # of a box's width: lips and lids with the skin that moves with them
HEAD_ALPHA = 128  # grey value from which a pixel belongs to the head
CROP_MARGIN = 0.04  # of the frame's width around the head, so that stray Gaussians are seen
# Of the frame's width. The mask's edge is a pixel of lip in every other frame; taken for the inside
# of the mouth it paints the teeth the colour of lips.
MOUTH_SHRINK = 0.004
CLOSED_COLOUR = (90.0, 45.0, 40.0)  # RGB of a mouth's inside where no frame shows one
NORMAL_SCALE = 2.0 / 255.0  # docs/artifacts.md: RGB = (n/2 + 1/2) * 255


@dataclass(frozen=True)
class Target:
    """Truth of one crop on the device.

    Attributes:
        image: RGB 0..1.
        behind: what lies behind the head.
        mouth: 1 inside the open mouth.
        alpha: soft mask of head without the inside of the mouth.
        alpha_weight: near 1 where the soft mask is sure, 0 where it is one half.
        weight: photometric importance of each pixel.
        normals, normal_mask: predicted normals and where they exist; None where not read.
    """

    image: Float[Tensor, "3 h w"]
    behind: Float[Tensor, "3 h w"]
    mouth: Float[Tensor, "h w"]
    alpha: Float[Tensor, "h w"]
    alpha_weight: Float[Tensor, "h w"]
    weight: Float[Tensor, "h w"]
    normals: Float[Tensor, "3 h w"] | None
    normal_mask: Float[Tensor, "h w"] | None


class TargetReader:
    """Reads targets of a clip and, where there is one, of its emotion bank."""

    def __init__(
        self,
        clip: Clip,
        store: FrameStore,
        settings: TrainingSettings,
        device: torch.device | str,
        with_normals: bool,
    ) -> None:
        self._clip = clip
        self._store = store
        self._settings = settings
        self._device = device
        self._with_normals = with_normals

    def head_crop(self, frame: int) -> Crop:
        """Rectangle around the head of a frame with a margin."""
        height, width = self._clip.manifest.height, self._clip.manifest.width
        mask = self._store.get("alpha", frame) >= HEAD_ALPHA
        margin = round(CROP_MARGIN * width)
        rows = _extent(mask.any(axis=1), margin, height)
        columns = _extent(mask.any(axis=0), margin, width)
        return Crop(*rows, *columns)

    def read(self, sample: Sample, crop: Crop) -> Target:
        """Tensors of one crop."""
        picture, labels, normals = self._pictures(sample)
        mouth = self._mask(_cut(inside_mouth(labels), crop))
        soft = self._grey(self._store.get("alpha", sample.frame), crop)
        with_normals = self._with_normals
        return Target(
            image=self._colour(picture, crop),
            behind=self._colour(self._store.get("torso", sample.frame), crop),
            mouth=mouth,
            alpha=soft * (1.0 - mouth),
            alpha_weight=(2.0 * soft - 1.0).square(),
            weight=self._weights(sample.frame, crop),
            normals=self._normals(normals, crop) if with_normals else None,
            normal_mask=self._mask(_cut(normals, crop).any(axis=2)) if with_normals else None,
        )

    def _pictures(self, sample: Sample) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Picture, labels and normals: the clip's own or the bank's."""
        if sample.image is None:
            names, index = ("video", "regions", "normals"), sample.frame
        else:
            names, index = ("bank_frames", "bank_regions", "bank_normals"), sample.image
        video, regions, normals = names
        picture = self._store.get(video, index)
        return (
            picture,
            self._store.get(regions, index),
            self._store.get(normals, index) if self._with_normals else picture,
        )

    def _colour(self, frame: UInt8[np.ndarray, "H W 3"], crop: Crop) -> Float[Tensor, "3 h w"]:
        part = np.ascontiguousarray(_cut(frame, crop).transpose(2, 0, 1))
        return torch.from_numpy(part).to(self._device).float().mul_(1.0 / 255.0)

    def _grey(self, frame: UInt8[np.ndarray, "H W"], crop: Crop) -> Float[Tensor, "h w"]:
        part = np.ascontiguousarray(_cut(frame, crop))
        return torch.from_numpy(part).to(self._device).float().mul_(1.0 / 255.0)

    def _mask(self, mask: Bool[np.ndarray, "h w"]) -> Float[Tensor, "h w"]:
        return torch.from_numpy(np.ascontiguousarray(mask)).to(self._device).float()

    def _normals(self, frame: UInt8[np.ndarray, "H W 3"], crop: Crop) -> Float[Tensor, "3 h w"]:
        part = np.ascontiguousarray(_cut(frame, crop).transpose(2, 0, 1))
        return torch.from_numpy(part).to(self._device).float().mul_(NORMAL_SCALE).sub_(1.0)

    def _weights(self, frame: int, crop: Crop) -> Float[Tensor, "h w"]:
        """One, more in the boxes of lips and eyes."""
        weights = np.ones((crop.height, crop.width), dtype=np.float32)
        points = self._clip.landmarks[frame]
        for indices, extra in (
            (OUTER_LIPS, self._settings.lip_weight),
            (EYES + BROWS, self._settings.eye_weight),
        ):
            rows, columns = landmark_box(points[list(indices)])
            y0, y1 = np.clip(np.array(rows) - crop.y0, 0, crop.height)
            x0, x1 = np.clip(np.array(columns) - crop.x0, 0, crop.width)
            weights[y0:y1, x0:x1] += extra
        return torch.from_numpy(weights).to(self._device)


def _cut(image: np.ndarray, crop: Crop) -> np.ndarray:
    return image[crop.y0 : crop.y1, crop.x0 : crop.x1]


def _extent(present: Bool[np.ndarray, " n"], margin: int, limit: int) -> tuple[int, int]:
    """First and one-past-last true position with a margin; the whole range when none is true."""
    places = np.flatnonzero(present)
    if len(places) == 0:
        return 0, limit
    return max(0, int(places[0]) - margin), min(limit, int(places[-1]) + 1 + margin)


def landmark_box(
    points: Float32[np.ndarray, "L 2"],
) -> tuple[tuple[int, int], tuple[int, int]]:
    """Rows and columns of the points' box, grown by `BOX_MARGIN` of its width."""
    low, high = points.min(axis=0), points.max(axis=0)
    margin = BOX_MARGIN * (high[0] - low[0])
    x0, y0 = np.floor(low - margin).astype(int)
    x1, y1 = np.ceil(high + margin).astype(int)
    return (int(y0), int(y1)), (int(x0), int(x1))


def inside_mouth(labels: UInt8[np.ndarray, "H W"]) -> Bool[np.ndarray, "H W"]:
    """Where a frame surely shows the inside of the mouth: its labels without their edge."""
    radius = round(MOUTH_SHRINK * labels.shape[1])
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * radius + 1, 2 * radius + 1))
    return cv2.erode(region_mask(labels, MOUTH).astype(np.uint8), kernel) > 0


def mouth_colour(
    frames: Iterable[tuple[UInt8[np.ndarray, "H W 3"], UInt8[np.ndarray, "H W"]]],
) -> Float32[np.ndarray, " 3"]:
    """Mean RGB 0..255 of the inside of the mouth; a dark red where no frame shows one."""
    total, count = np.zeros(3), 0
    for frame, labels in frames:
        inside = inside_mouth(labels)
        total += frame[inside].sum(axis=0)
        count += int(inside.sum())
    return (total / count if count else np.array(CLOSED_COLOUR)).astype(np.float32)


def fill_mouth(
    frame: UInt8[np.ndarray, "H W 3"],
    labels: UInt8[np.ndarray, "H W"],
    colour: Float32[np.ndarray, " 3"],
) -> UInt8[np.ndarray, "H W 3"]:
    """The frame with the inside of the mouth in one colour."""
    filled = frame.copy()
    filled[region_mask(labels, MOUTH)] = np.round(colour).astype(np.uint8)
    return filled
