"""The packaged networks: a frame and its landmarks in, probabilities of a head's parts out."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, Float32, UInt8

from emotalk_core.media.checkpoints import load_checkpoint
from emotalk_core.perception.parsing.crops import (
    crop_input,
    crop_transform,
    cut,
    put_back,
    put_back_sharply,
)
from emotalk_core.perception.parsing.network import PartNet
from emotalk_core.perception.parsing.tasks import TASKS, ParsingTask
from emotalk_core.perception.parsing.train import KIND

DATA = Path(__file__).parent / "data"
# The weight files' sha256: new weights are new code, so stages that read them run again
WEIGHTS = {
    "head_parts": "20b6b5f3617c31fe251347db9e277ace37672731f85cdab3431e52ec73624848",
    "mouth_parts": "c4b7ce21047a78e4c6d8dd1ff08713bae01c0c9694d543fe725ef3dbd17a3dd4",
    "glasses": "d253b9a9ba3f4cc55276fa34aba52adbd7bf9ad0429b583e2f329b16ad90aef4",
}


USUAL_SHARE = 0.4  # weight of the clip's mean against one frame, in log chances


@lru_cache(maxsize=4)
def load_network(path: Path, task: str) -> PartNet:
    """A trained network, ready to be asked.

    Raises:
        ArtifactError: the file is missing, broken or of another kind.
    """
    plan = TASKS[task]
    tensors, _ = load_checkpoint(path, KIND)
    network = PartNet(plan.inputs, len(plan.classes), plan.width)
    network.load_state_dict({name: value.float() for name, value in tensors.items()})
    return network.eval()


@dataclass(frozen=True)
class Placed:
    """Chances of classes at the pixels of a part of a frame; outside it the first is certain.

    Attributes:
        box: rows and columns of the frame. chances: at its pixels.
    """

    box: tuple[slice, slice]
    chances: Float32[np.ndarray, "h w K"]

    def full(self, shape: tuple[int, int]) -> Float32[np.ndarray, "H W K"]:
        """The same at every pixel of the frame."""
        result = np.zeros((*shape, self.chances.shape[2]), np.float32)
        result[..., 0] = 1
        result[self.box] = self.chances
        return result


class PartReader:
    """One network with its crop.

    Args:
        task: of `tasks.TASKS`.
        path: weights; None: the packaged ones.
    """

    def __init__(self, task: ParsingTask, path: Path | None = None) -> None:
        self._task = task
        self._network = load_network(path or DATA / f"{task.name}.safetensors", task.name)

    def read(
        self,
        frame: UInt8[np.ndarray, "H W 3"],
        landmarks: Float[np.ndarray, "478 2"],
        usual: Float32[np.ndarray, "S S K"] | None = None,
        wanted: tuple[int, ...] | None = None,
    ) -> Placed:
        """Probability of the task's classes where the network looks.

        Args:
            frame: RGB.
            landmarks: px of the frame.
            usual: mean over a clip of `read_crop`: steadies what hardly moves in the crop.
            wanted: numbers of the classes that are returned, the first class first; None: all.
        """
        transform = crop_transform(landmarks, self._task.crop)
        scores = self._scores(frame, landmarks, transform)
        if usual is not None:
            always = torch.from_numpy(usual).permute(2, 0, 1).log()
            scores = (1 - USUAL_SHARE) * scores + USUAL_SHARE * always
        chances = torch.softmax(scores, dim=0)
        chosen = list(wanted or range(len(chances)))
        shape = (frame.shape[0], frame.shape[1])
        if self._task.thin_parts:  # their sum is brought to 1 in the frame: all are needed there
            placed = self._place(chances.permute(1, 2, 0).contiguous().numpy(), transform, shape)
            return Placed(placed.box, placed.chances[..., chosen])
        crop = chances[chosen].permute(1, 2, 0).contiguous().numpy()
        return self._place(crop, transform, shape)

    def read_crop(
        self, frame: UInt8[np.ndarray, "H W 3"], landmarks: Float[np.ndarray, "478 2"]
    ) -> Float32[np.ndarray, "S S K"]:
        """Probability of the task's classes at every pixel of the aligned crop."""
        transform = crop_transform(landmarks, self._task.crop)
        chances = torch.softmax(self._scores(frame, landmarks, transform), dim=0)
        return chances.permute(1, 2, 0).contiguous().numpy()

    def _scores(
        self,
        frame: UInt8[np.ndarray, "H W 3"],
        landmarks: Float[np.ndarray, "478 2"],
        transform: Float[np.ndarray, "2 3"],
    ) -> Float[torch.Tensor, "K S S"]:
        """Logits of the crop."""
        crop = cut(frame, transform, self._task.crop.size)
        points = landmarks @ transform[:, :2].T + transform[:, 2]
        channels = torch.from_numpy(crop_input(crop, points, self._task.rings))
        with torch.inference_mode():
            scores: torch.Tensor = self._network(channels[None])[0]
        return scores

    def _place(
        self,
        chances: Float32[np.ndarray, "S S K"],
        transform: Float[np.ndarray, "2 3"],
        shape: tuple[int, int],
    ) -> Placed:
        """The crop's chances at their place in a frame."""
        size = self._task.crop.size
        corners = np.array([[0, 0], [size, 0], [size, size], [0, size]], dtype=np.float64)
        placed = (corners - transform[:, 2]) @ np.linalg.inv(transform[:, :2]).T
        limits = np.array(shape[::-1])
        low = np.clip(np.floor(placed.min(axis=0)).astype(int), 0, limits)
        high = np.clip(np.ceil(placed.max(axis=0)).astype(int), 0, limits)
        box = (slice(int(low[1]), int(high[1])), slice(int(low[0]), int(high[0])))
        width, height = (high - low).tolist()
        if width == 0 or height == 0:
            return Placed(box, np.zeros((height, width, chances.shape[2]), np.float32))
        moved = transform.copy()
        moved[:, 2] += transform[:, :2] @ low
        place = put_back_sharply if self._task.thin_parts else put_back
        return Placed(box, place(chances, moved, (height, width)))
