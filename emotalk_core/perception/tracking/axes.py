"""Parts of the head in a few pictures in; how far the tracked head is really lifted out.

Landmarks alone cannot tell a lowered face from low features, and rims of glasses move them. Where
hairline, ears, outline, eyes and mouth really lie around the landmarks can: a linear reader of the
packaged network's parts, one template a part, measured on rendered people (`measure_axes`).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import cv2
import numpy as np
from jaxtyping import Float, Float32, Int, UInt8
from scipy.spatial.transform import Rotation

from emotalk_core.media.checkpoints import load_checkpoint
from emotalk_core.perception.parsing.packaged import PartReader
from emotalk_core.perception.parsing.tasks import HEAD

DATA = Path(__file__).parent / "data"
WEIGHTS = "axes.safetensors"
KIND = "axes_reader"
# The file's sha256: new weights are new code, so stages that read them run again
SHA256 = "1aaa724079f50aa9c7ede1efa9457a8c402ddb5b3fd10e9f8a005a69a838c00c"
DETECTORS = ("facemesh",)  # whose persons' axes were measured
LOOKS = 24  # frames of a clip that are looked at
GRID = 32  # cells of the crop's side
# Classes of the network that count: neither background, neck nor clothes, which say how a person
# stands and not where the head's axes lie
CLASSES = slice(1, 7)  # skin, brows, eyes, mouth, hair, ears
# More than the first is no error of axes but a head unlike those measured, which is turned less and
# from the second on not at all. Rendered people ask for up to 4.6, a foreign head for 5 to 7
LARGEST, FOREIGN = np.radians(5.0), np.radians(6.5)


@dataclass(frozen=True)
class Looks:
    """What was seen in some frames of a clip.

    Attributes:
        frames: their numbers.
        parts: chances of the parts in the aligned crop.
    """

    frames: Int[np.ndarray, " L"]
    parts: Float32[np.ndarray, "L 32 32 6"]


@dataclass(frozen=True)
class AxesReader:
    """Linear reader: parts and view of a frame to radians of pitch and yaw.

    Attributes:
        templates: of the parts, the same when mirrored for pitch, negative for yaw.
        view: of `view_of`.
        offset: radians of pitch (yaw has none: a mirrored head is as likely).
    """

    templates: Float32[np.ndarray, "2 32 32 6"]
    view: Float32[np.ndarray, "2 3"]
    offset: float

    def turn(
        self, parts: Float32[np.ndarray, "L 32 32 6"], rotations: Float[np.ndarray, "L 3 3"]
    ) -> Float[np.ndarray, " 3"]:
        """Rotation vector that the head's axes must be turned by, radians, mean over frames.

        About x (right) and y (down); nothing about z, where landmarks do not err.

        Args:
            parts: of `part_maps`.
            rotations: as tracked, world to camera.
        """
        pitch, yaw = (
            np.tensordot(self.templates, parts.mean(axis=0), axes=3)
            + (self.view * view_of(rotations).mean(axis=0)).sum(axis=1)
        ).tolist()
        asked = np.array([pitch + self.offset, yaw, 0.0])
        share = np.clip((FOREIGN - np.abs(asked)) / (FOREIGN - LARGEST), 0, 1)
        return share * np.clip(asked, -LARGEST, LARGEST)


def view_of(rotations: Float[np.ndarray, "L 3 3"]) -> Float[np.ndarray, "L 2 3"]:
    """What the parts' places depend on beside the axes.

    The first row stays for a mirrored head, the second one changes its sign.
    """
    yaw, pitch, roll = Rotation.from_matrix(rotations).as_euler("YXZ").T
    kept, changed = [pitch, yaw**2, pitch**2], [yaw, roll, yaw * pitch]
    return np.stack([np.stack(kept, axis=1), np.stack(changed, axis=1)], axis=1)


def part_maps(
    frames: UInt8[np.ndarray, "L H W 3"], landmarks: Float[np.ndarray, "L 478 2"]
) -> Float32[np.ndarray, "L 32 32 6"]:
    """Chances of the head's parts in every frame's aligned crop, coarse.

    Args:
        frames: RGB.
        landmarks: px.
    """
    reader = PartReader(HEAD)
    found = np.empty((len(frames), GRID, GRID, CLASSES.stop - CLASSES.start), np.float32)
    for here, frame, points in zip(found, frames, landmarks):
        chances = np.ascontiguousarray(reader.read_crop(frame, points)[..., CLASSES])
        here[:] = cv2.resize(chances, (GRID, GRID), interpolation=cv2.INTER_AREA)
    return found


@lru_cache(maxsize=1)
def axes_reader() -> AxesReader:
    """The packaged reader."""
    tensors, header = load_checkpoint(DATA / WEIGHTS, KIND)
    return AxesReader(
        tensors["templates"].float().numpy(), tensors["view"].numpy(), header["offset"]
    )
