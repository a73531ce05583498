"""What one ingested clip is: sizes, rates, split, source and audio-visual offset."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

from emotalk_core.errors import ArtifactError, explain

FORMAT_VERSION = 1
FPS = 25  # frames per second of everything after ingest (paper S1; speech features are 25 fps too)
SAMPLE_RATE = 16_000  # Hz, what every speech network of the field takes
TRAIN_SHARE = (10, 11)  # train:test = 10:1 by time (METHOD 1.6)


@dataclass(frozen=True)
class Manifest:
    """Facts of one subject's ingested clip.

    Attributes:
        subject: validated subject name.
        source_name: file name of the source video (no folder).
        source_sha256: hash of the source video's bytes.
        width, height: size of every frame artifact, px.
        n_frames: number of 25 fps frames T; every per-frame artifact has exactly T entries.
        n_samples: number of 16 kHz audio samples.
        crop: (y0, y1, x0, x1) of the square head crop in upright source pixels (may lie
            outside: padded).
        av_offset_frames: how many 25 fps frames the source's sound lagged the lips (positive: sound
            late); already corrected in audio.wav.
        av_offset_confidence: of the sync expert; below ingest.min_offset_confidence the offset was
            not applied.
        n_train: frames [0, n_train) train, [n_train, n_frames) test; by time, never random.
        provenance: what made this clip (tool version, whether it is the synthetic actor).
    """

    subject: str
    source_name: str
    source_sha256: str
    width: int
    height: int
    n_frames: int
    n_samples: int
    crop: tuple[int, int, int, int]
    av_offset_frames: float
    av_offset_confidence: float
    n_train: int
    fps: int = FPS
    sample_rate: int = SAMPLE_RATE
    format_version: int = FORMAT_VERSION
    provenance: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.format_version > FORMAT_VERSION:
            raise ArtifactError(
                explain(
                    "manifest.format_version",
                    self.format_version,
                    f"this version reads up to {FORMAT_VERSION}",
                    "update emotalk or delete the subject's results folder",
                )
            )
        if not 0 < self.n_train < self.n_frames:
            raise ArtifactError(
                explain(
                    "manifest.n_train",
                    self.n_train,
                    f"wanted 0 < n_train < n_frames={self.n_frames}",
                    "use a longer clip (ingest needs at least 3 s)",
                )
            )

    @property
    def n_test(self) -> int:
        """Number of held-out frames at the end of the clip."""
        return self.n_frames - self.n_train

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON-ready dictionary."""
        return asdict(self)

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Manifest:
        """Checked inverse of `to_dict`; raises ArtifactError naming unknown or missing keys."""
        try:
            return cls(**{**data, "crop": tuple(data["crop"])})
        except (TypeError, KeyError) as error:
            raise ArtifactError(f"manifest.json: {error}; rerun the ingest rule") from error


def train_frames(n_frames: int) -> int:
    """Number of training frames of a clip: the first 10/11 by time (METHOD 1.6)."""
    numerator, denominator = TRAIN_SHARE
    return n_frames * numerator // denominator
