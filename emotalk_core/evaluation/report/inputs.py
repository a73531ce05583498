"""Which files of a subject a report is made of, and the clips inside a render."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd

from emotalk_core.errors import ConfigError, explain
from emotalk_core.evaluation.frames import check_render, read_render_table
from emotalk_core.media.video import VideoReader
from emotalk_core.types.manifest import Manifest


@dataclass(frozen=True)
class ReportSettings:
    """How large and how long the pictures and videos of the page are (our choice).

    Attributes:
        video_side: px of one picture inside a video.
        crf: H.264 quality of the page's videos (18 fine, 30 coarse); metrics never read them.
        max_seconds: length of a video.
        tile: px of one picture on the emotion circle.
        curve_frames: most frames of which lip curves are read.
    """

    video_side: int = 256
    crf: int = 25
    max_seconds: float = 8.0
    tile: int = 150
    curve_frames: int = 250

    def __post_init__(self) -> None:
        if self.video_side % 2 or self.video_side < 64:
            raise ConfigError(
                explain("video_side", self.video_side, "wanted an even number >= 64", "correct it")
            )


@dataclass(frozen=True)
class RenderFiles:
    """One scenario's frames and the table beside them."""

    video: Path
    table: Path


@dataclass(frozen=True)
class SubjectFiles:
    """The artifacts of one subject that its part of the page shows.

    Attributes:
        renders: method -> scenario -> files; may be empty.
        clip_audio: clip of cross_audio -> wav; clips without one are silent.
        emotion_audio: the wav that is spoken at every emotion point; None makes that video silent.
        training_logs: "emotalk face" -> log of that training stage; read where it exists.
        logs: folder of the stages' logs (times, memory); None leaves them out.
        checkpoints: method -> its finished avatar; with `cameras` its Gaussians are shown.
        speeds: tables of frames a second; none leaves them out.
        terms: scores/*.npz with the sync distances of every frame; none leaves that curve out.
    """

    manifest: Path
    video: Path
    audio: Path
    metrics: Path
    quality_json: Path
    quality_png: Path
    renders: Mapping[str, Mapping[str, RenderFiles]] = field(default_factory=dict)
    clip_audio: Mapping[str, Path] = field(default_factory=dict)
    emotion_audio: Path | None = None
    training_logs: Mapping[str, Path] = field(default_factory=dict)
    logs: Path | None = None
    checkpoints: Mapping[str, Path] = field(default_factory=dict)
    cameras: Path | None = None
    speeds: Sequence[Path] = ()
    terms: Sequence[Path] = ()


@dataclass(frozen=True)
class Clip:
    """Consecutive frames of a render with one name.

    Attributes:
        frames: indices in the render.
        source_frames, audio_frames: the same rows' columns.
        target: (valence, arousal) of the first row.
    """

    name: str
    frames: tuple[int, ...]
    source_frames: tuple[int, ...]
    audio_frames: tuple[int, ...]
    target: tuple[float, float]


def split_clips(table: pd.DataFrame) -> list[Clip]:
    """Clips of a render table in order of appearance."""
    clips = []
    for name, rows in table.groupby("clip", sort=False):
        clips.append(
            Clip(
                name=str(name),
                frames=tuple(int(i) for i in rows.index),
                source_frames=tuple(rows["source_frame"].astype(int)),
                audio_frames=tuple(rows["audio_frame"].astype(int)),
                target=(float(rows["valence"].iloc[0]), float(rows["arousal"].iloc[0])),
            )
        )
    return clips


def open_render(files: RenderFiles, manifest: Manifest) -> tuple[VideoReader, list[Clip]]:
    """Reader and clips of a render that has been checked against its table."""
    table = read_render_table(files.table, manifest)
    reader = VideoReader(files.video)
    check_render(files.video, reader, table, manifest)
    return reader, split_clips(table)
