"""Frames after H.264, the way the neighbouring projects score: frames in, decoded frames out."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from jaxtyping import UInt8

from emotalk_core.evaluation.frames import SubjectFrames, TrueFrame
from emotalk_core.media.video import VideoReader, decode_frames, write_h264, write_video

Frame = UInt8[np.ndarray, "H W 3"]


def _compress(frames: Iterable[Frame], folder: Path, name: str, crf: int) -> VideoReader:
    """Encode with x264, decode again, and keep the decoded pixels losslessly for random access."""
    coded, decoded = folder / f"{name}.mp4", folder / f"{name}.mkv"
    write_h264(coded, frames, crf=crf)
    write_video(decoded, decode_frames(coded))
    return VideoReader(decoded)


@contextmanager
def compressed_pair(
    render: Iterable[Frame], truth: SubjectFrames, source_frames: list[int], crf: int
) -> Iterator[tuple[VideoReader, Callable[[int], TrueFrame]]]:
    """Render and truth after the same encoder, as a reader and as a source of true frames.

    Both are encoded alone, at their own places in time; masks and boxes stay those of the clip.
    """
    with TemporaryDirectory(prefix="emotalk_h264_") as name, ExitStack() as stack:
        folder = Path(name)
        reader = stack.enter_context(_compress(render, folder, "render", crf))
        pictures = (truth.picture(i) for i in source_frames)
        own = stack.enter_context(_compress(pictures, folder, "truth", crf))
        place = {index: row for row, index in enumerate(source_frames)}
        yield reader, lambda index: replace(truth[index], source=own[place[index]])
