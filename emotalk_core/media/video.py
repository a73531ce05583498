"""Lossless all-intra video artifacts (FFV1 in Matroska): write streams, read any frame exactly."""

from __future__ import annotations

import contextlib
import hashlib
import platform
from collections.abc import Iterable, Iterator, Sequence
from fractions import Fraction
from pathlib import Path
from types import TracebackType

import av
import numpy as np
from jaxtyping import UInt8

from emotalk_core.errors import ArtifactError, InputError
from emotalk_core.media.atomic import atomic_path, unreadable
from emotalk_core.types.manifest import FPS

# ndarray format -> lossless FFV1 pixel format
PIXEL_FORMATS = {"rgb24": "bgr0", "gray": "gray"}
DECODED_AHEAD = 2  # frames of a sequential walk that are decoded while the last one is looked at
# x264's rate control depends on how many threads look ahead, and on their timing for small
# pictures: with one, equal frames give equal pixels in every run and on any number of cores.
# Its AVX-512 code reads beyond the rows of narrow pictures, so that what lies in memory there
# moves the rate (seen at 96 px; 40.6 dB became 37.8): with SSE2 code it gives the pixels of its
# C code at the speed of the rest.
X264_REPEATABLE = "threads=1:lookahead-threads=1"
if platform.machine().lower() in {"x86_64", "amd64", "i686"}:
    X264_REPEATABLE += ":asm=SSE2Fast"


class VideoWriter:
    """Streams frames into one FFV1 file; the file appears whole on success and not at all on error.

    Frames are [H,W,3] RGB uint8 or [H,W] uint8 (labels, alpha). Every frame is a key frame.
    """

    def __init__(self, path: Path, fps: int = FPS, comment: str = "") -> None:
        """Open for writing.

        Args:
            path: the file that appears when all frames are written.
            fps: frames per second.
            comment: provenance text for the container's metadata.
        """
        self._comment = comment
        self._context = atomic_path(Path(path))
        self._temporary = self._context.__enter__()
        self._fps = fps
        self._container: av.container.OutputContainer | None = None
        self._stream: av.VideoStream | None = None
        self.n_frames = 0

    def __enter__(self) -> VideoWriter:
        return self

    def _open(self, height: int, width: int, layout: str) -> None:
        # bitexact: no encoder version or random segment UID in the header, so equal frames give
        # equal bytes
        self._container = av.open(
            str(self._temporary), "w", format="matroska", options={"fflags": "+bitexact"}
        )
        if self._comment:
            self._container.metadata["comment"] = self._comment
        stream = self._container.add_stream("ffv1", rate=Fraction(self._fps))
        stream.width, stream.height = width, height
        stream.pix_fmt = PIXEL_FORMATS[layout]
        stream.gop_size = 1  # all-intra: frame-exact random access
        stream.codec_context.thread_count = 1
        stream.codec_context.options = {"flags": "+bitexact"}
        self._stream = stream

    def write(self, frame: UInt8[np.ndarray, "..."]) -> None:
        """Append one frame."""
        layout = "gray" if frame.ndim == 2 else "rgb24"
        if self._container is None:
            self._open(frame.shape[0], frame.shape[1], layout)
        assert self._container is not None and self._stream is not None
        picture = av.VideoFrame.from_ndarray(np.ascontiguousarray(frame), format=layout)
        picture.pts = self.n_frames
        picture.time_base = Fraction(1, self._fps)
        for packet in self._stream.encode(picture):
            self._container.mux(packet)
        self.n_frames += 1

    def _finish(self) -> None:
        if self._container is None or self._stream is None:
            raise ArtifactError(
                f"{self._temporary.name}: no frames were written; see the log above"
            )
        for packet in self._stream.encode(None):
            self._container.mux(packet)
        self._container.close()
        self._container = None

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if kind is None:
            try:
                self._finish()
            except BaseException as failure:
                self._abandon()
                if not self._context.__exit__(type(failure), failure, failure.__traceback__):
                    raise
            else:
                self._context.__exit__(None, None, None)
            return
        self._abandon()
        self._context.__exit__(kind, error, trace)

    def _abandon(self) -> None:
        """Close a file that will not be kept; a full disk lets even that fail."""
        if self._container is not None:
            with contextlib.suppress(av.FFmpegError, OSError):
                self._container.close()
            self._container = None


def write_video(path: Path, frames: Iterable[UInt8[np.ndarray, "..."]], fps: int = FPS) -> int:
    """Write an iterable of frames losslessly; returns how many."""
    with VideoWriter(path, fps) as writer:
        for frame in frames:
            writer.write(frame)
        return writer.n_frames


class VideoReader:
    """Random access to a lossless artifact written by `VideoWriter`.

    `reader[i]` gives [H,W,3] RGB (or [H,W] for one-plane files) uint8; iteration is sequential
    and fast. `comment` is the provenance text in the file's metadata, "" without one.
    Not shared between threads: open one reader per thread.
    """

    def __init__(self, path: Path) -> None:
        self.path = Path(path)
        try:
            self._container = av.open(str(path))
            self._stream = self._container.streams.video[0]
            named = {k.lower(): v for k, v in self._container.metadata.items()}
            self.comment: str = named.get("comment", "")
        except (av.FFmpegError, IndexError, OSError) as error:
            raise unreadable(path, "video", error) from error
        self.fps = int(self._stream.average_rate or FPS)
        codec = self._stream.codec_context
        self.width, self.height = codec.width, codec.height
        self._layout = "gray" if self._stream.codec_context.pix_fmt == "gray" else "rgb24"
        self._length: int | None = None
        self._position = 0  # index of the frame that decode() gives next
        self._decoder = self._container.decode(self._stream)

    def __len__(self) -> int:
        if self._length is None:
            with av.open(str(self.path)) as probe:
                self._length = sum(1 for p in probe.demux(video=0) if p.size)
        return self._length

    def _seek(self, index: int) -> None:
        assert self._stream.time_base is not None
        timestamp = int(Fraction(index, self.fps) / self._stream.time_base)
        self._container.seek(timestamp, stream=self._stream, backward=True)
        self._decoder = self._container.decode(self._stream)
        self._position = -1

    def __getitem__(self, index: int) -> UInt8[np.ndarray, "..."]:
        if not 0 <= index < len(self):
            raise IndexError(f"frame {index} of {self.path.name}: has {len(self)} frames")
        if index != self._position:
            self._seek(index)
        for frame in self._decoder:
            assert frame.pts is not None and frame.time_base is not None
            here = round(float(frame.pts * frame.time_base * self.fps))
            if here == index:
                self._position = index + 1
                return frame.to_ndarray(format=self._layout)
        raise ArtifactError(f"{self.path}: frame {index} cannot be read; delete it and run again")

    def __iter__(self) -> Iterator[UInt8[np.ndarray, "..."]]:
        with av.open(str(self.path)) as container:
            codec = container.streams.video[0].codec_context
            codec.thread_type, codec.thread_count = "FRAME", DECODED_AHEAD
            for frame in container.decode(video=0):
                yield frame.to_ndarray(format=self._layout)

    def close(self) -> None:
        """Release the file."""
        self._container.close()

    def __enter__(self) -> VideoReader:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def read_video(path: Path, indices: Sequence[int] | None = None) -> UInt8[np.ndarray, "T ..."]:
    """All frames (or the chosen ones) of a lossless artifact as one array."""
    with VideoReader(path) as reader:
        if indices is None:
            return np.stack(list(reader))
        return np.stack([reader[i] for i in indices])


def expect_frames(path: Path, n_frames: int, made_by: str) -> None:
    """Raise ArtifactError when a video artifact has another number of frames than the manifest."""
    with VideoReader(path) as reader:
        if len(reader) != n_frames:
            raise ArtifactError(
                f"{path}: has {len(reader)} frames, the manifest says {n_frames}; "
                f"delete it so that rule {made_by} makes it again"
            )


class FramesHash:
    """Running sha256 over shapes and pixels of frames (container bytes do not matter)."""

    def __init__(self) -> None:
        self._digest = hashlib.sha256()

    def add(self, frame: UInt8[np.ndarray, "..."]) -> None:
        """Take the next frame in."""
        self._digest.update(repr(frame.shape).encode())
        self._digest.update(np.ascontiguousarray(frame).tobytes())

    def hexdigest(self) -> str:
        """Hash of the frames so far."""
        return self._digest.hexdigest()


def frames_sha256(frames: Iterable[UInt8[np.ndarray, "..."]]) -> str:
    """Hex sha256 of a whole sequence of frames."""
    digest = FramesHash()
    for frame in frames:
        digest.add(frame)
    return digest.hexdigest()


def write_h264(
    path: Path,
    frames: Iterable[UInt8[np.ndarray, "H W 3"]],
    audio_wav: Path | None = None,
    fps: int = FPS,
    crf: int = 18,
    comment: str = "",
) -> None:
    """Write a viewable MP4 (H.264 yuv420p, AAC sound) for people.

    Args:
        path: an .mp4 file.
        frames: RGB uint8, even height and width.
        audio_wav: 16-bit wav that is muxed as sound, or None.
        fps: frames per second.
        crf: quality of x264, smaller is better (18 looks lossless).
        comment: provenance text that goes into the container's metadata.
    """
    with atomic_path(Path(path)) as temporary, av.open(str(temporary), "w", format="mp4") as out:
        out.metadata["comment"] = comment
        options = {"crf": str(crf), "preset": "fast", "x264-params": X264_REPEATABLE}
        video = out.add_stream("libx264", rate=fps, options=options)
        video.pix_fmt = "yuv420p"
        sound = out.add_stream("aac", rate=44_100) if audio_wav is not None else None
        for index, frame in enumerate(frames):
            if index == 0:
                video.height, video.width = frame.shape[0], frame.shape[1]
            picture = av.VideoFrame.from_ndarray(np.ascontiguousarray(frame), format="rgb24")
            picture.pts = index
            picture.time_base = Fraction(1, fps)
            out.mux(video.encode(picture))
        out.mux(video.encode(None))
        if sound is not None and audio_wav is not None:
            _mux_audio(out, sound, audio_wav)


def decode_frames(path: Path) -> Iterator[UInt8[np.ndarray, "H W 3"]]:
    """Frames of any video file in order, RGB."""
    with av.open(str(path)) as container:
        for frame in container.decode(video=0):
            yield frame.to_ndarray(format="rgb24")


def _mux_audio(out: av.container.OutputContainer, sound: av.AudioStream, wav: Path) -> None:
    """Encode a wav into an open container."""
    try:
        source = av.open(str(wav))
    except (av.FFmpegError, OSError) as error:
        raise InputError(f"{wav}: not readable as audio ({error}); give a wav file") from error
    with source:
        resampler = av.AudioResampler(format="fltp", layout="mono", rate=44_100)
        for frame in source.decode(audio=0):
            for piece in resampler.resample(frame):
                out.mux(sound.encode(piece))
        out.mux(sound.encode(None))
