"""RGB frames in, the probability of a person out (selfie segmentation of mediapipe)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from types import TracebackType
from typing import Any, Self

import numpy as np
from jaxtyping import UInt8

from emotalk_core.perception.landmarks.packaged import load_solutions, quiet_native_logs

SEGMENTER_ID = "selfie-mediapipe-0.10.21"
SQUARE_MODEL = 0  # 256x256 in; the other model wants landscape pictures


class PersonSegmenter:
    """Selfie segmentation; use as a context manager."""

    id = SEGMENTER_ID
    standing_for = "BiSeNet face parsing (person against background)"

    def __enter__(self) -> Self:
        solutions = load_solutions()
        with quiet_native_logs():
            self._model: Any = solutions.selfie_segmentation.SelfieSegmentation(SQUARE_MODEL)
            self._model.process(np.zeros((64, 64, 3), dtype=np.uint8))
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        with quiet_native_logs():
            self._model.close()

    def segment(self, frame: UInt8[np.ndarray, "H W 3"]) -> UInt8[np.ndarray, "H W"]:
        """Probability of person, 0..255."""
        mask = self._model.process(np.ascontiguousarray(frame)).segmentation_mask
        return np.round(np.clip(mask, 0, 1) * 255).astype(np.uint8)


def steady_masks(
    frames: Iterable[UInt8[np.ndarray, "H W 3"]], segmenter: PersonSegmenter
) -> Iterator[tuple[UInt8[np.ndarray, "H W 3"], UInt8[np.ndarray, "H W"]]]:
    """Every frame with the median of its own and both neighbours' person probability.

    The median takes single-frame failures and most of the flicker; three frames are held.
    """
    held: list[tuple[np.ndarray, np.ndarray]] = []
    for frame in frames:
        held.append((frame, segmenter.segment(frame)))
        if len(held) == 2:
            yield held[0][0], held[0][1]
        if len(held) == 3:
            yield held[1][0], _median3(*(mask for _, mask in held))
            held.pop(0)
    if held:
        yield held[-1]


def _median3(
    a: UInt8[np.ndarray, "H W"], b: UInt8[np.ndarray, "H W"], c: UInt8[np.ndarray, "H W"]
) -> UInt8[np.ndarray, "H W"]:
    return np.maximum(np.minimum(a, b), np.minimum(np.maximum(a, b), c))
