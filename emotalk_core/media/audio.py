"""Sound in and out: any file to 16 kHz mono float, and back to 16-bit wav."""

from __future__ import annotations

import io
import wave
from pathlib import Path

import av
import numpy as np
from jaxtyping import Float32

from emotalk_core.errors import InputError
from emotalk_core.media.atomic import atomic_path
from emotalk_core.types.manifest import SAMPLE_RATE

INT16_MAX = 32767  # full scale of 16-bit PCM


def read_audio(path: Path, sample_rate: int = SAMPLE_RATE) -> Float32[np.ndarray, " S"]:
    """Decode the first audio track of any file to mono float32 in [-1,1] at `sample_rate` Hz.

    Raises:
        InputError: no audio track, or the file cannot be decoded.
    """
    try:
        container = av.open(str(path))
    except (av.FFmpegError, OSError) as error:
        raise InputError(
            f"{path}: cannot be opened ({error}); give an audio or video file"
        ) from error
    with container:
        if not container.streams.audio:
            raise InputError(
                f"{path}: has no audio track; a talking head needs the speaker's own sound, "
                "give a video with sound (or mux the wav into it)"
            )
        resampler = av.AudioResampler(format="s16", layout="mono", rate=sample_rate)
        pieces: list[np.ndarray] = []
        try:
            for frame in container.decode(audio=0):
                pieces.extend(p.to_ndarray()[0] for p in resampler.resample(frame))
            pieces.extend(p.to_ndarray()[0] for p in resampler.resample(None))
        except av.FFmpegError as error:
            raise InputError(
                f"{path}: audio track is broken ({error}); re-export the file"
            ) from error
    if not pieces:
        return np.zeros(0, dtype=np.float32)
    return np.concatenate(pieces).astype(np.float32) / (INT16_MAX + 1)


def wav_bytes(samples: Float32[np.ndarray, " S"], sample_rate: int = SAMPLE_RATE) -> bytes:
    """Mono float samples in [-1,1] as a 16-bit PCM wav file."""
    pcm = np.clip(np.round(samples * (INT16_MAX + 1)), -INT16_MAX - 1, INT16_MAX).astype("<i2")
    file = io.BytesIO()
    with wave.open(file, "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(2)
        out.setframerate(sample_rate)
        out.writeframes(pcm.tobytes())
    return file.getvalue()


def write_wav(
    path: Path, samples: Float32[np.ndarray, " S"], sample_rate: int = SAMPLE_RATE
) -> None:
    """Write mono float samples in [-1,1] as 16-bit PCM wav, whole or not at all."""
    with atomic_path(Path(path)) as temporary:
        temporary.write_bytes(wav_bytes(samples, sample_rate))
