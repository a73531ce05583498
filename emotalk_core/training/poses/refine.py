"""Tracked poses and a small clip in; poses that line up the head's own picture over time out.

A landmark detector's points shiver, and drift with the expression, by about half a pixel; that is
the largest error of an avatar trained on them. A rigid head of Gaussians is trained on all training
frames, then every pose, of training and test frames alike, is moved so that its frame shows that
head; both in turn. A prior in time ties the poses together.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from scipy.linalg import solveh_banded
from scipy.spatial.transform import Rotation
from torch import Tensor

from emotalk_core.avatar.initialise import View, face_gaussians
from emotalk_core.avatar.model import as_gaussians, as_parameters
from emotalk_core.gaussians.rasterize import rasterize
from emotalk_core.geometry.bands import apply_bands, pose_bands, second_difference_bands
from emotalk_core.media.progress import Progress
from emotalk_core.training.optimiser import NamedAdam
from emotalk_core.training.poses.alignment import pose_equations
from emotalk_core.training.poses.frames import SmallClip, as_float
from emotalk_core.training.poses.settings import PoseSettings
from emotalk_core.types.camera import CameraPath
from emotalk_core.types.gaussians import Camera, GaussianSet

logger = logging.getLogger(__name__)

# Second differences of a speaking head at 25 fps: about 0.2 degrees and 0.3 % of the eye distance.
TURN_SIGMA = 0.004  # rad
SHIFT_SIGMA = (0.005, 0.005, 0.03)  # in eye distances; depth is seen worst and moves least
STEP_LIMIT = 0.03  # rad, or outer eye distances: a larger step has lost its way
ANCHOR = 0.02  # pull to the tracked poses: it holds what the pictures do not decide
HAIR_VIEWS = 24  # frames from which hair is back-projected
OUTLIER = 2.5  # a frame whose residual exceeds the median this many times is named
NAMED_FRAMES = 8  # how many frame numbers a warning lists
HEAD_ALPHA = 128  # grey value from which a pixel belongs to the head
ALPHA_WEIGHT = 0.2  # of the difference to the soft head mask
RATES = {
    "means": 2e-4,
    "quats": 2e-3,
    "scales": 5e-3,
    "opacities": 3e-2,
    "sh_dc": 1e-2,
    "sh_rest": 1e-3,
}


@dataclass(frozen=True)
class Poses:
    """Rotation vectors (rad) and shifts (metres), side by side, of all frames.

    Attributes:
        values: [T,6].
        intrinsics: of the small frames, px.
    """

    values: Float[np.ndarray, "T 6"]
    intrinsics: Float[np.ndarray, "T 3 3"]

    def viewmat(self, frame: int) -> Float[np.ndarray, "4 4"]:
        """World to camera of one frame."""
        result = np.eye(4)
        result[:3, :3] = Rotation.from_rotvec(self.values[frame, :3]).as_matrix()
        result[:3, 3] = self.values[frame, 3:]
        return result

    def camera(self, frame: int, shape: tuple[int, int]) -> Camera:
        """The camera of one small frame."""
        return Camera(
            K=torch.tensor(self.intrinsics[frame], dtype=torch.float32),
            viewmat=torch.tensor(self.viewmat(frame), dtype=torch.float32),
            width=shape[1],
            height=shape[0],
        )


class RigidHead:
    """Gaussians of a head that neither speaks nor blinks, trained at a clip's current poses."""

    def __init__(
        self,
        clip: SmallClip,
        poses: Poses,
        neutral: Float[np.ndarray, "478 3"],
        frames: Int[np.ndarray, " F"],
        settings: PoseSettings,
        seed: int,
        threads: int,
    ) -> None:
        self._clip, self._frames, self._threads = clip, frames, threads
        self._order = np.random.default_rng([seed, 21])
        turns = [np.trace(poses.viewmat(int(t))[:3, :3]) for t in frames]
        spread = frames[np.linspace(0, len(frames) - 1, min(HAIR_VIEWS, len(frames))).astype(int)]
        views = [_view(clip, poses, int(t)) for t in spread]
        frontal = _view(clip, poses, int(frames[int(np.argmax(turns))]))
        start = face_gaussians(neutral, frontal, views, settings.n_gaussians, 1, seed)
        self.parameters = as_parameters(replace(start, normal_residuals=None))
        self._adam = NamedAdam(dict(self.parameters.items()), RATES, set())
        self._queue = np.zeros(0, dtype=np.int64)

    def gaussians(self) -> GaussianSet:
        """As they are now."""
        return as_gaussians(dict(self.parameters.items()))

    def train(self, poses: Poses, steps: int, factor: float) -> None:
        """Fit to the training frames at `poses`; `factor` scales all learning rates."""
        clip = self._clip
        progress = Progress("rigid head", steps, logger)
        for _ in range(steps):
            frame = self._next()
            behind, target = _tensor(clip.torso[frame]), _tensor(clip.video[frame])
            weight = torch.from_numpy(as_float(clip.weight[frame]))
            mask = torch.from_numpy(as_float(clip.alpha[frame]))
            drawn = rasterize(
                self.gaussians(),
                poses.camera(frame, clip.shape),
                behind,
                with_normals=False,
                threads=self._threads,
            )
            loss = ((drawn.rgb - target).abs().mean(dim=0) * weight).mean()
            loss = loss + ALPHA_WEIGHT * ((drawn.alpha - mask).abs() * weight).mean()
            loss.backward()
            self._adam.step(dict.fromkeys(RATES, factor))
            progress.step(loss=float(loss.detach()))

    def _next(self) -> int:
        if len(self._queue) == 0:
            self._queue = self._order.permutation(self._frames)
        frame, self._queue = int(self._queue[0]), self._queue[1:]
        return frame


def _view(clip: SmallClip, poses: Poses, frame: int) -> View:
    return View(
        image=clip.video[frame],
        mask=clip.alpha[frame] >= HEAD_ALPHA,
        K=poses.intrinsics[frame],
        viewmat=poses.viewmat(frame),
    )


def _tensor(frame: np.ndarray) -> Tensor:
    return torch.from_numpy(as_float(frame.transpose(2, 0, 1)))


def sweep(
    head: GaussianSet,
    clip: SmallClip,
    poses: Poses,
    start: Poses,
    valid: Bool[np.ndarray, " T"],
    eye: float,
    smoothing: float,
    threads: int,
) -> tuple[Poses, Float[np.ndarray, " T"]]:
    """One Gauss-Newton step of all poses together, and the residual of every frame before it.

    Args:
        head: rigid.
        clip: small frames.
        poses: now.
        start: as tracked.
        valid: other frames follow their neighbours.
        eye: outer eye distance, metres.
        smoothing: factor on the weight of the second differences.
        threads: of the rasterizer.
    """
    unit = np.array([TURN_SIGMA] * 3 + [s * eye for s in SHIFT_SIGMA])
    smooth, stiffness = second_difference_bands(len(valid)), smoothing / unit**2
    gradient = (poses.values - start.values) * (ANCHOR / unit**2)
    gradient += stiffness * apply_bands(smooth, poses.values)
    blocks = np.tile(np.diag(ANCHOR / unit**2), (len(valid), 1, 1))
    residuals = np.full(len(valid), np.nan)
    for t in np.flatnonzero(valid):
        with torch.no_grad():
            drawn = rasterize(
                head,
                poses.camera(t, clip.shape),
                _tensor(clip.torso[t]),
                with_normals=False,
                threads=threads,
            )
        made = pose_equations(
            drawn.rgb.permute(1, 2, 0).numpy(),
            drawn.alpha.numpy(),
            drawn.depth.numpy(),
            as_float(clip.video[t]),
            as_float(clip.weight[t]),
            poses.intrinsics[t],
            poses.values[t, :3],
            poses.values[t, 3:],
        )
        blocks[t] += made.block
        gradient[t] += made.gradient
        residuals[t] = made.sigma
    bands = pose_bands(blocks, smooth, stiffness)
    step = solveh_banded(bands, -gradient.ravel(), lower=True).reshape(gradient.shape)
    limit = STEP_LIMIT * np.array([1.0] * 3 + [eye] * 3)
    logger.info(
        "poses: residual %.4f, step %.3f deg, %.2f mm",
        float(np.nanmean(residuals)),
        float(np.degrees(np.sqrt((step[:, :3] ** 2).mean()))),
        1e3 * float(np.sqrt((step[:, 3:] ** 2).mean())),
    )
    moved = replace(poses, values=poses.values + np.clip(step, -limit, limit))
    return moved, residuals


def name_outliers(residuals: Float[np.ndarray, " T"]) -> None:
    """Warn of frames that do not show the head that all others show."""
    found = np.flatnonzero(residuals > OUTLIER * np.nanmedian(residuals))
    if len(found):
        named = ", ".join(str(i) for i in found[:NAMED_FRAMES])
        more = f" and {len(found) - NAMED_FRAMES} more" if len(found) > NAMED_FRAMES else ""
        logger.warning(
            "poses: %d of %d frames do not fit the head (hidden, blurred or badly tracked): "
            "frames %s%s; look at them in quality.png",
            len(found),
            len(residuals),
            named,
            more,
        )


def refine_poses(
    cameras: CameraPath,
    clip: SmallClip,
    neutral: Float[np.ndarray, "478 3"],
    eye: float,
    valid: Bool[np.ndarray, " T"],
    n_train: int,
    settings: PoseSettings,
    seed: int,
    threads: int,
) -> CameraPath:
    """Cameras that line up the head's picture; intrinsics are kept.

    Args:
        cameras: as tracked.
        clip: all frames of the clip.
        neutral: landmarks at rest, metres.
        eye: outer eye distance, metres.
        valid: frames whose tracking can be trusted.
        n_train: the rigid head is trained on frames before this one only.
        settings: of the stage.
        seed: of the head's start and the order of frames.
        threads: of the rasterizer.
    """
    intrinsics = cameras.Ks.copy()
    intrinsics[:, :2] *= clip.scale
    turns = Rotation.from_matrix(cameras.viewmats[:, :3, :3]).as_rotvec()
    start = Poses(np.concatenate([turns, cameras.viewmats[:, :3, 3]], axis=1), intrinsics)
    poses = start
    frames = np.flatnonzero(valid[:n_train])
    head = RigidHead(clip, start, neutral, frames, settings, seed, threads)
    residuals = np.zeros(len(valid))
    for number in range(settings.rounds):
        head.train(poses, settings.steps, settings.decay**number)
        for _ in range(settings.sweeps):
            poses, residuals = sweep(
                head.gaussians(), clip, poses, start, valid, eye, settings.smoothing, threads
            )
    name_outliers(residuals)
    viewmats = np.stack([poses.viewmat(t) for t in range(len(valid))])
    return replace(cameras, viewmats=hold_mean(viewmats, cameras.viewmats))


def hold_mean(
    viewmats: Float[np.ndarray, "T 4 4"], tracked: Float[np.ndarray, "T 4 4"]
) -> Float[np.ndarray, "T 4 4"]:
    """The same pictures with the world moved so that the poses' mean change is none.

    Pictures do not tell where in the world the head lies; meshes and masks expect it where the
    tracker put it.
    """
    turned = np.einsum("tji,tjk->tik", tracked[:, :3, :3], viewmats[:, :3, :3])
    common = Rotation.from_matrix(turned).mean().as_matrix()
    result = viewmats.copy()
    result[:, :3, :3] = viewmats[:, :3, :3] @ common.T
    moved = viewmats[:, :3, 3] - tracked[:, :3, 3]
    shift = np.einsum("tji,tj->ti", result[:, :3, :3], moved).mean(axis=0)
    result[:, :3, 3] -= result[:, :3, :3] @ shift
    return result
