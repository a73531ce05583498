"""A look at a finished stage: its layer and some samples in, a strip of truth above render out."""

from __future__ import annotations

import base64

import cv2
import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from emotalk_core.training.layers.base import Layer
from emotalk_core.training.sampling import Sample, SamplePool
from emotalk_core.training.stages import Phase

COLUMNS = 6  # samples, spread over what the stage was trained on
SIDE = 128  # px of one picture
QUALITY = 90  # of the JPEG: about 45 kB a strip

Tile = UInt8[np.ndarray, "S S 3"]


def preview_samples(pool: SamplePool, held_out: int) -> list[Sample]:
    """The held-out frame and others in order; images of the emotion bank where there is one."""
    if len(pool.bank_images) and pool.bank_share > 0:
        chosen = np.linspace(0, len(pool.bank_images) - 1, COLUMNS).astype(int)
        return [Sample(int(pool.bank_frames[i]), int(pool.bank_images[i])) for i in chosen]
    chosen = pool.frames[np.linspace(0, len(pool.frames) - 1, COLUMNS - 1).astype(int)]
    return [Sample(int(frame)) for frame in sorted({held_out, *chosen.tolist()})]


def preview_strip(layer: Layer, phase: Phase, samples: list[Sample]) -> str:
    """What the stage compares in `phase`, truth above render, as base64 of a JPEG."""
    layer.module.eval()
    columns = []
    with torch.no_grad():
        for sample in samples:
            made = layer.step(phase, sample).context
            pair = [_tile(p) for p in (made.target, made.image) if p is not None]
            columns.append(np.concatenate(pair, axis=0))
    strip = cv2.cvtColor(np.concatenate(columns, axis=1), cv2.COLOR_RGB2BGR)
    _, data = cv2.imencode(".jpg", strip, [cv2.IMWRITE_JPEG_QUALITY, QUALITY])
    return base64.b64encode(data.tobytes()).decode("ascii")


def _tile(picture: Float[Tensor, "3 h w"]) -> Tile:
    """A crop of any shape, as large as it fits into a black square."""
    levels = (picture.clamp(0, 1) * 255).round().byte().permute(1, 2, 0).cpu().numpy()
    height, width = levels.shape[:2]
    scale = SIDE / max(height, width)
    size = max(1, round(width * scale)), max(1, round(height * scale))
    small = cv2.resize(levels, size, interpolation=cv2.INTER_AREA)
    tile = np.zeros((SIDE, SIDE, 3), dtype=np.uint8)
    tile[: size[1], : size[0]] = small
    return tile
