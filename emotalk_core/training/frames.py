"""Frames of several lossless videos through one cache with a byte budget."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from jaxtyping import UInt8

from emotalk_core.media.video import VideoReader

MIB = 1 << 20


class FrameStore:
    """Decoded frames by (file name, index); the least recently used leave when the budget is full.

    The budget changes only the speed: what a frame holds does not depend on it.
    """

    def __init__(self, paths: Mapping[str, Path], budget_mib: int) -> None:
        self._readers = {name: VideoReader(path) for name, path in sorted(paths.items())}
        self._budget = budget_mib * MIB
        self._used = 0
        self._frames: OrderedDict[tuple[str, int], np.ndarray] = OrderedDict()

    def get(self, name: str, index: int) -> UInt8[np.ndarray, "..."]:
        """One frame, not to be written to."""
        key = (name, index)
        if key in self._frames:
            self._frames.move_to_end(key)
            return self._frames[key]
        frame = self._readers[name][index]
        frame.setflags(write=False)
        self._keep(key, frame)
        return frame

    def _keep(self, key: tuple[str, int], frame: np.ndarray) -> None:
        self._frames[key] = frame
        self._used += frame.nbytes
        while self._used > self._budget and len(self._frames) > 1:
            _, old = self._frames.popitem(last=False)
            self._used -= old.nbytes

    def preload(self, names: Sequence[str], indices: Sequence[int]) -> None:
        """Decode in file order (fast) until the budget is full."""
        for index in sorted(set(indices)):
            for name in names:
                if self._used >= self._budget:
                    return
                self.get(name, index)

    @property
    def used_bytes(self) -> int:
        """Bytes of decoded frames held now."""
        return self._used

    def close(self) -> None:
        """Release files and frames."""
        for reader in self._readers.values():
            reader.close()
        self._frames.clear()
        self._used = 0
