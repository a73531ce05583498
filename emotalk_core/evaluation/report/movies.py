"""Frames and sound in, a small MP4 as a data address out, for pages that open offline."""

from __future__ import annotations

import base64
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Float32, UInt8

from emotalk_core.evaluation.drawing import encode, fit
from emotalk_core.media.audio import read_audio, write_wav
from emotalk_core.media.video import write_h264
from emotalk_core.types.manifest import FPS, SAMPLE_RATE

Picture = UInt8[np.ndarray, "H W 3"]
COMMENT = "synthetic talking head made by EmoTalk; not a recording"


def image_address(picture: Picture, kind: str = "JPEG") -> str:
    """A picture as a data address."""
    data = base64.b64encode(encode(picture, kind)).decode("ascii")
    return f"data:image/{kind.lower()};base64,{data}"


def side_by_side(pictures: Sequence[Picture], side: int) -> Picture:
    """Equal pictures in a row, each scaled to `side` px, even in height and width."""
    row = np.concatenate([fit(p, side) for p in pictures], axis=1)
    return row[: row.shape[0] // 2 * 2, : row.shape[1] // 2 * 2]


def piece_of_sound(wav: Path, first_frame: int, n_frames: int) -> Float32[np.ndarray, " S"]:
    """The sound of `n_frames` video frames from `first_frame` on, padded with silence."""
    per_frame = SAMPLE_RATE // FPS
    samples = read_audio(wav)[first_frame * per_frame : (first_frame + n_frames) * per_frame]
    return np.pad(samples, (0, n_frames * per_frame - len(samples)))


def movie_address(
    frames: Iterable[Picture],
    sound: Float32[np.ndarray, " S"] | None,
    folder: Path,
    crf: int,
) -> str:
    """An H.264 MP4 with sound as a data address; temporary files lie in `folder` for a moment."""
    with tempfile.TemporaryDirectory(dir=folder, prefix=".report_") as name:
        movie, wav = Path(name) / "movie.mp4", Path(name) / "sound.wav"
        if sound is not None:
            write_wav(wav, sound)
        write_h264(
            movie, frames, audio_wav=wav if sound is not None else None, crf=crf, comment=COMMENT
        )
        data = base64.b64encode(movie.read_bytes()).decode("ascii")
    return f"data:video/mp4;base64,{data}"
