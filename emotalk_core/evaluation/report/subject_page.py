"""One subject's files in, the pictures, videos and charts of its part of the page out."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Float32, UInt8

from emotalk_core.emotion.circle import CLASSES
from emotalk_core.evaluation.audio_lips import fit_lip_ridge, frame_features
from emotalk_core.evaluation.drawing import error_map, spread
from emotalk_core.evaluation.face_points import lid_opening
from emotalk_core.evaluation.frame_terms import read_terms
from emotalk_core.evaluation.frames import mouth_box
from emotalk_core.evaluation.metrics.base import CROSS, EMOTION, SELF
from emotalk_core.evaluation.readers import LandmarkReader
from emotalk_core.evaluation.report.curves import (
    lip_chart,
    lip_openings,
    matched,
    sync_chart,
    training_chart,
)
from emotalk_core.evaluation.report.gaussian_views import gaussian_views, stage_strips
from emotalk_core.evaluation.report.inputs import Clip, ReportSettings, SubjectFiles, open_render
from emotalk_core.evaluation.report.movies import (
    image_address,
    movie_address,
    piece_of_sound,
    side_by_side,
)
from emotalk_core.evaluation.report.pictures import (
    EmotionTile,
    emotion_circle,
    labelled,
    reconstruction_rows,
    stack,
)
from emotalk_core.evaluation.report.plots import emotion_plane
from emotalk_core.evaluation.report.stage_times import StageTime, stage_times
from emotalk_core.evaluation.scoring import target_label
from emotalk_core.evaluation.tables.build import (
    ReadPoint,
    method_name,
    method_order,
    read_points,
)
from emotalk_core.evaluation.tables.stage import join_speeds
from emotalk_core.media.atomic import read_json
from emotalk_core.media.audio import read_audio
from emotalk_core.media.tables import read_manifest, read_table
from emotalk_core.media.video import VideoReader
from emotalk_core.types.manifest import FPS, Manifest
from emotalk_core.types.metrics import METRIC_COLUMNS

logger = logging.getLogger(__name__)
Picture = UInt8[np.ndarray, "H W 3"]
PAIR_ROWS = 4  # rows of truth, render, error
MOUTH_COLUMNS = 8  # lossless mouth crops
MOUTH_SIDE = 112  # px of a mouth crop on the page
GRID_COLUMNS = 4  # of the 12-emotion video
GRID_SIDE = 160  # px of one emotion in the video
FIT_FRAMES = 40  # with a face; with fewer the page draws no expected lips
MAX_SPEECH_CLIPS = 3  # cross-audio videos on the page
SYNC_TERMS = "sync_d@sync"  # in scores/*.npz: distances at every shift


@dataclass(frozen=True)
class Movie:
    """A video on the page; `kind` says where it stands: "wide", "speech" or "point"."""

    title: str
    note: str
    address: str
    poster: str
    kind: str


@dataclass
class SubjectPage:
    """What the template shows of one subject; filled part by part, empty parts are left out."""

    name: str
    manifest: Manifest
    quality: Mapping[str, Any]
    quality_picture: str
    metrics: pd.DataFrame
    sheet: Picture | None = None
    hero: str = ""
    mouths: str = ""
    movies: list[Movie] = field(default_factory=list)
    lip_charts: list[tuple[str, str]] = field(default_factory=list)
    training_charts: list[tuple[str, str]] = field(default_factory=list)
    plane: str = ""
    points: list[ReadPoint] = field(default_factory=list)
    classes: tuple[str, ...] = CLASSES
    gaussians: str = ""
    stage_strips: list[tuple[str, str]] = field(default_factory=list)
    n_gaussians: int = 0
    stage_times: list[StageTime] = field(default_factory=list)
    speeds: list[dict[str, Any]] = field(default_factory=list)
    provenance: Mapping[str, Any] = field(default_factory=dict)


def _self_reconstruction(
    page: SubjectPage,
    files: SubjectFiles,
    method: str,
    detector: LandmarkReader,
    settings: ReportSettings,
    folder: Path,
) -> Picture:
    """Video, mouth crops and lip curve of the held-out part; gives back the truth-render sheet."""
    render, clips = open_render(files.renders[method][SELF], page.manifest)
    clip = clips[0]
    with render, VideoReader(files.video) as video:
        chosen = [clip.frames[i] for i in spread(len(clip.frames), PAIR_ROWS)]
        source = dict(zip(clip.frames, clip.source_frames))
        pairs = [(source[i], video[source[i]], render[i]) for i in chosen]
        page.mouths = _mouth_strip(clip, render, video, detector)
        length = min(len(clip.frames), int(settings.max_seconds * FPS))

        def rows() -> Iterator[Picture]:
            for index in clip.frames[:length]:
                truth, drawn = video[source[index]], render[index]
                yield side_by_side((truth, drawn, error_map(drawn, truth)), settings.video_side)

        sound = piece_of_sound(files.audio, clip.audio_frames[0], length)
        page.movies.append(
            _movie(
                "Self-reconstruction",
                "Truth, render, error (black = equal, bright = 64 grey levels); held-out frames.",
                "wide",
                rows(),
                sound,
                folder,
                settings.crf,
            )
        )
        seen = clip.frames[: settings.curve_frames]
        truth_lips = lip_openings((video[source[i]] for i in seen), detector)
        render_lips = lip_openings((render[i] for i in seen), detector)
    if not (np.isfinite(truth_lips).any() and np.isfinite(render_lips).any()):
        logger.warning("report %s: no face found on held-out frames, no lip curve", page.name)
        return reconstruction_rows(pairs, settings.tile, "Held-out frames")
    page.lip_charts.append(
        (
            "Held-out frames: lips of the render against the truth",
            lip_chart(
                [("truth", truth_lips), (method, render_lips)],
                "lip opening over time, truth and render",
            ),
        )
    )
    return reconstruction_rows(pairs, settings.tile, "Held-out frames")


def _mouth_strip(
    clip: Clip, render: VideoReader, video: VideoReader, detector: LandmarkReader
) -> str:
    """Mouths of truth (above) and render (below), lossless, as a PNG address."""
    columns = []
    for place in spread(len(clip.frames), MOUTH_COLUMNS):
        truth = video[clip.source_frames[place]]
        points = detector.detect(truth)
        if points is None:
            continue
        y0, y1, x0, x1 = mouth_box(points[:, :2], *truth.shape[:2])
        side = max(y1 - y0, x1 - x0)
        y0 = int(np.clip((y0 + y1 - side) // 2, 0, truth.shape[0] - side))
        x0 = int(np.clip(x0, 0, truth.shape[1] - side))
        crops = [p[y0 : y0 + side, x0 : x0 + side] for p in (truth, render[clip.frames[place]])]
        columns.append(np.concatenate([side_by_side([c], MOUTH_SIDE) for c in crops], axis=0))
    return image_address(np.concatenate(columns, axis=1), "PNG") if columns else ""


def _cross_audio(
    page: SubjectPage,
    files: SubjectFiles,
    method: str,
    detector: LandmarkReader,
    settings: ReportSettings,
    folder: Path,
) -> None:
    """Videos of other speech with its sound, and the lips against what the sound lets expect."""
    render, clips = open_render(files.renders[method][CROSS], page.manifest)
    with render, VideoReader(files.video) as video:
        n_train = page.manifest.n_train
        train = range(0, n_train, max(1, n_train // settings.curve_frames))
        openings = lip_openings((video[i] for i in train), detector)
        features = frame_features(read_audio(files.audio), n_train)[list(train)]
        seen = np.isfinite(openings)
        ridge = fit_lip_ridge(features[seen], openings[seen]) if seen.sum() > FIT_FRAMES else None
        for clip in clips[:MAX_SPEECH_CLIPS]:
            length = min(len(clip.frames), int(settings.max_seconds * FPS))
            wav = files.clip_audio.get(clip.name)
            first = clip.audio_frames[0]
            sound = piece_of_sound(wav, first, length) if wav else None
            frames = (side_by_side([render[i]], settings.video_side) for i in clip.frames[:length])
            note = "" if wav else "The sound of this clip was not given to the report."
            title = f"Other speech: {clip.name}"
            page.movies.append(_movie(title, note, "speech", frames, sound, folder, settings.crf))
            if wav is None or ridge is None:
                continue
            index = clip.frames[: settings.curve_frames]
            measured = lip_openings((render[i] for i in index), detector)
            samples = read_audio(wav)
            every = ridge.predict(frame_features(samples, first + len(index)))
            lines = [
                (method, measured),
                ("expected from the sound", matched(every[first:], measured)),
            ]
            page.lip_charts.append(
                (f"{clip.name}: lips against the sound", lip_chart(lines, f"lips of {clip.name}"))
            )


def _emotion(
    page: SubjectPage,
    files: SubjectFiles,
    method: str,
    detector: LandmarkReader,
    settings: ReportSettings,
    folder: Path,
) -> Picture | None:
    """The 12-emotion video, the plane of readings; gives back the circle picture."""
    render, clips = open_render(files.renders[method][EMOTION], page.manifest)
    clips = [c for c in clips if target_label(*c.target)]
    if not clips:
        render.close()
        return None
    targets = {c.name: c.target for c in clips}
    page.points = read_points(page.metrics, method, targets)
    if page.points:
        page.plane = emotion_plane(
            [(p.label, p.target, p.read) for p in page.points],
            "valence and arousal that were asked for (rings) and read back (dots)",
        )
    length = min(min(len(c.frames) for c in clips), int(settings.max_seconds * FPS))
    with render, VideoReader(files.video) as video:

        def grids() -> Iterator[Picture]:
            for step in range(length):
                yield _emotion_grid([(c, render[c.frames[step]]) for c in clips])

        first = clips[0]
        wav = files.emotion_audio
        sound = piece_of_sound(wav, first.audio_frames[0], length) if wav else None
        page.movies.append(
            _movie(
                "Twelve emotions, one sentence",
                "The same speech at the 12 valence-arousal points; the lips should agree.",
                "wide",
                grids(),
                sound,
                folder,
                settings.crf,
            )
        )
        for clip in clips:
            title = f"{target_label(*clip.target)} {clip.target[0]:+.2f} {clip.target[1]:+.2f}"
            frames = (side_by_side([render[i]], settings.video_side) for i in clip.frames[:length])
            page.movies.append(_movie(title, "", "point", frames, sound, folder, settings.crf))
        moment = _open_eyed_moment(first, length, video, detector)
        tiles = [
            EmotionTile(render[c.frames[moment]], *c.target, target_label(*c.target)) for c in clips
        ]
        neutral = video[first.source_frames[moment]]
    return emotion_circle(tiles, neutral, settings.tile)


def _open_eyed_moment(clip: Clip, length: int, video: VideoReader, detector: LandmarkReader) -> int:
    """The step in the middle half of a clip at which the source's eyes are widest open."""
    best, widest = length // 2, 0.0
    for step in range(length // 4, max(3 * length // 4, length // 4 + 1)):
        points = detector.detect(video[clip.source_frames[step]])
        if points is not None and lid_opening(points) > widest:
            best, widest = step, lid_opening(points)
    return best


def _emotion_grid(pictures: list[tuple[Clip, Picture]]) -> Picture:
    """One frame of the 12-emotion video."""
    tiles = [
        labelled(
            side_by_side([p], GRID_SIDE),
            f"{target_label(*c.target)} {c.target[0]:+.2f} {c.target[1]:+.2f}",
            12,
        )
        for c, p in pictures
    ]
    tiles += [np.zeros_like(tiles[0])] * (-len(tiles) % GRID_COLUMNS)
    starts = range(0, len(tiles), GRID_COLUMNS)
    rows = [np.concatenate(tiles[s : s + GRID_COLUMNS], axis=1) for s in starts]
    return np.concatenate(rows, axis=0)


def _movie(
    title: str,
    note: str,
    kind: str,
    frames: Iterable[Picture],
    sound: Float32[np.ndarray, " S"] | None,
    folder: Path,
    crf: int,
) -> Movie:
    """A video with its middle frame as the picture that shows before it plays."""
    pictures = list(frames)
    poster = image_address(pictures[len(pictures) // 2])
    return Movie(title, note, movie_address(pictures, sound, folder, crf), poster, kind)


def _provenance(render: Path) -> Mapping[str, Any]:
    """What the renderer wrote into the file about itself (seed, code version, avatar's hash)."""
    with VideoReader(render) as reader:
        return json.loads(reader.comment) if reader.comment else {}


def build_page(
    name: str,
    files: SubjectFiles,
    detector: LandmarkReader,
    settings: ReportSettings,
    folder: Path,
) -> SubjectPage:
    """Gather everything that can be shown of a subject; what is not there is left out.

    Raises:
        ArtifactError: a file that is given is broken or disagrees with another.
    """
    metrics = read_table(files.metrics, METRIC_COLUMNS)
    page = SubjectPage(
        name=name,
        manifest=read_manifest(files.manifest),
        quality=read_json(files.quality_json),
        quality_picture="",
        metrics=metrics.assign(clip=metrics["clip"].astype(str)),
        stage_times=stage_times(files.logs),
        speeds=[_text_keys(row) for row in join_speeds(files.speeds).to_dict("records")],
    )
    page.quality_picture = _picture_file(files.quality_png)
    circle, pairs = None, None
    for method in method_order(sorted(files.renders))[:1]:
        logger.info("report %s: pictures and videos of %s", name, method)
        scenarios = files.renders[method]
        page.provenance = _provenance(next(iter(scenarios.values())).video)
        if method in files.checkpoints and files.cameras is not None:
            first_test = page.manifest.n_train
            row, page.n_gaussians = gaussian_views(
                files.checkpoints[method], files.cameras, first_test, settings.video_side
            )
            page.gaussians = image_address(row)
            page.stage_strips = stage_strips(files.checkpoints[method])
        if EMOTION in scenarios:
            circle = _emotion(page, files, method, detector, settings, folder)
        if SELF in scenarios:
            pairs = _self_reconstruction(page, files, method, detector, settings, folder)
        if CROSS in scenarios:
            _cross_audio(page, files, method, detector, settings, folder)
    sheets = [s for s in (circle, pairs) if s is not None]
    if sheets:
        page.sheet = sheets[0] if len(sheets) == 1 else stack(sheets[0], sheets[1])
        page.hero = image_address(page.sheet)
    _sync_curves(page, files.terms)
    for title, log in files.training_logs.items():
        chart = training_chart(title, log) if log.exists() else ""
        if chart:
            page.training_charts.append((title, chart))
    return page


def _text_keys(row: Mapping[Any, Any]) -> dict[str, Any]:
    return {str(key): value for key, value in row.items()}


def _sync_curves(page: SubjectPage, tables: Sequence[Path]) -> None:
    """Lips against sound at every shift: held-out frames of each method, each other speech."""
    held_out: dict[str, np.ndarray] = {}
    other: dict[str, np.ndarray] = {}
    for path in tables:
        for (method, scenario), entry in read_terms(path).items():
            distances = entry.terms.get(SYNC_TERMS)
            if distances is not None and scenario == SELF:
                held_out[method] = distances
            elif distances is not None and scenario == CROSS and not other:
                other = {name: distances[entry.clips == name] for name in np.unique(entry.clips)}
    shown = [m for m in method_order(sorted(held_out)) if m != "nearest_pose"]
    lines = {method_name(m): held_out[m] for m in shown}
    for title, found in (("Held-out frames", lines), ("Other speech", other)):
        chart = sync_chart(found, f"{title}: distance of lips and sound by shift of the sound")
        if chart:
            page.lip_charts.append(
                (f"{title}: how far lips and sound are apart when the sound is shifted", chart)
            )


def _picture_file(path: Path) -> str:
    """A PNG of an earlier stage as a (smaller) JPEG address."""
    import cv2

    picture = cv2.imread(str(path), cv2.IMREAD_COLOR)
    return "" if picture is None else image_address(cv2.cvtColor(picture, cv2.COLOR_BGR2RGB))
