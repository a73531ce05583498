"""16 kHz sound in; 160 ms of log-mel columns around each 25 fps frame out."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from jaxtyping import Float32

from emotalk_core.speech.features.base import WINDOW
from emotalk_core.speech.features.mel import COLUMNS_PER_FRAME, HOP, cut_out, log_mel, neighbours

# Mean and deviation of log-mel values over six recordings of speech in two languages (levels
# between .05 and .14 RMS). Constants, so that a stream and a file give the same features.
MEAN, DEVIATION = -8.6, 3.9
LEAD = WINDOW // 2 - COLUMNS_PER_FRAME // 2  # columns before frame 0 that its window sees
MARGIN = 1  # columns more on each side: the outermost ones look past the cut


class LogMel:
    """Log-mel spectrogram at 100 Hz, 16 columns centred on the frame's middle."""

    id: ClassVar[str] = "logmel-40-100hz"
    standing_for: ClassVar[str] = "DeepSpeech 0.1 (29-d at 50 Hz)"
    # Linear probe of four lip distances on the last quarter of two real clips (mean correlation):
    # 12 bands .509, 20 .512, 40 .532, 80 .534.
    dim: ClassVar[int] = 40

    def windows(
        self, samples: Float32[np.ndarray, " N"], n_frames: int
    ) -> Float32[np.ndarray, "T 16 D"]:
        """See `SpeechExtractor.windows`."""
        return neighbours(self.columns(samples, n_frames), WINDOW, COLUMNS_PER_FRAME)[:n_frames]

    def columns(
        self, samples: Float32[np.ndarray, " N"], n_frames: int
    ) -> Float32[np.ndarray, "C D"]:
        """What the windows are cut from: columns of 10 ms, `LEAD` of them before frame 0."""
        n_columns = n_frames * COLUMNS_PER_FRAME + WINDOW + 2 * MARGIN
        sound = cut_out(samples, -(LEAD + MARGIN) * HOP, n_columns * HOP)
        return ((log_mel(sound, self.dim)[MARGIN:-MARGIN] - MEAN) / DEVIATION).astype(np.float32)
