"""The subject's own side of a score: true frames, head masks, mouth boxes and clip audio."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

import cv2
import numpy as np
import pandas as pd
from jaxtyping import Bool, Float, Float32, UInt8

from emotalk_core.errors import ArtifactError, explain
from emotalk_core.evaluation.face_points import MOUTH_POINTS
from emotalk_core.media.tables import check_length, read_arrays, read_manifest, read_table
from emotalk_core.media.video import VideoReader
from emotalk_core.types.manifest import Manifest
from emotalk_core.types.regions import HEAD, TORSO, region_mask
from emotalk_core.types.renders import RENDER_COLUMNS

MARGIN_SHARE = 4 / 256  # of the picture's height: widens (head) or narrows (head_inner) the mask
MOUTH_MARGIN = 0.25  # of the mouth's width, around the landmarks' box


@dataclass(frozen=True)
class TrueFrame:
    """What the subject's clip says about one frame (see FrameEvidence for the fields)."""

    source: UInt8[np.ndarray, "H W 3"]
    head: Bool[np.ndarray, "H W"]
    head_inner: Bool[np.ndarray, "H W"]
    seam: Bool[np.ndarray, "H W"]
    mouth_box: tuple[int, int, int, int]


Mask = Bool[np.ndarray, "H W"]


def head_masks(labels: UInt8[np.ndarray, "H W"]) -> tuple[Mask, Mask, Mask]:
    """Head of a label map dilated and eroded by 1/64 of the height, and the seam to the body.

    The seam is the band that lies within 1/64 of the height of both head and body.
    """
    mask = region_mask(labels, HEAD).astype(np.uint8)
    body = region_mask(labels, TORSO).astype(np.uint8)
    radius = max(1, round(labels.shape[0] * MARGIN_SHARE))
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * radius + 1, 2 * radius + 1))
    head = cv2.dilate(mask, disc).astype(bool)
    return head, cv2.erode(mask, disc).astype(bool), head & cv2.dilate(body, disc).astype(bool)


def mouth_box(
    landmarks: Float32[np.ndarray, "478 2"], height: int, width: int
) -> tuple[int, int, int, int]:
    """(y0, y1, x0, x1) px around the lips with a margin, in the picture, at least 8 px a side."""
    points = landmarks[list(MOUTH_POINTS), :2]
    x0, y0 = points.min(axis=0)
    x1, y1 = points.max(axis=0)
    margin = MOUTH_MARGIN * (x1 - x0)
    top = int(np.clip(np.floor(y0 - margin), 0, height - 8))
    left = int(np.clip(np.floor(x0 - margin), 0, width - 8))
    bottom = int(np.clip(np.ceil(y1 + margin), top + 8, height))
    right = int(np.clip(np.ceil(x1 + margin), left + 8, width))
    return top, bottom, left, right


class SubjectFrames:
    """Random access to a subject's true frames and regions; use as a context manager.

    Raises:
        ArtifactError: an artifact has another number of frames than the manifest.
    """

    def __init__(self, manifest: Path, video: Path, regions: Path, track: Path) -> None:
        self.manifest: Manifest = read_manifest(manifest)
        self._video, self._regions = VideoReader(video), VideoReader(regions)
        arrays = read_arrays(track, ("landmarks", "lip_opening", "valid"))
        self._landmarks: Float32[np.ndarray, "T 478 2"] = arrays["landmarks"]
        self.lip_opening: Float[np.ndarray, " T"] = arrays["lip_opening"].astype(np.float64)
        self.valid: Bool[np.ndarray, " T"] = arrays["valid"].astype(bool)
        total = self.manifest.n_frames
        check_length(str(video), len(self._video), total, "ingest_video")
        check_length(str(regions), len(self._regions), total, "segment_regions")
        check_length(str(track), len(self._landmarks), total, "track_head")

    def __enter__(self) -> SubjectFrames:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._video.close()
        self._regions.close()

    @property
    def landmarks(self) -> Float32[np.ndarray, "T 478 2"]:
        """Tracked landmarks, px."""
        return self._landmarks

    def picture(self, index: int) -> UInt8[np.ndarray, "H W 3"]:
        """One true frame."""
        return self._video[index]

    def __getitem__(self, index: int) -> TrueFrame:
        picture = self._video[index]
        box = mouth_box(self._landmarks[index], *picture.shape[:2])
        return TrueFrame(picture, *head_masks(self._regions[index]), box)


def read_render_table(path: Path, manifest: Manifest) -> pd.DataFrame:
    """Read and check the table beside a render.

    Raises:
        ArtifactError: columns are missing, or source frames lie outside the clip.
    """
    table = read_table(path, RENDER_COLUMNS)
    source = table["source_frame"]
    if len(table) == 0 or source.min() < 0 or source.max() >= manifest.n_frames:
        got = "empty" if len(table) == 0 else f"{source.min()}..{source.max()}"
        raise ArtifactError(
            f"{path}: "
            + explain(
                "source_frame",
                got,
                f"wanted frames of the clip, 0..{manifest.n_frames - 1}",
                "delete it so that rule render_scenarios makes it again",
            )
        )
    table["clip"] = table["clip"].astype(str)
    return table


def check_render(
    render: Path, reader: VideoReader, table: pd.DataFrame, manifest: Manifest
) -> None:
    """Refuse a render whose length or size disagrees with its table or with the clip.

    Raises:
        ArtifactError: names the file, what it has and what was wanted.
    """
    if len(reader) != len(table):
        raise ArtifactError(
            f"{render}: has {len(reader)} frames, its table has {len(table)} rows; scores of "
            "unequal lengths are refused, delete both so that rule render_scenarios runs again"
        )
    if (reader.width, reader.height) != (manifest.width, manifest.height):
        raise ArtifactError(
            f"{render}: is {reader.width}x{reader.height}, the clip is "
            f"{manifest.width}x{manifest.height}; delete it so that rule render_scenarios "
            "makes it again"
        )
