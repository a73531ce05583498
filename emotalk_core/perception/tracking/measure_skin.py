"""Rendered people who talk in; how far the skin's seen motion errs out."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float

from emotalk_core.actor.identity import random_identity
from emotalk_core.actor.performance import ActorSettings, perform
from emotalk_core.actor.truth import render_performance
from emotalk_core.media.checkpoints import save_checkpoint
from emotalk_core.media.progress import track
from emotalk_core.perception.landmarks import LandmarkDetector, create_detector
from emotalk_core.perception.landmarks import topology as tp
from emotalk_core.perception.tracking.clip import fill_gaps
from emotalk_core.perception.tracking.settings import TrackingSettings
from emotalk_core.perception.tracking.skin import KIND, POINTS, skin_response, watch_skin
from emotalk_core.perception.tracking.solve import solve_head

logger = logging.getLogger(__name__)

DETECTOR = "facemesh"
SEEDS = range(7001, 7015)  # people whom nothing else uses
SECONDS, SIZE = 6.0, 256
MILLIMETRES = 1e3  # covariances are stored in mm^2: half precision keeps them


def skin_errors(
    seed: int, seconds: float, detector: LandmarkDetector
) -> Float[np.ndarray, "T D"] | None:
    """Seen less true motion of one person's skin, metres; None where a frame shows no face."""
    settings = ActorSettings(seed=seed, seconds=seconds, size=SIZE)
    identity = random_identity(seed)
    performance = perform(settings, identity)
    frames = [frame.rgb for frame in render_performance(identity, performance, settings)]
    found = [detector.detect(frame) for frame in frames]
    lost = np.full((tp.N_LANDMARKS, 3), np.nan)
    clip = fill_gaps(np.array([lost if p is None else p for p in found], np.float64))
    if not clip.valid.all():
        return None
    head = solve_head(clip, SIZE, SIZE, TrackingSettings(detector=DETECTOR))
    motion = watch_skin(lambda: frames, head.cameras, head.neutral, clip.valid)
    columns = [performance.names.index(name) for name in head.expression_names]
    true = performance.expression[:, columns].astype(np.float64) @ skin_response()
    errors = motion.moved.reshape(len(true), -1) - true
    errors = errors[motion.seen]
    return errors - errors.mean(axis=0)


def measure_skin(*, output: Path, seeds: Iterable[int] = SEEDS, seconds: float = SECONDS) -> None:
    """Write the covariance of the errors (about five minutes on one quiet core).

    Args:
        output: .safetensors, written.
        seeds: of the people.
        seconds: of each one's talk.
    """
    wanted = list(seeds)
    with create_detector(DETECTOR) as detector:
        found = [
            skin_errors(seed, seconds, detector)
            for seed in track(wanted, "people", len(wanted), logger)
        ]
    errors = MILLIMETRES * np.concatenate([e for e in found if e is not None])
    covariance = torch.from_numpy(errors.T @ errors / len(errors)).half()
    logger.info("skin: %d frames err by %.2f mm", len(errors), float(np.sqrt((errors**2).mean())))
    save_checkpoint(
        output, {"covariance": covariance}, KIND, {"points": list(POINTS), "frames": len(errors)}
    )
