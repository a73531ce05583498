"""Landmarks of a clip in; cameras, neutral face, expression and 3D landmarks of every frame out."""

from __future__ import annotations

import dataclasses

import numpy as np
from jaxtyping import Bool, Float
from scipy.signal import savgol_filter

from emotalk_core.actor.face_model import landmark_basis
from emotalk_core.errors import NumericalError
from emotalk_core.perception.landmarks import topology as tp
from emotalk_core.perception.tracking import shape as shapes
from emotalk_core.perception.tracking.bundle import (
    HeadPath,
    project,
    solve_poses,
    solve_shape,
    to_camera,
)
from emotalk_core.perception.tracking.clip import ClipLandmarks
from emotalk_core.perception.tracking.expression import fit_expression
from emotalk_core.perception.tracking.settings import TrackingSettings
from emotalk_core.types.camera import CameraPath
from emotalk_core.types.manifest import FPS

SMOOTH_WINDOW, SMOOTH_ORDER = 5, 2  # frames: takes the detector's shiver, keeps a blink of 0.2 s


@dataclasses.dataclass(frozen=True)
class HeadTrack:
    """All that tracking knows of a clip; fields as in docs/artifacts.md (track.npz, cameras)."""

    cameras: CameraPath
    landmarks: Float[np.ndarray, "T 478 2"]
    landmarks_world: Float[np.ndarray, "T 478 3"]
    neutral: Float[np.ndarray, "478 3"]
    expression: Float[np.ndarray, "T 52"]
    expression_names: tuple[str, ...]
    lip_opening: Float[np.ndarray, " T"]
    eye_opening: Float[np.ndarray, " T"]
    reprojection_error: Float[np.ndarray, " T"]
    valid: Bool[np.ndarray, " T"]
    reasons: tuple[str, ...]


def solve_head(
    clip: ClipLandmarks, width: int, height: int, settings: TrackingSettings
) -> HeadTrack:
    """Fit poses, focal length, the person's neutral face and expression to a clip's landmarks.

    Args:
        clip: detected and filled landmarks.
        width: of the frames, px; the principal point is their middle.
        height: of the frames, px.
        settings: of the stage.

    Raises:
        NumericalError: the fit ended in NaN or with the head behind the camera.
    """
    template, deltas, names = landmark_basis()
    template, deltas = template.astype(np.float64), deltas.astype(np.float64)
    path, neutral = _rigid_part(clip, template, width, height, settings)
    observed = clip.points[..., :2]
    expression = fit_expression(
        path,
        neutral,
        observed,
        clip.valid,
        deltas,
        names,
        settings.expression_ridge,
        settings.expression_smoothing,
    )
    model = neutral + np.einsum("tk,knc->tnc", expression, deltas)
    camera = to_camera(path, model)
    error = np.linalg.norm(project(camera, path.focal, path.centre) - observed, axis=-1)
    world = _back_project(path, observed, camera[..., 2])
    if not np.isfinite(world).all() or (camera[..., 2] <= 0).any():
        raise NumericalError(
            "tracking: the pose fit failed (NaN or head behind the camera); check quality.png for "
            "frames without a face and lower tracking.max_invalid_share or cut the clip"
        )
    eye = _eye_distance(neutral)
    return HeadTrack(
        cameras=_cameras(path, width, height),
        landmarks=observed,
        landmarks_world=world,
        neutral=neutral,
        expression=expression,
        expression_names=names,
        lip_opening=shapes.lip_gap(world) / eye,
        eye_opening=shapes.lid_gap(world) / eye,
        reprojection_error=error.mean(axis=1),
        valid=clip.valid,
        reasons=clip.reasons,
    )


def _rigid_part(
    clip: ClipLandmarks,
    template: Float[np.ndarray, "478 3"],
    width: int,
    height: int,
    settings: TrackingSettings,
) -> tuple[HeadPath, Float[np.ndarray, "478 3"]]:
    """Poses of all frames and the neutral face, in the face model's world."""
    rigid = list(tp.rigid_points())
    centre = (width / 2, height / 2)
    observed = clip.points[:, rigid, :2]
    weights = np.repeat(clip.valid[:, None], len(rigid), axis=1).astype(np.float64)
    eye_px = float(np.median(shapes.eye_distances(clip.points[clip.valid][..., :2])))
    eye_metres = _eye_distance(template)

    start = shapes.start_path(clip.points, template, settings.focal_prior * width, centre)
    chosen = shapes.spread_frames(clip.valid, settings.shape_frames)
    few = dataclasses.replace(start, turns=start.turns[chosen], shifts=start.shifts[chosen])
    solved = solve_shape(few, observed[chosen], weights[chosen], eye_px, eye_metres)
    # the start's distances belong to the prior focal length: move them along with it
    shifts = start.shifts * [1, 1, solved.focal / start.focal]
    path = dataclasses.replace(solved, turns=start.turns, shifts=shifts)
    path = solve_poses(path, observed, weights, eye_px, eye_metres, settings.pose_smoothing)
    neutral = shapes.neutral_face(clip.points, clip.valid, path, template)
    change = shapes.fit_similarity(neutral, template)
    return shapes.realign(path, change), change.apply(neutral)


def _eye_distance(points: Float[np.ndarray, "478 3"]) -> float:
    right, left = tp.OUTER_EYE_CORNERS
    return float(np.linalg.norm(points[right] - points[left]))


def _back_project(
    path: HeadPath, observed: Float[np.ndarray, "T 478 2"], depth: Float[np.ndarray, "T 478"]
) -> Float[np.ndarray, "T 478 3"]:
    """Seen points at the model's depth (metres, world), without the detector's shiver."""
    plane = (observed - np.asarray(path.centre)) / path.focal * depth[..., None]
    camera = np.concatenate([plane, depth[..., None]], axis=-1)
    world = (camera - path.shifts[:, None]) @ path.rotations
    if len(world) < SMOOTH_WINDOW:
        return world
    return savgol_filter(world, SMOOTH_WINDOW, SMOOTH_ORDER, axis=0)


def _cameras(path: HeadPath, width: int, height: int) -> CameraPath:
    n_frames = len(path.turns)
    intrinsics = np.array(
        [[path.focal, 0, path.centre[0]], [0, path.focal, path.centre[1]], [0, 0, 1]]
    )
    viewmats = np.tile(np.eye(4), (n_frames, 1, 1))
    viewmats[:, :3, :3] = path.rotations
    viewmats[:, :3, 3] = path.shifts
    return CameraPath(width, height, FPS, np.tile(intrinsics, (n_frames, 1, 1)), viewmats)
