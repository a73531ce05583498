"""A run of conditions in; the frames that a judge of pictures looks at out, with gradients."""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Float, Float32
from torch import Tensor

from emotalk_core.avatar.conditions import FrameCondition
from emotalk_core.avatar.crops import Crop, crop_camera
from emotalk_core.avatar.model import FaceModel
from emotalk_core.perception.landmarks.topology import OUTER_LIPS
from emotalk_core.training.inputs import Clip
from emotalk_core.training.sampling import Sample
from emotalk_core.training.targets import TargetReader, landmark_box


def draw_run(
    model: FaceModel,
    clip: Clip,
    reader: TargetReader,
    conditions: list[FrameCondition],
    first: int,
    crop: Crop,
    inside: Float32[np.ndarray, " 3"],
) -> Float[Tensor, "R 3 h w"]:
    """The face in the poses of consecutive frames, moved by any sound.

    Behind the lips lies one colour: the frame's own mouth would tell the judge how far the true
    lips are open, and does not fit another sound.

    Args:
        model: of the face.
        clip: whose poses are taken.
        reader: of what lies behind the head.
        conditions: of the frames.
        first: frame of the clip at which the run begins.
        crop: what is drawn of each frame.
        inside: colour of a mouth's inside, RGB 0..255.
    """
    pictures = []
    for number, condition in enumerate(conditions):
        frame = first + number
        camera = clip.camera(frame, condition.audio.device)
        behind = reader.read(Sample(frame), crop).behind.clone()
        rows, columns = landmark_box(clip.landmarks[frame][list(OUTER_LIPS)])
        y0, y1 = np.clip(np.array(rows) - crop.y0, 0, crop.height)
        x0, x1 = np.clip(np.array(columns) - crop.x0, 0, crop.width)
        colour = torch.from_numpy(inside / np.float32(255.0)).to(behind.device)
        behind[:, y0:y1, x0:x1] = colour[:, None, None]
        pictures.append(model.draw(model.deform(condition), crop_camera(camera, crop), behind).rgb)
    return torch.stack(pictures)
