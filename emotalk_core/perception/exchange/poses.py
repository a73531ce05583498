"""transforms_train.json and transforms_val.json in, a camera path out; and back.

Their world is that of the Basel face model in metres (x to the image right, y up, z to the viewer)
and their cameras are OpenGL camera-to-world matrices; ours has y down and z away, and OpenCV
world-to-camera matrices. Both changes are the same half turn about x.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from emotalk_core.errors import ArtifactError, InputError
from emotalk_core.media.atomic import read_json, write_json
from emotalk_core.perception.exchange.layout import TEST, TRAIN
from emotalk_core.types.camera import CameraPath
from emotalk_core.types.manifest import FPS

HALF_TURN = np.diag([1.0, -1.0, -1.0, 1.0])  # y and z change their sign; its own inverse
MAX_SKEW = 1e-3  # of R R^T - 1: files hold float32 rotations, a broken one is off by far more
MAX_SPREAD = 1e-6  # of the focal length: the layout holds one camera matrix for all frames


def to_viewmats(poses: Float[np.ndarray, "T 4 4"]) -> Float[np.ndarray, "T 4 4"]:
    """OpenCV world-to-camera matrices of our world from OpenGL camera-to-world ones of theirs."""
    return HALF_TURN @ np.linalg.inv(poses) @ HALF_TURN


def to_poses(viewmats: Float[np.ndarray, "T 4 4"]) -> Float[np.ndarray, "T 4 4"]:
    """Inverse of `to_viewmats`."""
    return HALF_TURN @ np.linalg.inv(viewmats) @ HALF_TURN


def _frames(path: Path, n_frames: int) -> tuple[dict[str, Any], dict[int, np.ndarray]]:
    """(whole file, pose of each image number) of one of the two files."""
    try:
        data = read_json(path)
    except ArtifactError as error:
        raise InputError(f"{path}: not readable as JSON; make it again") from error
    poses: dict[int, np.ndarray] = {}
    try:
        focal = [float(data[key]) for key in ("focal_len", "cx", "cy")]
        frames = [
            (int(f["img_id"]), np.asarray(f["transform_matrix"], float)) for f in data["frames"]
        ]
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(
            f"{path}: {error!r}: wanted focal_len, cx, cy and frames with img_id and "
            "transform_matrix; make it again"
        ) from error
    if not np.isfinite(focal).all() or focal[0] <= 0:
        raise InputError(f"{path}: focal_len, cx, cy={focal}: wanted px > 0; make it again")
    for number, pose in frames:
        if not 0 <= number < n_frames:
            raise InputError(
                f"{path}: img_id={number}: the folder has the frames 0 .. {n_frames - 1}; "
                "make it again from these frames"
            )
        if number in poses:
            raise InputError(f"{path}: img_id={number}: listed twice; make the file again")
        poses[number] = _checked(pose, f"{path}: img_id={number}")
    return data, poses


def _checked(pose: np.ndarray, where: str) -> Float[np.ndarray, "4 4"]:
    """A rigid camera-to-world matrix, or a refusal."""
    good = pose.shape == (4, 4) and bool(np.isfinite(pose).all())
    if good:
        rotation = pose[:3, :3]
        skew = np.abs(rotation @ rotation.T - np.eye(3)).max()
        good = skew < MAX_SKEW and np.linalg.det(rotation) > 0
    if not good:
        raise InputError(f"{where}: transform_matrix is not a rotation and a shift; track again")
    return pose


def read_transforms(
    folder: Path, n_frames: int, shape: tuple[int, int]
) -> tuple[CameraPath | None, int | None, str]:
    """The cameras of a folder.

    Args:
        folder: with transforms_train.json and transforms_val.json.
        n_frames: of the clip.
        shape: (height, width) of its pictures, px.

    Returns:
        (cameras, number of training frames, what is wrong). Cameras are None and the third says
        why where frames have no pose; the second is None where the split is not one by time.

    Raises:
        InputError: a file is broken, or the two disagree.
    """
    absent = [name for name in (TRAIN, TEST) if not (folder / name).is_file()]
    if absent:
        return None, None, f"{' and '.join(absent)} not there"
    data, train = _frames(folder / TRAIN, n_frames)
    other, test = _frames(folder / TEST, n_frames)
    for key in ("focal_len", "cx", "cy"):
        if data[key] != other[key]:
            raise InputError(
                f"{folder / TEST}: {key}={other[key]}: {TRAIN} says {data[key]}; make both again"
            )
    if both := sorted(set(train) & set(test)):
        raise InputError(f"{folder / TEST}: img_id={both[0]}: also in {TRAIN}; make both again")
    missing = sorted(set(range(n_frames)) - set(train) - set(test))
    if missing:
        return None, None, f"frames without a pose: {len(missing)}, the first is {missing[0]}"
    by_time = len(train) > 0 and len(test) > 0 and max(train) < min(test)
    all_poses = {**train, **test}
    poses = np.stack([all_poses[i] for i in range(n_frames)])
    matrix = np.array(
        [[data["focal_len"], 0, data["cx"]], [0, data["focal_len"], data["cy"]], [0, 0, 1]], float
    )
    cameras = CameraPath(
        shape[1], shape[0], FPS, np.repeat(matrix[None], n_frames, axis=0), to_viewmats(poses)
    )
    return cameras, len(train) if by_time else None, ""


def write_transforms(folder: Path, cameras: CameraPath, n_train: int) -> None:
    """Write both files, split by time.

    Raises:
        InputError: the cameras do not share one focal length and principal point.
    """
    matrix = cameras.Ks.mean(axis=0)
    focal = float((matrix[0, 0] + matrix[1, 1]) / 2)
    wanted = np.array([[focal, 0, matrix[0, 2]], [0, focal, matrix[1, 2]], [0, 0, 1]])
    if np.abs(cameras.Ks - wanted).max() > MAX_SPREAD * focal:
        raise InputError(
            "cameras.json: focal lengths or principal points differ between frames or axes: the "
            "layout holds one of each; run rules track_head and refine_cameras again"
        )
    shared = {
        "focal_len": focal,
        "cx": float(matrix[0, 2]),
        "cy": float(matrix[1, 2]),
        "w": cameras.width,
        "h": cameras.height,
    }
    frames = [
        {"img_id": i, "aud_id": i, "transform_matrix": pose.tolist()}
        for i, pose in enumerate(to_poses(cameras.viewmats))
    ]
    write_json(folder / TRAIN, {**shared, "frames": frames[:n_train]})
    write_json(folder / TEST, {**shared, "frames": frames[n_train:]})
