"""From settings to frames with exact truth: picture, regions, normals, landmarks, camera."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32, Float64, UInt8

from emotalk_core.actor.facs import true_action_units
from emotalk_core.actor.identity import Identity, random_identity
from emotalk_core.actor.performance import ActorSettings, Performance, perform
from emotalk_core.actor.pose import intrinsics, view_matrix
from emotalk_core.actor.renderer import Actor


@dataclass(frozen=True)
class ActorFrame:
    """One frame of a clip and everything that is true about it.

    Attributes:
        index: number in the clip.
        rgb: [S,S,3] with film grain, as the video shows it before compression.
        regions: [S,S] numbers of `types.regions.REGION_NAMES`.
        normals: [S,S,3] camera axes (x right, y down, z forward), unit, facing the camera; 0 where
            the background is.
        depth: [S,S] metres along z; 0 where the background is.
        landmarks: [478,2] px (FaceMesh order); landmarks_world: [478,3] metres, head axes.
        expression: [52] weights.
        K: [3,3] px; viewmat: [4,4] world (head) to camera.
        action_units: intensities 0..5 of OpenFace's 17 units (`facs`).
        valence, arousal: -1..1, what the performance asked for; 0 where it asked for nothing.
    """

    index: int
    rgb: UInt8[np.ndarray, "S S 3"]
    regions: UInt8[np.ndarray, "S S"]
    normals: Float32[np.ndarray, "S S 3"]
    depth: Float32[np.ndarray, "S S"]
    landmarks: Float32[np.ndarray, "478 2"]
    landmarks_world: Float32[np.ndarray, "478 3"]
    expression: Float32[np.ndarray, " 52"]
    K: Float64[np.ndarray, "3 3"]
    viewmat: Float64[np.ndarray, "4 4"]
    action_units: dict[str, float]
    valence: float
    arousal: float


def film_grain(
    rgb: UInt8[np.ndarray, "S S 3"], strength: float, seed: int, index: int
) -> UInt8[np.ndarray, "S S 3"]:
    """Add luminance noise; a frame's grain depends on nothing but the seed and its number."""
    if strength == 0:
        return rgb
    rng = np.random.default_rng([seed, 3, index])
    grain = rng.standard_normal(rgb.shape[:2], dtype=np.float32) * np.float32(strength)
    return np.clip(rgb + grain[..., None] + 0.5, 0, 255).astype(np.uint8)


def render_performance(
    identity: Identity,
    performance: Performance,
    settings: ActorSettings,
    frames: Sequence[int] | None = None,
) -> Iterator[ActorFrame]:
    """Frames of a performance by any person; `frames` chooses and orders them (default: all)."""
    actor = Actor(identity, settings.size)
    camera = intrinsics(settings.size)
    for index in range(len(performance.poses)) if frames is None else frames:
        pose = performance.poses[index]
        drawn = actor.render(performance.expression[index], pose)
        yield ActorFrame(
            index=index,
            rgb=film_grain(drawn.rgb, settings.noise, settings.seed, index),
            regions=drawn.labels,
            normals=drawn.normals,
            depth=drawn.depth,
            landmarks=drawn.landmarks,
            landmarks_world=drawn.landmarks_head,
            expression=performance.expression[index],
            K=camera,
            viewmat=view_matrix(pose),
            action_units=true_action_units(
                performance.expression[index], performance.names, drawn.landmarks_head
            ),
            valence=float(performance.emotion[index, 0]),
            arousal=float(performance.emotion[index, 1]),
        )


def render_truth(
    settings: ActorSettings, frames: Sequence[int] | None = None
) -> Iterator[ActorFrame]:
    """Frames of the clip that `make_actor_video` writes for these settings, with their truth."""
    identity = random_identity(settings.seed)
    return render_performance(identity, perform(settings, identity), settings, frames)
