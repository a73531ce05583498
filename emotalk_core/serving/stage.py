"""Renders one scenario of the paper: a trained avatar and drivers in, frames and table out."""

from __future__ import annotations

import json
import logging
import math
import platform
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import torch
from jaxtyping import Float32, UInt8
from torch import Tensor

from emotalk_core.avatar.checkpoint import load_avatar
from emotalk_core.avatar.conditions import (
    FrameCondition,
    action_unit_matrix,
    emotion_matrix,
    make_condition,
)
from emotalk_core.avatar.methods import get_method
from emotalk_core.avatar.model import Compute, Drawer
from emotalk_core.code_version import code_version
from emotalk_core.emotion.circle import evaluation_points
from emotalk_core.errors import ArtifactError, ConfigError, NumericalError, explain
from emotalk_core.gaussians.backends import resolve
from emotalk_core.media.atomic import sha256_file
from emotalk_core.media.audio import read_audio
from emotalk_core.media.progress import track as progress
from emotalk_core.media.side_by_side import side_by_side
from emotalk_core.media.tables import (
    check_length,
    read_arrays,
    read_cameras,
    read_manifest,
    read_table,
    write_table,
)
from emotalk_core.media.video import VideoReader, VideoWriter, expect_frames
from emotalk_core.serving.plans import (
    OWN_SOUND,
    FramePlan,
    plan_cross,
    plan_emotion,
    plan_self,
)
from emotalk_core.speech.features.registry import features_by_id, frames_in
from emotalk_core.types.camera import CameraPath
from emotalk_core.types.gaussians import Camera
from emotalk_core.types.manifest import Manifest
from emotalk_core.types.metrics import SCENARIOS, SPEED_COLUMNS
from emotalk_core.types.renders import RENDER_COLUMNS

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class RenderSettings:
    """The block `render` of the config.

    Attributes:
        max_seconds: longest part of each foreign sound (cross_audio).
        seconds_per_point: length of each of the 12 points (emotion).
        backend: "auto", "torch", "cpu" or "cuda".
    """

    max_seconds: float = 12.0
    seconds_per_point: float = 3.0
    backend: str = "auto"

    def __post_init__(self) -> None:
        for name in ("max_seconds", "seconds_per_point"):
            if getattr(self, name) <= 0:
                raise ConfigError(
                    explain(
                        f"render.{name}", getattr(self, name), "wanted > 0 s", "correct config.yaml"
                    )
                )


@dataclass(frozen=True)
class RenderSpeed:
    """How fast one scenario was rendered, and on what (fields: `types.metrics.SPEED_COLUMNS`)."""

    subject: str
    method: str
    scenario: str
    fps: float
    n_frames: int
    device: str
    backend: str
    threads: int
    width: int
    height: int
    n_gaussians: int


@dataclass(frozen=True)
class Drivers:
    """What a subject's clip and foreign sounds offer.

    Attributes:
        features: speech features of the clip; sounds: of each foreign sound.
        sound_names: clip names of the foreign sounds.
    """

    manifest: Manifest
    cameras: CameraPath
    action_units: Float32[np.ndarray, "T 7"]
    emotion: Float32[np.ndarray, "T 2"]
    features: Float32[np.ndarray, "T W D"]
    sounds: tuple[Float32[np.ndarray, "S W D"], ...]
    sound_names: tuple[str, ...]


def render_scenario(
    *,
    scenario: str,
    method: str,
    checkpoint: Path,
    manifest: Path,
    track: Path,
    cameras: Path,
    torso: Path,
    action_units: Path,
    valence_arousal: Path,
    speech: Path,
    driving: Sequence[Path],
    render: Path,
    render_table: Path,
    settings: RenderSettings,
    seed: int,
    threads: int,
    device: str,
) -> RenderSpeed:
    """Render "self_reconstruction", "cross_audio" or "emotion" (METHOD 1.6).

    Paths are those of docs/artifacts.md. `checkpoint` is the avatar after its last stage; `driving`
    are the wavs of the scenario (self_reconstruction takes none, emotion uses the first); `render`
    gets all frames, `render_table` one row for each. Rendering draws nothing at random: `seed` is
    recorded in the provenance only. What comes back is how fast it went (wall time, without reading
    and writing files); it is in none of the files.

    Raises:
        ConfigError: unknown scenario, or no sound for one that needs it.
        ArtifactError: the avatar belongs to another method, size or speech extractor.
        NumericalError: a frame is not finite.
    """
    torch.set_num_threads(1)  # the frames themselves are drawn side by side
    at_once = frames_at_once(device, threads)
    if scenario not in SCENARIOS:
        raise ConfigError(
            explain("scenario", scenario, f"wanted one of {SCENARIOS}", "correct the rule")
        )
    avatar, header = load_avatar(checkpoint, Compute(settings.backend), device)
    facts = read_manifest(manifest)
    check_header(header, facts, method, checkpoint)
    expect_frames(torso, facts.n_frames, "separate_torso")
    check_length(
        "track.npz", len(read_arrays(track, ("valid",))["valid"]), facts.n_frames, "track_head"
    )
    drivers = read_drivers(
        facts, cameras, action_units, valence_arousal, speech, driving, header["extractor"]
    )
    plans = plan_scenario(scenario, drivers, settings)
    provenance = {
        "made_by": "emotalk",
        "what": "synthetic talking head rendered from a trained avatar",
        "subject": facts.subject,
        "source_sha256": facts.source_sha256,
        "method": method,
        "scenario": scenario,
        "avatar_sha256": sha256_file(checkpoint),
        "sounds": list(drivers.sound_names),
        "settings": asdict(settings),
        "seed": seed,
        "code_version": code_version("serving.stage"),
    }
    use_emotion = get_method(method).has_emotion
    with (
        VideoReader(torso) as behind,
        VideoWriter(render, comment=json.dumps(provenance, sort_keys=True)) as writer,
    ):
        times: list[float] = []
        frames = draw_frames(
            avatar, drivers, plans, behind, use_emotion, torch.device(device), times, at_once
        )
        for frame in progress(frames, f"rendering {scenario}", len(plans), logger):
            writer.write(frame)
    write_table(render_table, plan_table(plans))
    return RenderSpeed(
        subject=facts.subject,
        method=method,
        scenario=scenario,
        fps=frames_per_second(times, at_once),
        n_frames=len(times),
        device=device_name(device),
        backend=resolve(settings.backend, torch.device(device), torch.float32),
        threads=threads,
        width=facts.width,
        height=facts.height,
        n_gaussians=sum(len(v) for k, v in avatar.named_parameters() if k.endswith("means")),
    )


def frames_at_once(device: str, threads: int) -> int:
    """How many frames are drawn side by side: an accelerator takes one after the other anyway."""
    return 1 if torch.device(device).type == "cuda" else threads


def frames_per_second(seconds: Sequence[float], side_by_side: int = 1) -> float:
    """Speed by the median frame: the first frames warm up, and other processes disturb some."""
    return side_by_side / float(np.median(seconds)) if len(seconds) else float("nan")


def device_name(device: str) -> str:
    """The accelerator by its name, or the processor's architecture."""
    if device.startswith("cuda"):
        return torch.cuda.get_device_name(device)
    return f"cpu {platform.machine()}"


def write_speeds(path: Path, speeds: Sequence[RenderSpeed]) -> None:
    """Write wall times of renders, one row a scenario."""
    rows = [asdict(speed) for speed in speeds]
    write_table(path, pd.DataFrame(rows, columns=list(SPEED_COLUMNS)))


def check_header(header: dict, manifest: Manifest, method: str, path: Path) -> None:
    """The avatar must be this method's and fit the clip's frames.

    Raises:
        ArtifactError: it is not.
    """
    wanted = {"method": method, "width": manifest.width, "height": manifest.height}
    for key, value in wanted.items():
        if header[key] != value:
            raise ArtifactError(
                explain(f"{path}: {key}", header[key], f"wanted {value}", "train the avatar again")
            )


def read_drivers(
    manifest: Manifest,
    cameras: Path,
    action_units: Path,
    valence_arousal: Path,
    speech: Path,
    driving: Sequence[Path],
    extractor: str,
) -> Drivers:
    """Tables and features of the clip, and features of foreign sounds by the avatar's extractor.

    Raises:
        ArtifactError: frame counts or the extractor of the speech features disagree.
    """
    own = read_arrays(speech, ("features", "extractor"))
    if str(own["extractor"]) != extractor:
        raise ArtifactError(
            f"{speech}: extractor={own['extractor']}: the avatar was trained on {extractor}; "
            "train it again"
        )
    drivers = Drivers(
        manifest=manifest,
        cameras=read_cameras(cameras),
        action_units=action_unit_matrix(read_table(action_units, ("valid", "AU45"))),
        emotion=emotion_matrix(read_table(valence_arousal, ("valid", "valence", "arousal"))),
        features=own["features"],
        sounds=tuple(sound_features(Path(wav), extractor) for wav in driving),
        sound_names=tuple(Path(wav).stem for wav in driving),
    )
    for name, got, rule in (
        ("cameras.json", len(drivers.cameras), "refine_cameras"),
        ("action_units.csv", len(drivers.action_units), "action_units"),
        ("valence_arousal.csv", len(drivers.emotion), "valence_arousal"),
        ("speech.npz", len(drivers.features), "speech_features"),
    ):
        check_length(name, got, manifest.n_frames, rule)
    return drivers


def sound_features(wav: Path, extractor: str) -> Float32[np.ndarray, "S W D"]:
    """Features of a whole sound file by the extractor whose id the avatar names."""
    samples = read_audio(wav)
    return features_by_id(samples, frames_in(samples), extractor)


def plan_scenario(scenario: str, drivers: Drivers, settings: RenderSettings) -> list[FramePlan]:
    """Frames of a scenario.

    Raises:
        ConfigError: the scenario needs a sound and none is given.
    """
    if scenario == "self_reconstruction":
        return plan_self(drivers.manifest, drivers.emotion)
    if not drivers.sounds:
        raise ConfigError(
            explain(
                f"driving.{scenario}",
                "[]",
                "wanted at least one wav",
                "name sentences or sound files in config.yaml",
            )
        )
    lengths = [len(sound) for sound in drivers.sounds]
    if scenario == "cross_audio":
        clips = list(zip(drivers.sound_names, lengths))
        return plan_cross(drivers.manifest, drivers.emotion, clips, settings.max_seconds)
    points = evaluation_points()
    return plan_emotion(drivers.manifest, points, lengths[0], settings.seconds_per_point)


def draw_frames(
    avatar: Drawer,
    drivers: Drivers,
    plans: Sequence[FramePlan],
    behind: VideoReader,
    use_emotion: bool,
    device: torch.device,
    times: list[float],
    threads: int,
) -> Iterator[UInt8[np.ndarray, "H W 3"]]:
    """Composited frames, RGB uint8, in the plans' order; `times` gets the seconds of each.

    `threads` frames are drawn side by side: a frame has many short steps, which do not pay when
    several threads share each of them. The frames are the same for any number.

    Raises:
        NumericalError: a frame holds NaN or infinity.
    """

    def draw(plan: FramePlan, picture: UInt8[np.ndarray, "H W 3"]) -> np.ndarray:
        begin = time.perf_counter()
        frame = draw_frame(avatar, drivers, plan, picture, use_emotion, device)
        times.append(time.perf_counter() - begin)
        return frame

    yield from side_by_side(draw, ((plan, behind[plan.source_frame]) for plan in plans), threads)


def draw_frame(
    avatar: Drawer,
    drivers: Drivers,
    plan: FramePlan,
    behind: UInt8[np.ndarray, "H W 3"],
    use_emotion: bool,
    device: torch.device,
) -> UInt8[np.ndarray, "H W 3"]:
    """One composited frame over what lies `behind` the head, RGB uint8.

    Raises:
        NumericalError: it holds NaN or infinity.
    """
    condition, camera = plan_view(drivers, plan, use_emotion, device)
    background = to_tensor(behind, device)
    with torch.no_grad():
        image = avatar(condition, camera, background)
    if not math.isfinite(float(image.sum())):  # one pass; NaN and infinity survive a sum
        raise NumericalError(
            f"rendered frame {plan.audio_frame} of clip {plan.clip} is not finite; the avatar "
            "diverged, lower the learning rates and train it again"
        )
    return to_frame(image)  # copies to the host, so that an accelerator has finished too


def plan_view(
    drivers: Drivers, plan: FramePlan, use_emotion: bool, device: torch.device
) -> tuple[FrameCondition, Camera]:
    """What drives a planned frame, and its camera."""
    sound = drivers.features if plan.sound == OWN_SOUND else drivers.sounds[plan.sound]
    condition = make_condition(
        sound,
        plan.audio_frame,
        drivers.action_units[plan.source_frame],
        np.array(plan.emotion, dtype=np.float32) if use_emotion else None,
        device,
    )
    return condition, Camera.of_frame(drivers.cameras, plan.source_frame, device)


def to_tensor(frame: UInt8[np.ndarray, "H W 3"], device: torch.device) -> Tensor:
    """RGB uint8 to [3,H,W] in 0..1."""
    planes = np.empty((3, *frame.shape[:2]), dtype=np.uint8)
    cv2.split(frame, list(planes))  # numpy's own transposed copy takes five times as long
    return torch.from_numpy(planes).to(device).float().div_(255.0)


def to_frame(image: Tensor) -> UInt8[np.ndarray, "H W 3"]:
    """[3,H,W] in 0..1 to RGB uint8, rounded."""
    pixels = image.clamp(0.0, 1.0).mul_(255.0).round_().to(torch.uint8)
    return cv2.merge(list(pixels.cpu().numpy()))


def plan_table(plans: Sequence[FramePlan]) -> pd.DataFrame:
    """One row a frame, the columns of docs/artifacts.md."""
    rows = [
        (k, p.clip, p.source_frame, p.audio_frame, p.emotion[0], p.emotion[1])
        for k, p in enumerate(plans)
    ]
    return pd.DataFrame(rows, columns=list(RENDER_COLUMNS))
