"""One walk through the source: frame times, sampled faces, cuts; refuses what cannot work."""

from __future__ import annotations

import logging
import shlex
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

import numpy as np
from jaxtyping import Float32, UInt8

from emotalk_core.errors import InputError
from emotalk_core.media.progress import Progress
from emotalk_core.media.source import SourceFrame, SourceVideo
from emotalk_core.perception.ingest.faces import FaceFinder
from emotalk_core.perception.ingest.framing import Box, Crop, face_box, picture_inside_bars
from emotalk_core.perception.ingest.settings import IngestSettings
from emotalk_core.perception.landmarks.topology import OUTER_EYE_CORNERS
from emotalk_core.types.manifest import FPS

LOG = logging.getLogger(__name__)

# A cut is looked for where the picture changes far more than it just did ...
JUMP_FLOOR = 0.02  # 1 - correlation of neighbouring thumbnails; talking heads stay below .01
JUMP_FACTOR = 6.0  # over the median of the last changes
JUMP_MEMORY = 25  # changes that the median runs over
# ... and is one when the scene or the head is another.
SCENE_JUMP = 0.45  # 1 - correlation: nothing of the old picture is left
# Mean landmark step in 40 ms, in outer eye distances: about 1.4 cm. Where the picture jumps, steps
# of real clips stay below .1; a jump cut inside one take is above .16 in two of three cases (a head
# that comes back to the same place cannot be told from one that stayed).
HEAD_JUMP = 0.16
FACE_LOST_JUMP = 0.2  # 1 - correlation: with this much change a face that comes or goes is a cut
LONG_GAP = 0.25  # s without a new frame: the picture freezes while the sound goes on
MAX_FRAME_STEP = 0.1  # s; a head may move far in a longer gap (very low or variable frame rate)

MAX_NAMED_CUTS = 3  # a message names no more of them

TWO_FACES_SHARE = 0.3  # of the sampled frames: a passer-by is no second speaker


@dataclass
class Survey:
    """What the walk found.

    Attributes:
        seconds: time of every source frame from the first one on.
        height: rows of the upright picture, px.
        width: columns of the upright picture, px.
        faces: box of the main face (hairline to chin) in each sampled frame that has one.
        face_seconds: times of those frames.
        sampled: how many frames were searched for faces.
        two_faces: in how many of them a second large face was seen.
        cuts: number of each source frame that shows another take than the one before.
        warnings: what is odd about the coding of sampled frames.
        brightest: brightest value of each pixel in the sampled frames, any channel.
    """

    seconds: list[float] = field(default_factory=list)
    height: int = 0
    width: int = 0
    faces: list[Box] = field(default_factory=list)
    face_seconds: list[float] = field(default_factory=list)
    sampled: int = 0
    two_faces: int = 0
    cuts: list[int] = field(default_factory=list)
    warnings: set[str] = field(default_factory=set)
    brightest: UInt8[np.ndarray, "H W"] = field(
        default_factory=lambda: np.zeros((0, 0), dtype=np.uint8)
    )

    @property
    def picture(self) -> Crop:
        """Where the picture lies inside black bars, px of the upright source."""
        return picture_inside_bars(self.brightest)

    @property
    def best_part(self) -> tuple[float, float]:
        """Begin and end of the part between cuts in which most sampled frames show a face, s."""
        begins = [0.0] + [self.seconds[index] for index in self.cuts]
        parts = zip(begins, [*begins[1:], self.duration], strict=True)

        def shown(part: tuple[float, float]) -> tuple[int, float]:
            begin, end = part
            return sum(begin <= t < end for t in self.face_seconds), end - begin

        return max(parts, key=shown)

    @property
    def longest_gap(self) -> float:
        """Longest time between two frames, s."""
        return float(np.diff(self.seconds).max()) if len(self.seconds) > 1 else 0.0

    @property
    def duration(self) -> float:
        """Seconds from the first frame's start to the last one's end."""
        if len(self.seconds) < 2:
            return 0.0
        steps = np.diff(self.seconds)
        return self.seconds[-1] + float(np.median(steps))


def survey_take(source: SourceVideo, settings: IngestSettings) -> tuple[SourceVideo, Survey]:
    """The source, or with `cuts: best_part` its best part, and what a walk through it found.

    Raises:
        InputError: as `survey_source`.
    """
    found = survey_source(source, settings)
    if not found.cuts:
        return source, found
    begin, end = found.best_part
    LOG.warning(
        "%s: %d cuts: only the part from %.2f to %.2f s of %.2f s is taken, in which most frames "
        "show a face",
        *(source.path, len(found.cuts), begin, end, found.duration),
    )
    part = source.only(begin, end)
    return part, survey_source(part, replace(settings, cuts="refuse"))


def survey_source(source: SourceVideo, settings: IngestSettings) -> Survey:
    """Walk through all frames once.

    Raises:
        InputError: truncated, too short, no face, two faces, or a cut; with `cuts: best_part` a
            cut only where no part is long enough.
    """
    result = Survey()
    progress = Progress("survey of source frames", source.expected_frames, LOG)
    with FaceFinder() as finder:
        for frame, is_cut in _with_cuts(source, finder, settings):
            progress.step()
            if is_cut:
                result.cuts.append(frame.index)
            result.seconds.append(frame.seconds)
            if frame.seconds >= result.sampled * settings.sample_seconds:
                _sample(frame, finder, settings, result)
    _check(source, result, settings)
    for warning in sorted(result.warnings):
        LOG.warning("%s: %s", source.path, warning)
    if result.longest_gap > LONG_GAP:
        LOG.warning(
            "%s: no new frame for %.2f s: the picture freezes", source.path, result.longest_gap
        )
    return result


def _sample(
    frame: SourceFrame, finder: FaceFinder, settings: IngestSettings, result: Survey
) -> None:
    """Look for faces in one frame and note what is there."""
    result.warnings |= {frame.warning} - {""}
    image = frame.rgb()
    result.height, result.width = image.shape[:2]
    brightest = image.max(axis=2)
    if result.brightest.shape == brightest.shape:
        brightest = np.maximum(brightest, result.brightest)
    result.brightest = brightest
    result.sampled += 1
    boxes = finder.boxes(image)
    points = finder.landmarks(image, boxes[0] if boxes else None)
    if points is None:
        return
    result.faces.append(face_box(points))
    result.face_seconds.append(frame.seconds)
    if len(boxes) > 1 and boxes[1].height >= settings.second_face_share * boxes[0].height:
        result.two_faces += 1


def _check(source: SourceVideo, found: Survey, settings: IngestSettings) -> None:
    """Refuse clips that no later stage can use."""
    if found.duration < settings.min_seconds:
        raise InputError(
            f"{source.path}: lasts {found.duration:.2f} s: wanted at least "
            f"{settings.min_seconds:g} s of one talking head (minutes are better); "
            "give a longer clip"
        )
    if found.cuts:
        begin, end = found.best_part
        if settings.cuts == "best_part" and end - begin >= settings.min_seconds:
            return  # the part is surveyed by itself
        raise InputError(_cut_message(source, found, settings))
    missing = found.sampled - len(found.faces)
    if not found.faces or missing > settings.max_missing_share * found.sampled:
        raise InputError(
            f"{source.path}: no face in {missing} of {found.sampled} sampled frames: at most "
            f"{settings.max_missing_share:.0%} may lack one; give a video that shows one face, "
            "a tenth of the picture high or more, from the front all the time (or raise "
            "ingest.max_missing_share)"
        )
    if found.two_faces > TWO_FACES_SHARE * found.sampled:
        raise InputError(
            f"{source.path}: two faces in {found.two_faces} of {found.sampled} sampled frames: "
            "wanted one person; crop the video to the speaker"
        )


def _cut_message(source: SourceVideo, found: Survey, settings: IngestSettings) -> str:
    """Where the cuts are, and how to take the best part between them."""
    begin, end = found.best_part
    named = [f"{found.seconds[i]:.2f} s (frame {i})" for i in found.cuts[:MAX_NAMED_CUTS]]
    more = len(found.cuts) - len(named)
    where = ", ".join(named) + (f" and {more} more" if more else "")
    if end - begin < settings.min_seconds:
        advice = f"its best part lasts {end - begin:.2f} s: give another video"
    else:
        advice = (
            f"the longest part that shows a face lasts from {begin:.2f} to {end:.2f} s: set "
            "ingest.cuts to best_part to take it, or cut it out with `ffmpeg -i "
            f"{shlex.quote(str(source.path))} -ss {begin:.2f} -t {end - begin:.2f} "
            "-crf 16 part.mp4`"
        )
    return (
        f"{source.path}: cut at {where}: wanted one take without cuts; {advice}, or set "
        "ingest.cuts to ignore if it is none"
    )


def _with_cuts(
    source: SourceVideo, finder: FaceFinder, settings: IngestSettings
) -> Iterator[tuple[SourceFrame, bool]]:
    """Every frame, and whether it begins another take."""
    changes: deque[float] = deque(maxlen=JUMP_MEMORY)
    before: SourceFrame | None = None
    small: Float32[np.ndarray, "48 48"] | None = None
    for frame in source.frames():
        now, is_cut = frame.thumbnail(), False
        if before is not None and small is not None:
            change = picture_change(small, now)
            usual = float(np.median(changes)) if changes else 0.0
            if settings.cuts != "ignore" and change > max(JUMP_FLOOR, JUMP_FACTOR * usual):
                is_cut = _is_cut(finder, before, frame, change)
            if not is_cut:
                changes.append(change)
        before, small = frame, now
        yield frame, is_cut


def picture_change(a: Float32[np.ndarray, "48 48"], b: Float32[np.ndarray, "48 48"]) -> float:
    """1 - correlation of two grey pictures: 0 same (any brightness), 1 unrelated, 2 negative."""
    x, y = a - a.mean(), b - b.mean()
    norm = float(np.sqrt((x * x).sum() * (y * y).sum()))
    flat = norm < 1e-6  # at least one picture is of one colour
    return float(abs(a.mean() - b.mean())) if flat else 1.0 - float((x * y).sum()) / norm


def _is_cut(finder: FaceFinder, before: SourceFrame, after: SourceFrame, change: float) -> bool:
    """Whether a large change of the picture is a cut and no gesture."""
    step = _head_step(finder, before, after)
    LOG.debug("change %.3f, head step %.2f at %.2f s", change, step, after.seconds)
    gap = after.seconds - before.seconds
    lost = bool(np.isinf(step))
    allowed = HEAD_JUMP * max(gap * FPS, 1.0)
    jumped = change > FACE_LOST_JUMP if lost else step > allowed and gap <= MAX_FRAME_STEP
    return change > SCENE_JUMP or jumped


def _head_step(finder: FaceFinder, before: SourceFrame, after: SourceFrame) -> float:
    """Mean landmark movement in outer eye distances; inf when exactly one frame has a face."""
    points = []
    for frame in (before, after):
        image = frame.rgb()
        boxes = finder.boxes(image)
        points.append(finder.landmarks(image, boxes[0] if boxes else None))
    old, new = points
    if old is None and new is None:
        return 0.0
    if old is None or new is None:
        return float("inf")
    right, left = OUTER_EYE_CORNERS
    eyes = float(np.linalg.norm(old[right, :2] - old[left, :2]))
    return float(np.linalg.norm(new[:, :2] - old[:, :2], axis=1).mean()) / max(eyes, 1.0)
