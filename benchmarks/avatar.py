"""Live speed of a fused avatar on this machine: prints a table and writes a flat JSON.

    python -m benchmarks.avatar --subject results/obama --method emotalk [--threads 1 2]
    python -m benchmarks.avatar              # a made-up avatar of the sizes of preset `small`

One frame is everything between a condition (sound window, action units, emotion) and a finished
picture: all branches, both layers, compositing, as `emotalk render` draws it; `--threads` frames
are drawn side by side. The best of three rounds of `--frames` frames counts; files are not read
meanwhile. Last, how like the frames are to those that evaluation draws.
"""

from __future__ import annotations

import argparse
import json
import math
import time
from pathlib import Path

import numpy as np
import torch

from emotalk_core.actor.face_model import landmark_basis
from emotalk_core.avatar.checkpoint import load_avatar
from emotalk_core.avatar.conditions import ACTION_UNITS, FrameCondition
from emotalk_core.avatar.initialise import View, face_gaussians, mouth_gaussians
from emotalk_core.avatar.live import live_avatar
from emotalk_core.avatar.model import Avatar, Compute, Drawer, FaceModel, MouthModel, grid_box
from emotalk_core.media.side_by_side import side_by_side
from emotalk_core.media.tables import read_cameras
from emotalk_core.serving.drive import SURVEYED
from emotalk_core.types.camera import CameraPath
from emotalk_core.types.gaussians import Camera

SIZES = (256, 512)  # px
FACE, MOUTH = 14_000, 3_200  # Gaussians of preset `small` after training
FEATURE_DIM, WINDOW = 40, 16
WARM = 5  # frames before the first that counts
ROUNDS = 3
COMPARED = 10  # frames


def made_up_avatar(compute: Compute) -> Avatar:
    """An untrained avatar of the average face."""
    neutral, _, _ = landmark_basis()
    neutral = neutral.astype(np.float64)
    path = still_path()
    view = View(
        image=np.full((256, 256, 3), 128, np.uint8),
        mask=np.ones((256, 256), dtype=bool),
        K=path.Ks[0],
        viewmat=path.viewmats[0],
    )
    torch.manual_seed(0)
    inside = mouth_gaussians(neutral, view, MOUTH, 0, 0)
    mouth = MouthModel(inside, FEATURE_DIM, grid_box(inside.means), compute)
    face = FaceModel(
        face_gaussians(neutral, view, [view] * 4, FACE, 1, 0), FEATURE_DIM, "branch", compute
    )
    return Avatar(mouth, face).eval().requires_grad_(False).settle()


def still_path() -> CameraPath:
    """One frontal camera that shows a head as ingest crops it."""
    intrinsics = np.array([[614.0, 0, 128], [0, 614.0, 128], [0, 0, 1]])
    viewmat = np.eye(4)
    viewmat[2, 3] = 0.8
    return CameraPath(256, 256, 25, intrinsics[None], viewmat[None])


def cameras_at(path: CameraPath, size: int, count: int) -> list[Camera]:
    """Spread cameras of a clip, drawn `size` px wide."""
    scale = size / path.width
    picked = np.linspace(0, len(path) - 1, count).astype(int)
    intrinsics = path.Ks[picked] * np.array([[scale], [scale], [1.0]])
    return [
        Camera(
            K=torch.tensor(k, dtype=torch.float32),
            viewmat=torch.tensor(v, dtype=torch.float32),
            width=size,
            height=round(path.height * scale),
        )
        for k, v in zip(intrinsics, path.viewmats[picked])
    ]


def conditions(count: int, feature_dim: int, seed: int = 0) -> list[FrameCondition]:
    """Made-up sounds, action units and emotions."""
    rng = torch.Generator().manual_seed(seed)
    return [
        FrameCondition(
            audio=torch.randn(8, WINDOW, feature_dim, generator=rng),
            action_units=torch.rand(len(ACTION_UNITS), generator=rng),
            emotion=torch.rand(2, generator=rng) - 0.5,
        )
        for _ in range(count)
    ]


def frame_seconds(
    avatar: Drawer, path: CameraPath, size: int, frames: int, dim: int, threads: int
) -> float:
    """Seconds a frame when `threads` of them are drawn side by side; the best of three rounds."""
    cameras = cameras_at(path, size, frames)
    background = torch.full((3, cameras[0].height, size), 0.5)

    def draw(condition: FrameCondition, camera: Camera) -> None:
        with torch.no_grad():
            avatar(condition, camera, background)

    tasks = list(zip(conditions(frames, dim), cameras))
    for _ in side_by_side(draw, tasks[:WARM], threads):
        pass
    rounds = []
    for _ in range(ROUNDS):
        begin = time.perf_counter()
        for _ in side_by_side(draw, tasks, threads):
            pass
        rounds.append((time.perf_counter() - begin) / frames)
    return min(rounds)


def likeness(
    avatar: Avatar, drawer: Drawer, path: CameraPath, size: int, frames: int, dim: int
) -> float:
    """PSNR in dB of live frames against the frames that evaluation draws."""
    cameras = cameras_at(path, size, frames)
    background = torch.full((3, cameras[0].height, size), 0.5)
    squares = []
    for condition, camera in zip(conditions(frames, dim), cameras):
        with torch.no_grad():
            exact, live = (draw(condition, camera, background) for draw in (avatar, drawer))
        squares.append(float((live.clamp(0, 1) - exact.clamp(0, 1)).square().mean()))
    return -10 * math.log10(max(sum(squares) / frames, 1e-12))


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--subject", type=Path, help="folder of a finished subject")
    parser.add_argument("--method", default="emotalk")
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--frames", type=int, default=60)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    result: dict[str, float] = {}
    for threads in arguments.threads:
        torch.set_num_threads(1)
        compute, dim = Compute("auto"), FEATURE_DIM
        if arguments.subject is None:
            avatar, path = made_up_avatar(compute), still_path()
        else:
            file = arguments.subject / "avatars" / arguments.method / "avatar.safetensors"
            avatar, header = load_avatar(file, compute, "cpu")
            dim, path = header["feature_dim"], read_cameras(arguments.subject / "cameras.json")
        surveyed = cameras_at(path, path.width, SURVEYED)
        drawer = live_avatar(avatar, zip(conditions(SURVEYED, dim, seed=1), surveyed))
        for size in SIZES:
            seconds = frame_seconds(drawer, path, size, arguments.frames, dim, threads)
            result[f"fps_{size}_{threads}t"] = 1.0 / seconds
            print(f"{size} px, {threads} thread(s): {1e3 * seconds:.1f} ms, {1 / seconds:.0f} fps")
    for size in SIZES:
        result[f"psnr_{size}"] = likeness(avatar, drawer, path, size, COMPARED, dim)
        print(f"{size} px: {result[f'psnr_{size}']:.1f} dB to the frames of evaluation")
    if arguments.json is not None:
        arguments.json.write_text(json.dumps(result, indent=1, sort_keys=True) + "\n")


if __name__ == "__main__":
    main()
