"""Tiny videos with and without faces for tests: frames, sound, containers, frame times."""

from __future__ import annotations

import subprocess
from collections.abc import Iterable, Sequence
from fractions import Fraction
from functools import lru_cache
from pathlib import Path

import av
import cv2
import numpy as np
import pytest

REAL = Path(__file__).resolve().parents[1] / "../shared/real"
TIME_BASE = Fraction(1, 1000)


def real_clip(name: str) -> Path:
    """A real clip of the development machine; skips where the folder is absent."""
    if not (REAL / name).is_file():
        pytest.skip(f"../shared/real is absent (wanted {name})")
    return REAL / name


@lru_cache(maxsize=1)
def portrait() -> np.ndarray:
    """512 x 512 RGB picture of one face (public domain, from scikit-image)."""
    from skimage import data

    return data.astronaut()


def face_frame(
    index: int, height: int = 180, width: int = 240, zoom: float = 1.0, x: float = 0.5
) -> np.ndarray:
    """A frame whose face (about 0.4 * zoom of the height) sways by a few px around column x."""
    face_y, face_x, face_height = 110.0, 225.0, 130.0  # px in the portrait
    scale = 0.4 * zoom * height / face_height
    sway = 0.02 * height * np.sin(2 * np.pi * index / 40)
    shift = (x * width + sway - scale * face_x, 0.5 * height - scale * face_y)
    matrix = np.array([[scale, 0, shift[0]], [0, scale, shift[1]]])
    return cv2.warpAffine(
        portrait(), matrix, (width, height), flags=cv2.INTER_AREA, borderMode=cv2.BORDER_REPLICATE
    )


def pattern_frame(index: int, height: int = 96, width: int = 128) -> np.ndarray:
    """A smooth moving pattern without any face."""
    y, x = np.mgrid[:height, :width] / 16.0
    waves = [np.sin(x + 0.05 * index + k) * np.cos(y - k) for k in range(3)]
    return (np.stack(waves, axis=-1) * 100 + 128).astype(np.uint8)


def babble(seconds: float, rate: int = 16_000, level: float = 0.2, seed: int = 0) -> np.ndarray:
    """Noise in syllables (4 a second), float mono."""
    time = np.arange(round(seconds * rate)) / rate
    noise = np.random.default_rng(seed).normal(0, level, time.size)
    return (noise * np.sin(2 * np.pi * 2 * time) ** 2).clip(-1, 1)


def write_clip(
    path: Path,
    frames: Iterable[np.ndarray],
    sound: np.ndarray | None,
    *,
    times_ms: Sequence[int] | None = None,
    fps: int = 25,
    rate: int = 16_000,
    stereo: bool = False,
    options: dict[str, str] | None = None,
) -> Path:
    """Encode a clip (H.264 and AAC); `times_ms` gives each frame its own time."""
    with av.open(str(path), "w", options=options or {}) as out:
        video = out.add_stream("libx264", rate=fps, options={"crf": "16", "preset": "ultrafast"})
        video.time_base = video.codec_context.time_base = TIME_BASE
        audio = None
        if sound is not None:
            audio = out.add_stream("aac", rate=rate, layout="stereo" if stereo else "mono")
        for index, image in enumerate(frames):
            if index == 0:
                video.height, video.width = image.shape[:2]
                odd = image.shape[0] % 2 or image.shape[1] % 2
                video.pix_fmt = "yuv444p" if odd else "yuv420p"
            picture = av.VideoFrame.from_ndarray(np.ascontiguousarray(image), format="rgb24")
            picture.pts = times_ms[index] if times_ms else round(1000 * index / fps)
            picture.time_base = TIME_BASE
            out.mux(video.encode(picture))
        out.mux(video.encode(None))
        if audio is not None and sound is not None:
            _write_sound(out, audio, sound, rate, stereo)
    return path


def _write_sound(out, audio, sound: np.ndarray, rate: int, stereo: bool) -> None:
    channels = np.stack([sound, sound]) if stereo else sound[None]
    for begin in range(0, channels.shape[1], 1024):
        piece = channels[:, begin : begin + 1024].astype(np.float32)
        frame = av.AudioFrame.from_ndarray(
            np.ascontiguousarray(piece), format="fltp", layout="stereo" if stereo else "mono"
        )
        frame.sample_rate, frame.pts, frame.time_base = rate, begin, Fraction(1, rate)
        out.mux(audio.encode(frame))
    out.mux(audio.encode(None))


def ffmpeg(*arguments: str) -> None:
    """Run the packaged ffmpeg program (an independent maker of odd files)."""
    import imageio_ffmpeg

    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-y", *arguments]
    subprocess.run(command, check=True, capture_output=True)
