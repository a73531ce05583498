"""The evaluation block of the config as a record with defaults."""

from __future__ import annotations

from dataclasses import dataclass

from emotalk_core.errors import ConfigError, explain
from emotalk_core.evaluation.intervals import BootstrapSettings


@dataclass(frozen=True)
class EvaluationSettings:
    """How scores are made.

    Attributes:
        block_frames: frames of a bootstrap block (25 = one second; our choice).
        resamples: bootstrap draws of an interval; 0 leaves low and high empty.
        identity_every: the person is recognised in every n-th frame of a clip (0.2 s a frame).
        h264_crf: x264 quality of the scenario self_reconstruction_h264; 0 leaves it out.
        landmarks: "packaged", or "fan": the lip distance also by the paper's network.
        emotion: "packaged", or "emonet" (the paper's).
        identity: "dlib", or "vggface2" (the paper's).
        perceptual: "none", or "lpips_alex" (the paper's) beside the packaged distance.
        sync: "none", or "syncnet" (the paper's Sync-E and Sync-C).
    """

    block_frames: int = 25
    resamples: int = 400
    identity_every: int = 10
    h264_crf: int = 23
    landmarks: str = "packaged"
    emotion: str = "packaged"
    identity: str = "dlib"
    perceptual: str = "none"
    sync: str = "none"

    def __post_init__(self) -> None:
        least = {"block_frames": 1, "resamples": 0, "identity_every": 1, "h264_crf": 0}
        for name, low in least.items():
            value = getattr(self, name)
            if value < low:
                raise ConfigError(
                    explain(f"evaluation.{name}", value, f"wanted {low} or more", "correct it")
                )

    @property
    def bootstrap(self) -> BootstrapSettings:
        """The interval's part."""
        return BootstrapSettings(self.block_frames, self.resamples)
