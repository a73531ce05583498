"""Stage: track, cameras and regions in; normals.mkv (camera space, inside the face) out."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from pathlib import Path

import numba
import numpy as np
import torch
from jaxtyping import Float, Float32, UInt8

from emotalk_core.media import progress
from emotalk_core.media.side_by_side import one_thread_each, side_by_side
from emotalk_core.media.tables import check_length, read_arrays, read_cameras, read_manifest
from emotalk_core.media.video import VideoReader, VideoWriter, expect_frames
from emotalk_core.perception.landmarks import topology as tp
from emotalk_core.perception.normals.mesh import interpolate_normals, vertex_normals
from emotalk_core.perception.normals.networks import NormalNetwork, open_normals
from emotalk_core.perception.normals.settings import NormalSettings
from emotalk_core.perception.normals.surface import HeadSurface, head_surface
from emotalk_core.types.regions import region_mask

logger = logging.getLogger(__name__)

NORMALS_ID = "bent-head-2"
STANDING_FOR = "cross-modal face normal network (Abrevaya et al. 2020)"
SKIN = ("skin", "brows", "eyes", "lips")  # where the bent head is the visible surface


def encode_normals(normals: Float[np.ndarray, "H W 3"]) -> UInt8[np.ndarray, "H W 3"]:
    """Unit normals to RGB, round((n*0.5+0.5)*255); zero normals become (0,0,0)."""
    picture = np.zeros(normals.shape, np.uint8)
    _encode(normals, picture)
    return picture


@numba.njit(cache=True, nogil=True)
def _encode(normals: np.ndarray, picture: np.ndarray) -> None:
    """Several times as fast as array operations on millions of numbers that are mostly zero."""
    for y in range(normals.shape[0]):
        for x in range(normals.shape[1]):
            a, b, c = normals[y, x]
            if a != 0 or b != 0 or c != 0:
                picture[y, x, 0] = np.uint8(np.rint((a * 0.5 + 0.5) * 255))
                picture[y, x, 1] = np.uint8(np.rint((b * 0.5 + 0.5) * 255))
                picture[y, x, 2] = np.uint8(np.rint((c * 0.5 + 0.5) * 255))


def decode_normals(picture: UInt8[np.ndarray, "H W 3"]) -> Float[np.ndarray, "H W 3"]:
    """Inverse of `encode_normals`: unit normals, zero where there is none."""
    there = picture.any(axis=-1, keepdims=True)
    normals = np.where(there, picture / 255.0 * 2 - 1, 0.0)
    return normals / np.maximum(np.linalg.norm(normals, axis=-1, keepdims=True), 1e-12)


def estimate_normals(
    *,
    manifest: Path,
    video: Path,
    track: Path,
    regions: Path,
    cameras: Path,
    normals: Path,
    settings: NormalSettings,
    threads: int = 1,
) -> None:
    """Write camera-space normals of the face (docs/artifacts.md).

    Args:
        manifest: of the ingest stage.
        video: of the ingest stage; the packaged method only checks its frame count.
        track: of the tracking stage.
        regions: of the regions stage: bounds the face.
        cameras: of the tracking stage.
        normals: written.
        settings: config block `normals`.
        threads: frames at a time; the file is the same for any number.

    Raises:
        ArtifactError: frame counts disagree.
    """
    facts = read_manifest(manifest)
    expect_frames(video, facts.n_frames, "ingest")
    expect_frames(regions, facts.n_frames, "regions")
    network = open_normals(settings)
    if network is not None:
        points = read_arrays(track, ("landmarks",))["landmarks"]
        check_length("track.npz", len(points), facts.n_frames, "tracking")
        torch.set_num_threads(1)  # as in `one_thread_each`
        with one_thread_each():
            _write_seen(video, regions, normals, points, network, threads)
        return
    world = read_arrays(track, ("landmarks_world",))["landmarks_world"].astype(np.float64)
    path = read_cameras(cameras)
    check_length("track.npz", len(world), facts.n_frames, "tracking")
    check_length("cameras.json", len(path), facts.n_frames, "tracking")
    surface = head_surface(settings.stiffness)

    def picture(index: int, labels: UInt8[np.ndarray, "H W"]) -> UInt8[np.ndarray, "H W 3"]:
        found = face_normals(world[index], path.viewmats[index], path.Ks[index], labels, surface)
        return encode_normals(found)

    with one_thread_each():
        pictures = side_by_side(picture, enumerate(VideoReader(regions)), threads)
        _write_pictures(normals, pictures, facts.n_frames)


def _write_pictures(
    path: Path, pictures: Iterable[UInt8[np.ndarray, "H W 3"]], n_frames: int
) -> None:
    """The file, frame by frame."""
    steps = progress.Progress("normals", n_frames, logger)
    with VideoWriter(path) as writer:
        for picture in pictures:
            writer.write(picture)
            steps.step()


def _write_seen(
    video: Path,
    regions: Path,
    normals: Path,
    landmarks: Float[np.ndarray, "T 478 2"],
    network: NormalNetwork,
    threads: int,
) -> None:
    """The file by a network that looks at the frames."""

    def picture(
        frame: UInt8[np.ndarray, "H W 3"],
        labels: UInt8[np.ndarray, "H W"],
        points: Float[np.ndarray, "478 2"],
    ) -> UInt8[np.ndarray, "H W 3"]:
        found = network.normals(frame, points) * region_mask(labels, SKIN)[..., None]
        return encode_normals(found)

    logger.info("normals: %s", network.id)
    streams = zip(VideoReader(video), VideoReader(regions), landmarks)
    _write_pictures(normals, side_by_side(picture, streams, threads), len(landmarks))


def face_normals(
    world: Float[np.ndarray, "478 3"],
    viewmat: Float[np.ndarray, "4 4"],
    intrinsics: Float[np.ndarray, "3 3"],
    labels: UInt8[np.ndarray, "H W"],
    surface: HeadSurface,
) -> Float32[np.ndarray, "H W 3"]:
    """Camera-space unit normals of one frame; zero outside the face and inside the mouth.

    Args:
        world: landmarks, metres.
        viewmat: world to camera, OpenCV axes.
        intrinsics: px.
        labels: label map.
        surface: what the landmarks bend.
    """
    landmarks = world[: tp.N_SURFACE] @ viewmat[:3, :3].T + viewmat[:3, 3]
    camera = surface.bend(landmarks)
    projected = camera @ intrinsics.T
    pixels = projected[:, :2] / projected[:, 2:]
    normals = vertex_normals(camera, surface.triangles)
    wanted = region_mask(labels, SKIN)
    return interpolate_normals(pixels, camera[:, 2], normals, surface.triangles, wanted)
