"""From a seed and the speech's accents to head poses, blinks, brows, gaze and mood per frame."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float32, Float64

from emotalk_core.actor.pose import Pose
from emotalk_core.types.manifest import FPS

# Largest turn of the head, degrees; nods and accents come within these bounds
PITCH_LIMIT, YAW_LIMIT, ROLL_LIMIT = 6.0, 10.0, 4.0
SHIFT_LIMIT = (0.008, 0.005, 0.010)  # metres: sway of head and torso, x y z
LEAN_LIMIT = (0.005, 0.003, 0.005)  # metres: the head alone
NOD = 2.0  # degrees of a nod on an accent
BLINK_EVERY = (2.2, 5.0)  # seconds between blinks
BLINK_CLOSE, BLINK_HOLD, BLINK_OPEN = 0.09, 0.04, 0.17  # seconds
GAZE_RANGE = {"In": 30.0, "Out": 30.0, "Up": 14.0, "Down": 21.0}  # degrees at weight 1
GAZE_HOLD = 0.85  # share of a head turn that the eyes take back to keep looking at the camera
SACCADE_EVERY = (0.8, 2.5)  # seconds
SACCADE = 3.0  # degrees, standard deviation
# The mood: largest weight and rates (Hz) of smile and lowered brows, as lively as two real talkers
# were when tracked (docs/actor.md)
SMILE, SMILE_RATES = 0.40, (0.06, 0.5)
FROWN, FROWN_RATES = 0.55, (0.05, 0.3)


def drift(
    n_frames: int,
    rng: np.random.Generator,
    slow: float = 0.05,
    fast: float = 0.55,
) -> Float64[np.ndarray, " T"]:
    """Smooth random motion in -1..1: sines from `slow` to `fast` Hz, slower ones larger."""
    times = np.arange(n_frames) / FPS
    frequencies = np.geomspace(slow, fast, 7) * rng.uniform(0.85, 1.15, 7)
    amplitudes = rng.uniform(0.5, 1.0, 7) / np.sqrt(frequencies)
    phases = rng.uniform(0, 2 * np.pi, 7)
    waves = amplitudes[:, None] * np.sin(2 * np.pi * frequencies[:, None] * times + phases[:, None])
    total = waves.sum(axis=0)
    return np.tanh(total / (0.8 * amplitudes.sum()) * 1.6)


def pulses(
    n_frames: int, centres: list[float], rise: float, fall: float
) -> Float64[np.ndarray, " T"]:
    """Smooth bumps of height 1 at the given seconds, with own times of rise and fall."""
    times = np.arange(n_frames) / FPS
    total = np.zeros(n_frames)
    for centre in centres:
        distance = times - centre
        width = np.where(distance < 0, rise, fall)
        total = np.maximum(total, np.exp(-((distance / width) ** 2)))
    return total


def blink_track(n_frames: int, rng: np.random.Generator) -> Float64[np.ndarray, " T"]:
    """Closing of the lids, 0 open .. 1 shut."""
    times = np.arange(n_frames) / FPS
    closed = np.zeros(n_frames)
    start = float(rng.uniform(0.8, BLINK_EVERY[1]))
    while start < n_frames / FPS:
        shut, opens = start + BLINK_CLOSE, start + BLINK_CLOSE + BLINK_HOLD
        down = np.clip((times - start) / BLINK_CLOSE, 0, 1)
        up = np.clip((times - opens) / BLINK_OPEN, 0, 1)
        here = np.where(times < shut, down, 1 - up * up * (3 - 2 * up))
        closed = np.maximum(closed, np.where(times < start, 0, here))
        start += float(rng.uniform(*BLINK_EVERY))
    return closed


def head_poses(n_frames: int, accents: list[float], rng: np.random.Generator) -> list[Pose]:
    """Head and torso poses: slow sway and small nods on accents (seconds)."""
    limits = np.radians([PITCH_LIMIT - NOD, YAW_LIMIT, ROLL_LIMIT])
    pitch, yaw, roll = (limit * drift(n_frames, rng) for limit in limits)
    pitch = pitch + np.radians(NOD) * pulses(n_frames, accents, 0.12, 0.22)
    shift = np.stack([s * drift(n_frames, rng, 0.04, 0.25) for s in SHIFT_LIMIT], axis=1)
    lean = np.stack([s * drift(n_frames, rng, 0.05, 0.4) for s in LEAN_LIMIT], axis=1)
    return [
        Pose(
            pitch=float(pitch[k]),
            yaw=float(yaw[k]),
            roll=float(roll[k]),
            shift=(float(shift[k, 0]), float(shift[k, 1]), float(shift[k, 2])),
            lean=(float(lean[k, 0]), float(lean[k, 1]), float(lean[k, 2])),
        )
        for k in range(n_frames)
    ]


def _steps(n_frames: int, rng: np.random.Generator) -> Float64[np.ndarray, " T"]:
    """Saccades: piecewise constant directions, degrees, smoothed over about a frame."""
    track = np.zeros(n_frames)
    start = 0
    while start < n_frames:
        length = max(int(rng.uniform(*SACCADE_EVERY) * FPS), 1)
        track[start : start + length] = rng.normal(0, SACCADE)
        start += length
    return np.convolve(np.pad(track, 1, mode="edge"), [0.2, 0.6, 0.2], mode="valid")


def gaze_weights(
    poses: list[Pose], names: tuple[str, ...], rng: np.random.Generator
) -> Float32[np.ndarray, "T 52"]:
    """Eyes that stay near the camera while the head turns, with small saccades."""
    n = len(poses)
    # A turn of the head to the image left (positive yaw) is answered to the image right
    right = GAZE_HOLD * np.degrees([p.yaw for p in poses]) + _steps(n, rng)
    up = GAZE_HOLD * np.degrees([p.pitch for p in poses]) + 0.6 * _steps(n, rng)
    weights = np.zeros((n, len(names)), np.float32)
    place = {name: k for k, name in enumerate(names)}
    # The person's left eye lies at the image right: looking right turns it outwards
    for side, outward in (("Left", right), ("Right", -right)):
        weights[:, place[f"eyeLookOut{side}"]] = np.clip(outward / GAZE_RANGE["Out"], 0, 1)
        weights[:, place[f"eyeLookIn{side}"]] = np.clip(-outward / GAZE_RANGE["In"], 0, 1)
        weights[:, place[f"eyeLookUp{side}"]] = np.clip(up / GAZE_RANGE["Up"], 0, 1)
        weights[:, place[f"eyeLookDown{side}"]] = np.clip(-up / GAZE_RANGE["Down"], 0, 1)
    return weights


def upper_face_weights(
    n_frames: int,
    accents: list[float],
    names: tuple[str, ...],
    rng: np.random.Generator,
) -> Float32[np.ndarray, "T 52"]:
    """Blinks, brows on accents, and a mood (smile and frown of the brows come and go)."""
    weights = np.zeros((n_frames, len(names)))
    place = {name: k for k, name in enumerate(names)}
    chosen = [a for a in accents if rng.random() < 0.5]
    raised = 0.45 * pulses(n_frames, chosen, 0.15, 0.35)
    raised = raised + 0.25 * np.clip(drift(n_frames, rng, 0.05, 0.3), 0, 1)
    smile = SMILE * np.clip(drift(n_frames, rng, *SMILE_RATES), 0, 1)
    blink = blink_track(n_frames, rng)
    frown = FROWN * np.clip(drift(n_frames, rng, *FROWN_RATES), 0, 1)
    weights[:, place["browInnerUp"]] = raised
    for side in ("Left", "Right"):
        weights[:, place[f"browOuterUp{side}"]] = 0.8 * raised
        weights[:, place[f"browDown{side}"]] = frown
        weights[:, place[f"mouthSmile{side}"]] = smile
        weights[:, place[f"cheekSquint{side}"]] = 0.7 * smile
        weights[:, place[f"eyeBlink{side}"]] = blink
        weights[:, place[f"eyeSquint{side}"]] = 0.3 * smile
    return np.clip(weights, 0, 1).astype(np.float32)
