"""What a person wants to see while a stage runs: PSNR of a held-out training frame, lip amplitude.

Nothing here changes a number of the run: it draws without gradients at fixed steps.
"""

from __future__ import annotations

import logging
import math
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Int

from emotalk_core.errors import NumericalError
from emotalk_core.media.tensorboard import EventFile
from emotalk_core.training.guards import SHORTEST_PHASE
from emotalk_core.training.layers.base import Layer
from emotalk_core.training.sampling import Sample
from emotalk_core.training.stages import Phase

logger = logging.getLogger(__name__)

EVERY = 100  # steps between two looks: under a hundredth of the time
LIP_FRAMES = 64  # spread over the clip, for the lip amplitude
LIVELY = (0.4, 1.3)  # amplitude of the lip gap over the truth's: outside, a warning names it
DEAD = 0.1  # below, the stage stops: an avatar that does not speak


class Watch:
    """Looks at the model from time to time."""

    def __init__(
        self,
        stage: str,
        layer: Layer,
        held_out: int,
        frames: Int[np.ndarray, " F"],
        log_folder: Path | None,
        nearest_psnr: float | None = None,
    ) -> None:
        """Set up.

        Args:
            stage: name, for messages.
            layer: what is drawn.
            held_out: training frame that no step samples.
            frames: training frames.
            log_folder: where TensorBoard's event file goes; None for nowhere.
            nearest_psnr: of the training frame with the nearest pose in place of a render, dB.
        """
        self._stage, self._layer, self._held_out = stage, layer, held_out
        spread = np.linspace(0, len(frames) - 1, min(LIP_FRAMES, len(frames))).astype(int)
        self._frames = frames[spread]
        self._nearest = nearest_psnr
        self._events = None if log_folder is None else EventFile(log_folder)

    def look(self, phase: Phase, step: int, loss: float) -> dict[str, float]:
        """Numbers of the model as it is now.

        Raises:
            NumericalError: the lips are dead at the end of a phase that moves them.
        """
        numbers = {}
        noisy = self._layer.module.training
        self._layer.module.eval()
        with torch.no_grad():
            if phase.data.batch == 1:
                made = self._layer.step(phase, Sample(self._held_out)).context
                if made.image is not None and made.target is not None:
                    error = float((made.image.clamp(0, 1) - made.target).square().mean())
                    numbers["psnr"] = -10.0 * math.log10(max(error, 1e-10))
            if phase.data.deform:
                amplitude = self._layer.lip_amplitude(self._frames)
                if amplitude is not None:
                    numbers["lips"] = amplitude
        self._layer.module.train(noisy)
        if self._events is not None:
            shown = {f"{self._stage}/{name}": value for name, value in numbers.items()}
            self._events.add(step, {f"{self._stage}/loss": loss, **shown})
        if step == phase.stop - 1:
            self._judge(phase, numbers.get("lips"))
            if phase.length >= SHORTEST_PHASE:
                self._compare(phase, numbers.get("psnr"))
        return numbers

    def _compare(self, phase: Phase, psnr: float | None) -> None:
        """Name an avatar that shows no more than an old frame would."""
        if psnr is None or self._nearest is None or psnr > self._nearest:
            return
        logger.warning(
            "stage %s, phase %s: PSNR %.2f dB of a held-out training frame is no improvement over "
            "nearest_pose, the training frame with the nearest pose (%.2f dB); look at "
            "cameras.json (poses) and quality.png (masks), or raise training.%s.steps",
            self._stage,
            phase.data.name,
            psnr,
            self._nearest,
            self._stage,
        )

    def _judge(self, phase: Phase, amplitude: float | None) -> None:
        """Name dead and wild lips."""
        if amplitude is None or LIVELY[0] <= amplitude <= LIVELY[1]:
            return
        found = (
            f"stage {self._stage}, phase {phase.data.name}: lips move {amplitude:.2f} times as far "
            f"as tracked on training frames, wanted {LIVELY[0]}..{LIVELY[1]}; "
        )
        if phase.length < SHORTEST_PHASE:
            if phase.data.name == "motion":
                logger.warning(
                    "%s%d steps are too few to teach them, as in preset smoke; use preset small",
                    found,
                    phase.length,
                )
            return
        text = (
            f"{found}raise training.{self._stage}.lambda_landmark or landmark_steps, and check "
            "that sound and picture belong together (manifest.json: av_offset_confidence)"
        )
        if amplitude < DEAD and phase.data.name == "motion":
            raise NumericalError(text)
        logger.warning("%s", text)
