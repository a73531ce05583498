"""A clip's landmarks and what the detector does in; the person's shape and poses out.

Generalised Procrustes analysis in the metric of the detector's measured errors: the points of every
frame are brought onto the person by a similarity in 3D, the person is what the aligned frames share
when expression and the detector's errors are taken off, and its axes are the face model's.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float
from scipy.spatial.transform import Rotation

from emotalk_core.geometry.bands import smooth, stiffness
from emotalk_core.perception.landmarks import topology as tp
from emotalk_core.perception.tracking.detector_model import DetectorModel, view_features
from emotalk_core.perception.tracking.expression import solve_expression
from emotalk_core.perception.tracking.path import Centre, HeadPath
from emotalk_core.perception.tracking.shape import fit_similarity, spread_frames

ROUNDS = 3  # of person and poses in turn
ALIGN_STEPS = 4  # of a rotation, from a start that is right within some degrees
REST_FRAMES = 600  # spread over the clip, whose median is the person
# Half of a motion at these frequencies is left. Heads nod at up to some 2 Hz; they hardly move in
# depth, which is also seen worst.
TURN_HZ, SHIFT_HZ, DEPTH_HZ = 2.4, 2.5, 1.0
# The detector's depth of a point is wrong by some millimetres, for every person in another way; it
# shows when the head turns. All frames together count as so many independent ones.
POINT_SIGMA, DEPTH_SIGMA, INDEPENDENT_FRAMES = 0.001, 0.005, 20.0  # metres, metres


@dataclass(frozen=True)
class Aligned:
    """A clip's points in the person's axes.

    Attributes:
        rotations: of the head, world to camera.
        points: as seen, in head axes, metres.
    """

    rotations: Float[np.ndarray, "T 3 3"]
    points: Float[np.ndarray, "T 478 3"]


def _columns(shape: Float[np.ndarray, "N 3"]) -> Float[np.ndarray, "7 D"]:
    """Motion of points by a small turn, shift and growth."""
    turns = np.cross(np.eye(3)[:, None], shape[None])
    shifts = np.repeat(np.eye(3)[:, None], len(shape), axis=1)
    return np.concatenate([turns, shifts, shape[None]]).reshape(7, -1)


def _reader(
    columns: Float[np.ndarray, "C D"], precision: Float[np.ndarray, "D D"]
) -> Float[np.ndarray, "D C"]:
    """Matrix that reads the best (weighted least squares) amounts of `columns` off a motion."""
    weighed = columns @ precision
    return np.linalg.solve(weighed @ columns.T, weighed).T


def align(
    points: Float[np.ndarray, "T 478 3"],
    shape: Float[np.ndarray, "478 3"],
    rotations: Float[np.ndarray, "T 3 3"],
    model: DetectorModel,
    precision: Float[np.ndarray, "D D"],
    turn: bool = True,
) -> Aligned:
    """Bring every frame's points (metres, camera axes) onto `shape` by a similarity.

    Args:
        points: of the frames.
        shape: what they are brought onto.
        rotations: a first guess.
        model: of the detector: its pose errors are taken off.
        precision: metric of the chosen points.
        turn: False keeps the rotations and fits shift and size alone.
    """
    chosen = model.chosen
    read = _reader(_columns(shape[chosen])[0 if turn else 3 :], precision)
    middle = shape[chosen].mean(axis=0)
    centre = points[:, chosen].mean(axis=1)
    size = np.linalg.norm(points[:, chosen] - centre[:, None], axis=(1, 2))
    scale = np.linalg.norm(shape[chosen] - middle) / size
    offset = middle - (rotations.transpose(0, 2, 1) @ (scale[:, None] * centre)[..., None])[..., 0]
    for _ in range(ALIGN_STEPS):
        inside = scale[:, None, None] * points[:, chosen] @ rotations + offset[:, None]
        errors = model.pose_error(rotations)[:, chosen]
        amounts = (inside - shape[chosen] - errors).reshape(len(points), -1) @ read
        if not turn:
            amounts = np.concatenate([np.zeros((len(points), 3)), amounts], axis=1)
        back = Rotation.from_rotvec(-amounts[:, :3]).as_matrix()
        growth = np.exp(-amounts[:, 6])
        offset = growth[:, None] * (back @ (offset - amounts[:, 3:6])[..., None])[..., 0]
        rotations, scale = rotations @ back.transpose(0, 2, 1), scale * growth
    return Aligned(rotations, scale[:, None, None] * points @ rotations + offset[:, None])


def start_rotations(
    points: Float[np.ndarray, "T 478 3"], shape: Float[np.ndarray, "478 3"]
) -> tuple[Float[np.ndarray, "T 3 3"], Float[np.ndarray, " T"]]:
    """Rotations and sizes (picture by shape) of plain similarities over the rigid points."""
    rigid = list(tp.rigid_points())
    fits = [fit_similarity(shape[rigid], frame[rigid]) for frame in points]
    return np.array([f.rotation for f in fits]), np.array([f.scale for f in fits])


@dataclass(frozen=True)
class Person:
    """One person as the detector sees them.

    Attributes:
        shape: points at rest, metres, world.
        model: of the detector, with its errors for this person.
    """

    shape: Float[np.ndarray, "478 3"]
    model: DetectorModel


def solve_person(
    points: Float[np.ndarray, "T 478 3"],
    valid: Bool[np.ndarray, " T"],
    rotations: Float[np.ndarray, "T 3 3"],
    model: DetectorModel,
    axes: Float[np.ndarray, " 3"] | None = None,
) -> tuple[Person, Float[np.ndarray, "T 3 3"]]:
    """The person at rest, and every frame's rotation.

    Args:
        points: of every frame, metres, camera axes.
        valid: frames with False do not count.
        rotations: a first guess.
        model: of the detector.
        axes: rotation vector, radians, of the axes against where such a person's usually lie.
    """
    turn = Rotation.from_rotvec(np.zeros(3) if axes is None else axes).as_matrix()
    person = Person(model.neutral, model)
    used = spread_frames(valid, REST_FRAMES)
    for _ in range(ROUNDS):
        shape, own = person.shape, person.model
        fitted = align(points[used], shape, rotations[used], own, own.rigid_precision)
        rest = fitted.points - own.pose_error(fitted.rotations)
        moved = (rest - shape)[:, own.chosen].reshape(len(used), -1)
        amounts = solve_expression(moved, np.ones(len(used)), own, smoothing=0.0)
        rest = rest - np.tensordot(amounts, own.expression, axes=1)
        middle = np.median(rest, axis=0)
        person = Person(
            _in_model_axes(middle, model) @ turn, _with_depths(own, rest - middle, fitted.rotations)
        )
    fitted = align(points, person.shape, rotations, person.model, person.model.rigid_precision)
    return person, fitted.rotations


def _with_depths(
    model: DetectorModel,
    left: Float[np.ndarray, "T 478 3"],
    rotations: Float[np.ndarray, "T 3 3"],
) -> DetectorModel:
    """The model with a depth error per point, from what is left in the plane when heads turn."""
    views = view_features(rotations)[:, :2]
    views = views - views.mean(axis=0)
    ridge = len(left) / INDEPENDENT_FRAMES * (POINT_SIGMA / DEPTH_SIGMA) ** 2
    depth = np.einsum("tc,tnc->n", views, left[..., :2]) / ((views**2).sum() + ridge)
    pose = model.pose.copy()
    pose[0, :, 0] += depth
    pose[1, :, 1] += depth
    return dataclasses.replace(model, pose=pose)


def _in_model_axes(
    shape: Float[np.ndarray, "478 3"], model: DetectorModel
) -> Float[np.ndarray, "478 3"]:
    """The person's points turned, moved and scaled to where such a person lies in the model."""
    still = dataclasses.replace(model, pose=np.zeros_like(model.pose))
    moved = align(shape[None], model.person, np.eye(3)[None], still, model.person_precision)
    return moved.points[0]


def motion_of(
    seen: Float[np.ndarray, "T 478 3"],
    shape: Float[np.ndarray, "478 3"],
    rotations: Float[np.ndarray, "T 3 3"],
    model: DetectorModel,
) -> Float[np.ndarray, "T D"]:
    """Motion of the chosen points against a person at rest, the rotations being known.

    Args:
        seen: points, metres, camera axes.
        shape: the person's points at rest as the detector sees them, metres, world.
        rotations: world to camera.
        model: of the detector.
    """
    fitted = align(seen, shape, rotations, model, model.rigid_precision, turn=False)
    moved = fitted.points - shape - model.pose_error(rotations)
    return moved[:, model.chosen].reshape(len(moved), -1)


def steady_rotations(
    rotations: Float[np.ndarray, "T 3 3"], valid: Bool[np.ndarray, " T"], smoothing: float
) -> Float[np.ndarray, "T 3 3"]:
    """Rotations smoothed in time, around their mean."""
    mean = Rotation.from_matrix(rotations[valid]).mean()
    turns = (Rotation.from_matrix(rotations) * mean.inv()).as_rotvec()
    turns = smooth(turns, valid.astype(float), smoothing * stiffness(TURN_HZ))
    return (Rotation.from_rotvec(turns) * mean).as_matrix()


def solve_shifts(
    rotations: Float[np.ndarray, "T 3 3"],
    shapes: Float[np.ndarray, "T N 3"],
    observed: Float[np.ndarray, "T N 2"],
    valid: Bool[np.ndarray, " T"],
    focal: float,
    centre: Centre,
    smoothing: float,
) -> HeadPath:
    """Where the head is, given its turn and its points: linear least squares in the picture.

    Args:
        rotations: of every frame.
        shapes: points of every frame, metres, world.
        observed: the same points, px.
        valid: frames with False follow their neighbours.
        focal: px.
        centre: principal point, px.
        smoothing: factor on the weight of the second differences.
    """
    turned = shapes @ rotations.transpose(0, 2, 1)
    plane = (observed - np.asarray(centre)) / focal
    rhs = plane * turned[..., 2:] - turned[..., :2]
    n_points, total = shapes.shape[1], plane.sum(axis=1)
    normal = np.zeros((len(shapes), 3, 3))
    normal[:, 0, 0] = normal[:, 1, 1] = n_points
    normal[:, :2, 2] = normal[:, 2, :2] = -total
    normal[:, 2, 2] = (plane**2).sum(axis=(1, 2))
    right = np.concatenate([rhs.sum(axis=1), -(plane * rhs).sum(axis=(1, 2))[:, None]], axis=1)
    shifts = np.linalg.solve(normal, right[..., None])[..., 0]
    weights = valid.astype(float)
    depth = smooth(shifts[:, 2:], weights, smoothing * stiffness(DEPTH_HZ))
    if smoothing > 0:  # the picture fixes the direction best: shift sideways with the depth
        towards = total / n_points
        shifts[:, :2] += towards * (depth - shifts[:, 2:])
    sideways = smooth(shifts[:, :2], weights, smoothing * stiffness(SHIFT_HZ))
    return HeadPath(rotations, np.concatenate([sideways, depth], axis=1), focal, centre)
