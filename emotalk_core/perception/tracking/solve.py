"""Landmarks of a clip in; cameras, neutral face, expression and 3D landmarks of every frame out."""

from __future__ import annotations

import dataclasses
import logging

import numpy as np
from jaxtyping import Bool, Float
from scipy.signal import savgol_filter

from emotalk_core.actor.face_model import landmark_basis
from emotalk_core.errors import NumericalError
from emotalk_core.perception.landmarks import topology as tp
from emotalk_core.perception.tracking import bundle
from emotalk_core.perception.tracking import shape as shapes
from emotalk_core.perception.tracking.axes import Looks, axes_reader
from emotalk_core.perception.tracking.clip import ClipLandmarks
from emotalk_core.perception.tracking.detector_model import DetectorModel, detector_model
from emotalk_core.perception.tracking.expression import Evidence, from_rest, solve_expression
from emotalk_core.perception.tracking.path import Centre, HeadPath, project, to_camera, unproject
from emotalk_core.perception.tracking.settings import TrackingSettings
from emotalk_core.perception.tracking.skin import Watch, skin_evidence, with_skin
from emotalk_core.types.camera import CameraPath
from emotalk_core.types.manifest import FPS

logger = logging.getLogger(__name__)

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
    clip: ClipLandmarks,
    width: int,
    height: int,
    settings: TrackingSettings,
    centre: Centre | None = None,
    model: DetectorModel | None = None,
    looks: Looks | None = None,
    watch: Watch | None = None,
) -> HeadTrack:
    """Fit poses, focal length, the person's neutral face and expression to a clip's landmarks.

    Args:
        clip: detected and filled landmarks.
        width: of the frames, px.
        height: of the frames, px.
        settings: of the stage.
        centre: principal point, px; default: the middle of the frame.
        model: of the detector; default: the packaged one of `settings.detector`.
        looks: pictures that tell the person's axes better than landmarks do; default: none.
        watch: tells how the skin moved, for the expression; default: landmarks alone.

    Raises:
        NumericalError: the fit ended in NaN or with the head behind the camera.
    """
    model = model or detector_model(settings.detector)
    centre = centre or (width / 2, height / 2)
    seen, rotations, focal = metric_clip(clip, model, settings.camera_distance, centre)
    person, rotations = bundle.solve_person(seen, clip.valid, rotations, model)
    alike = model.likeness(person.shape)
    if alike < 1:  # where features lie tells little about the pose of one who is built otherwise
        model = model.trusted(alike)
        person, rotations = bundle.solve_person(seen, clip.valid, rotations, model)
    logger.info("tracking: like the measured people %.2f (0 to 1)", alike)
    if looks is not None:
        axes = axes_reader().turn(looks.parts, rotations[looks.frames])
        logger.info(
            "tracking: pictures turn the head's axes by %.1f (pitch) and %.1f (yaw) degrees",
            *np.degrees(axes[:2]),
        )
        person, rotations = bundle.solve_person(seen, clip.valid, rotations, model, axes)
    rotations = bundle.steady_rotations(rotations, clip.valid, settings.pose_smoothing)
    solve = _Solve(clip, seen, person, rotations, focal, centre, settings)
    raw = solve.coefficients()
    placed = solve.place(raw)
    if watch is not None:
        cameras = _cameras(placed.path, width, height)
        motion = watch(cameras, placed.neutral, clip.valid)
        watched = solve.coefficients(skin_evidence(motion, raw))
        placed = solve.place(with_skin(raw, watched, person.model.names))
    path, neutral, observed = placed.path, placed.neutral, clip.points[..., :2]
    drawn = project(to_camera(path, placed.shapes), focal, centre)
    world = _back_project(path, observed, neutral, placed.expression)
    eye = float(shapes.eye_distances(neutral[None])[0])
    return HeadTrack(
        cameras=_cameras(path, width, height),
        landmarks=observed,
        landmarks_world=world,
        neutral=neutral,
        expression=placed.expression,
        expression_names=model.names,
        lip_opening=shapes.opening(world, ((tp.UPPER_INNER_LIP, tp.LOWER_INNER_LIP),)) / eye,
        eye_opening=shapes.opening(world, tp.UPPER_LOWER_LIDS) / eye,
        reprojection_error=np.linalg.norm(drawn - observed, axis=-1).mean(axis=1),
        valid=clip.valid,
        reasons=clip.reasons,
    )


@dataclasses.dataclass(frozen=True)
class _Placed:
    """Coefficients counted from rest, with the face and the poses that belong to them.

    Attributes:
        expression: of every frame. neutral: points at rest, without the detector's depth errors.
        shapes: points as the detector would see them. path: of the head.
    """

    expression: Float[np.ndarray, "T 52"]
    neutral: Float[np.ndarray, "478 3"]
    shapes: Float[np.ndarray, "T 478 3"]
    path: HeadPath


@dataclasses.dataclass(frozen=True)
class _Solve:
    """A clip whose person and rotations are known."""

    clip: ClipLandmarks
    seen: Float[np.ndarray, "T 478 3"]
    person: bundle.Person
    rotations: Float[np.ndarray, "T 3 3"]
    focal: float
    centre: Centre
    settings: TrackingSettings

    def coefficients(self, more: Evidence | None = None) -> Float[np.ndarray, "T 52"]:
        """Against the person's median face."""
        model, shape = self.person.model, self.person.shape
        return solve_expression(
            bundle.motion_of(self.seen, shape, self.rotations, model),
            self.clip.valid.astype(np.float64),
            model,
            self.settings.expression_smoothing,
            self.settings.expression_ridge,
            more,
        )

    def place(self, coefficients: Float[np.ndarray, "T 52"]) -> _Placed:
        """Rest taken off, and where the head is."""
        model = self.person.model
        expression, rest = from_rest(coefficients, model.names)
        shape = self.person.shape + np.tensordot(rest, model.expression, axes=1)
        motion = np.tensordot(expression, model.expression, axes=1)
        seen, chosen = shape + model.pose_error(self.rotations) + motion, model.chosen
        path = bundle.solve_shifts(
            self.rotations,
            seen[:, chosen],
            self.clip.points[:, chosen, :2],
            self.clip.valid,
            self.focal,
            self.centre,
            self.settings.pose_smoothing,
        )
        neutral = shape - np.stack([*np.zeros((2, tp.N_LANDMARKS)), model.depth_error], axis=1)
        return _Placed(expression, neutral, seen, path)


def metric_clip(
    clip: ClipLandmarks, model: DetectorModel, distance: float, centre: Centre
) -> tuple[Float[np.ndarray, "T 478 3"], Float[np.ndarray, "T 3 3"], float]:
    """Points in metric camera space, a first guess of the rotations, the focal length (px).

    Args:
        clip: detected and filled landmarks.
        model: of the detector.
        distance: of the camera, metres.
        centre: principal point, px.
    """
    rotations, sizes = bundle.start_rotations(clip.points, model.neutral)
    # a face lies nearer to the camera than the head's origin between the ears
    depth = distance + float(model.neutral[list(tp.rigid_points()), 2].mean())
    focal = depth * float(np.median(sizes[clip.valid]))
    return unproject(clip.points, focal / sizes, focal, centre), rotations, focal


def _back_project(
    path: HeadPath,
    observed: Float[np.ndarray, "T 478 2"],
    neutral: Float[np.ndarray, "478 3"],
    expression: Float[np.ndarray, "T 52"],
) -> Float[np.ndarray, "T 478 3"]:
    """Seen points at the face model's depth (metres, world), without the detector's shiver.

    Raises:
        NumericalError: a result is not finite, or the head lies behind the camera.
    """
    deltas = landmark_basis()[1].astype(np.float64)
    depth = to_camera(path, neutral + np.tensordot(expression, deltas, axes=1))[..., 2:]
    plane = (observed - np.asarray(path.centre)) / path.focal * depth
    camera = np.concatenate([plane, depth], axis=-1)
    world = (camera - path.shifts[:, None]) @ path.rotations
    if not np.isfinite(world).all() or (depth <= 0).any():
        raise NumericalError(
            "tracking: the pose fit failed (NaN or head behind the camera); check quality.png for "
            "frames without a face and lower tracking.max_invalid_share or cut the clip"
        )
    if len(world) < SMOOTH_WINDOW:
        return world
    return savgol_filter(world, SMOOTH_WINDOW, SMOOTH_ORDER, axis=0)


def _cameras(path: HeadPath, width: int, height: int) -> CameraPath:
    n_frames = len(path.shifts)
    intrinsics = np.array(
        [[path.focal, 0, path.centre[0]], [0, path.focal, path.centre[1]], [0, 0, 1]]
    )
    viewmats = np.tile(np.eye(4), (n_frames, 1, 1))
    viewmats[:, :3, :3] = path.rotations
    viewmats[:, :3, 3] = path.shifts
    return CameraPath(width, height, FPS, np.tile(intrinsics, (n_frames, 1, 1)), viewmats)
