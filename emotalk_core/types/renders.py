"""The table beside a render: its columns and clip names, for who writes and who reads it."""

from __future__ import annotations

TEST_CLIP = "test"  # clip name of the held-out part of the subject's own video
RENDER_COLUMNS = ("frame", "clip", "source_frame", "audio_frame", "valence", "arousal")


def point_clip(valence: float, arousal: float) -> str:
    """Clip name of an evaluation point, e.g. "v+0.74_a+0.31"."""
    return f"v{valence:+.2f}_a{arousal:+.2f}"
