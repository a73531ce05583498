"""A user's video in, upright RGB frames with their times and the sound on the same clock out."""

from __future__ import annotations

import logging
import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
from jaxtyping import Float32, UInt8

from emotalk_core.errors import InputError
from emotalk_core.types.manifest import SAMPLE_RATE

LOG = logging.getLogger(__name__)

INT16_FULL = 32_768
MAX_AUDIO_GAP = 0.05  # s; sound whose times jump by more is moved to where its times say
LOST_SHARE, LOST_SECONDS = 0.02, 0.25  # a file may hold this much less than its header announces
HDR_TRANSFERS = (16, 18)  # PQ and HLG, by their numbers in ITU-T H.273
THUMBNAIL = 48  # px; enough to see a cut, too small to see lips move


@dataclass(frozen=True)
class SourceFrame:
    """One decoded frame; pixels are converted only when asked for.

    Attributes:
        index: 0, 1, 2 ... in order of time.
        seconds: time from the first frame.
        picture: as decoded, not yet turned upright.
        pixel_aspect: width of a pixel over its height, as stored.
    """

    index: int
    seconds: float
    picture: av.VideoFrame
    pixel_aspect: float = 1.0

    def rgb(self) -> UInt8[np.ndarray, "H W 3"]:
        """Upright RGB with square pixels."""
        image: np.ndarray = self.picture.to_ndarray(format="rgb24")
        image = np.rot90(image, round(self.picture.rotation / 90) % 4)
        if self.pixel_aspect == 1.0:
            return np.ascontiguousarray(image)
        turned = round(self.picture.rotation / 90) % 2 == 1
        factor = 1 / self.pixel_aspect if turned else self.pixel_aspect
        size = (max(round(image.shape[1] * factor), 1), image.shape[0])
        return cv2.resize(np.ascontiguousarray(image), size, interpolation=cv2.INTER_AREA)

    @property
    def warning(self) -> str:
        """What is odd about the coding of this frame, "" where nothing is."""
        if self.picture.color_trc in HDR_TRANSFERS:
            return (
                "high dynamic range (PQ or HLG): colours are read as if it were standard and look "
                "dull; film in standard range, or convert with ffmpeg's zscale and tonemap"
            )
        if self.picture.interlaced_frame:
            return "interlaced: moving edges are combed; deinterlace with `ffmpeg -vf yadif`"
        return ""

    def thumbnail(self) -> Float32[np.ndarray, "48 48"]:
        """Grey values in 0..1 of a small picture (not turned: only its changes matter)."""
        small = self.picture.reformat(THUMBNAIL, THUMBNAIL, "gray", interpolation="AREA")
        return small.to_ndarray().astype(np.float32) / 255


class SourceVideo:
    """Any container and codec that libav reads; may be walked through several times.

    Attributes:
        path: the file.
        announced_frames: how many frames its header promises, 0 when it does not say.
        announced_seconds: how long it promises to be, 0 when it does not say.
        has_audio: whether there is an audio track.
        comment: comment in its metadata (the synthetic actor is known by it).
        part: (begin, end) on the whole file's clock, s: only this is seen and heard; None: all.

    Raises:
        InputError: the file cannot be opened or has no picture track.
    """

    def __init__(
        self, path: Path, threads: int = 1, part: tuple[float, float] | None = None
    ) -> None:
        self.path, self.part, self._threads = Path(path), part, threads
        with self._open() as container:
            stream = _video_stream(self.path, container)
            self.announced_frames = int(stream.frames)
            self.comment = str(container.metadata.get("comment", ""))
            self.has_audio = bool(container.streams.audio)
            self.announced_seconds = (container.duration or 0) / av.time_base
            self._aspect = float(stream.sample_aspect_ratio or 1)
            self._rate = float(stream.average_rate or stream.guessed_rate or Fraction(25))

    def _open(self) -> av.container.InputContainer:
        try:
            return av.open(str(self.path))
        except (av.FFmpegError, OSError) as error:
            raise InputError(
                f"{self.path}: cannot be opened as video ({error}): 0 frames could be read; the "
                "file is missing, truncated or no video: copy or export it again"
            ) from error

    def only(self, begin: float, end: float) -> SourceVideo:
        """The same file from `begin` to before `end`, s; its first frame is at 0 s."""
        return SourceVideo(self.path, self._threads, (begin, end))

    @property
    def expected_frames(self) -> int:
        """How many frames there should be: from the header, or from duration and rate."""
        if self.part is not None:
            return round((self.part[1] - self.part[0]) * self._rate)
        return self.announced_frames or round(self.announced_seconds * self._rate)

    def frames(self) -> Iterator[SourceFrame]:
        """All frames (of the part) in order of time.

        Raises:
            InputError: the data breaks off; says how many frames could be read.
        """
        if self.part is None:
            yield from self._all_frames()
            return
        begin, end = self.part
        inside = (frame for frame in self._all_frames() if begin <= frame.seconds < end)
        for index, frame in enumerate(inside):
            yield replace(frame, index=index, seconds=frame.seconds - begin)

    def _all_frames(self) -> Iterator[SourceFrame]:
        count, first, last = 0, 0.0, -math.inf
        with self._open() as container:
            stream = _video_stream(self.path, container)
            stream.thread_count = self._threads
            try:
                for picture in container.decode(stream):
                    seconds = picture.time if picture.time is not None else count / self._rate
                    first = seconds if count == 0 else first
                    if seconds - first <= last:
                        continue  # a repeated time stamp shows nothing new
                    last = seconds - first
                    yield SourceFrame(count, last, picture, self._aspect)
                    count += 1
            except av.FFmpegError as error:
                raise InputError(self._broken(count, str(error))) from error
        self._check_complete(count, last + 1 / self._rate)

    def _check_complete(self, count: int, seconds: float) -> None:
        """Refuse a file that holds clearly less than its header says."""
        if count == 0:
            raise InputError(self._broken(0, "no frame could be decoded"))
        slack = LOST_SHARE * self.announced_frames + LOST_SECONDS * self._rate
        if self.announced_frames and count < self.announced_frames - slack:
            raise InputError(self._broken(count, "the file ends early"))
        enough = self.announced_seconds * (1 - LOST_SHARE) - LOST_SECONDS
        if seconds < enough and self._last_packet_seconds() < enough:
            raise InputError(self._broken(count, "the file ends early"))

    def _last_packet_seconds(self) -> float:
        """Where the longest track ends: sound may well outlast the picture."""
        last = 0.0
        with self._open() as container:
            origin = (container.start_time or 0) / av.time_base
            for packet in container.demux():
                if packet.pts is not None and packet.time_base is not None:
                    end = (packet.pts + (packet.duration or 0)) * packet.time_base
                    last = max(last, float(end) - origin)
        return last

    def _broken(self, count: int, why: str) -> str:
        of = f" of {self.announced_frames}" if self.announced_frames else ""
        return (
            f"{self.path}: unreadable or truncated video ({why}): {count}{of} frames could be "
            "read; copy or export the file again"
        )

    def start_seconds(self) -> float:
        """Time of the first frame on the container's clock (sound is placed against it)."""
        with self._open() as container:
            stream = _video_stream(self.path, container)
            for picture in container.decode(stream):
                return picture.time or 0.0
        return 0.0

    def require_sound(self) -> None:
        """Raise InputError when the file has no audio track."""
        if not self.has_audio:
            raise InputError(
                f"{self.path}: has no audio track; a talking head needs the speaker's own sound: "
                "give a video with sound (or mux the wav into it)"
            )

    def sound(self) -> Float32[np.ndarray, " N"]:
        """The first sound track as 16 kHz mono in [-1,1]; sample 0 sounds at the first frame.

        Of a part, what sounds in it.

        Gaps in the track's times are filled with silence; what lies before the first frame is
        dropped.

        Raises:
            InputError: no audio track, or one that cannot be decoded.
        """
        self.require_sound()
        timeline = _Timeline()
        start = self.start_seconds()
        with self._open() as container:
            try:
                for frame in container.decode(audio=0):
                    timeline.add(frame, None if frame.time is None else frame.time - start)
            except av.FFmpegError as error:
                raise InputError(
                    f"{self.path}: the audio track is broken ({error}); export the file again"
                ) from error
        track = timeline.finish()
        if self.part is None:
            return track
        begin, end = (round(seconds * SAMPLE_RATE) for seconds in self.part)
        return track[begin:end]


class _Timeline:
    """Pieces of sound with times in, one gapless 16 kHz mono track out."""

    def __init__(self) -> None:
        self._segments: list[tuple[int, list[np.ndarray]]] = []
        self._resampler: av.AudioResampler | None = None
        self._due = -math.inf  # s; where the next piece should begin

    def add(self, frame: av.AudioFrame, seconds: float | None) -> None:
        """Append a piece; a jump of its time against the last piece's end starts a new segment."""
        begin = max(self._due, 0.0) if seconds is None else seconds
        if self._resampler is None or abs(begin - self._due) > MAX_AUDIO_GAP:
            self._flush()
            self._resampler = av.AudioResampler(format="s16", layout="mono", rate=SAMPLE_RATE)
            self._segments.append((round(begin * SAMPLE_RATE), []))
            self._due = begin
        self._due += frame.samples / frame.sample_rate
        self._keep(self._resampler.resample(frame))

    def finish(self) -> Float32[np.ndarray, " N"]:
        """The whole track from second 0 on; silence where no piece lies."""
        self._flush()
        parts = [(start, np.concatenate(got)) for start, got in self._segments if got]
        total = max((start + part.size for start, part in parts), default=0)
        track = np.zeros(max(total, 0), dtype=np.float32)
        for start, part in parts:
            visible = part[max(-start, 0) :]
            track[max(start, 0) : max(start, 0) + visible.size] = visible
        return track / INT16_FULL

    def _flush(self) -> None:
        if self._resampler is not None:
            self._keep(self._resampler.resample(None))

    def _keep(self, pieces: list[av.AudioFrame]) -> None:
        self._segments[-1][1].extend(piece.to_ndarray()[0] for piece in pieces)


def _video_stream(path: Path, container: av.container.InputContainer) -> av.VideoStream:
    """The best picture track (cover pictures lose against films)."""
    stream = container.streams.best("video")
    if not isinstance(stream, av.VideoStream):
        raise InputError(f"{path}: has no picture track; give a video of one talking person")
    return stream
