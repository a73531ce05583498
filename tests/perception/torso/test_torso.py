from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from scipy.ndimage import gaussian_filter1d

from emotalk_core.media.tables import write_manifest
from emotalk_core.media.video import read_video, write_video
from emotalk_core.perception.normals.settings import NormalSettings
from emotalk_core.perception.normals.stage import decode_normals, estimate_normals
from emotalk_core.perception.regions.face import ClipFaces
from emotalk_core.perception.regions.plate import Plate
from emotalk_core.perception.regions.settings import RegionSettings
from emotalk_core.perception.regions.stage import segment_regions
from emotalk_core.perception.torso.behind import background_fill
from emotalk_core.perception.torso.ceiling import compositing_ceiling
from emotalk_core.perception.torso.columns import (
    BODY,
    NECK,
    Columns,
    carried_up,
    read_columns,
    steady_colours,
    time_weights,
)
from emotalk_core.perception.torso.settings import TorsoSettings
from emotalk_core.perception.torso.stage import _with_neighbours, separate_torso
from emotalk_core.perception.tracking.settings import TrackingSettings
from emotalk_core.perception.tracking.stage import track_head
from emotalk_core.types.manifest import Manifest
from emotalk_core.types.regions import HEAD, LABEL, region_mask

N_FRAMES = 30


def test_neck_is_carried_up_by_its_height_only() -> None:
    width = 6
    columns = Columns(
        row=np.full(width, 39),
        kind=np.array([0, BODY, NECK, NECK, BODY, 0], np.uint8),
        colour=np.full((width, 3), 150, np.float32),
        rise=np.array([0, 9, 0, 0, 2, 0], np.float32),
    )
    picture, coverage = carried_up(columns, columns.colour, (50, width), {NECK: 20, BODY: 5}, 1.0)
    assert np.allclose(picture[30, 2], 150)
    assert coverage[21, 2] == 1 and coverage[15, 2] == 0
    assert coverage[36, 1] == 1 and coverage[30, 1] == 0
    assert coverage[39, 4] == 1 and coverage[37, 4] == 0  # no higher than the slope of the clothes
    assert not coverage[:, [0, 5]].any()


def frames_of(colours: np.ndarray, kinds: np.ndarray) -> list[Columns]:
    row, rise = np.zeros(kinds.shape[1], np.int64), np.zeros(kinds.shape[1], np.float32)
    return [Columns(row, k, c.astype(np.float32), rise) for c, k in zip(colours, kinds)]


def steadied(colours: np.ndarray, kinds: np.ndarray, frames: float) -> np.ndarray:
    weights = time_weights(frames)
    around = _with_neighbours(frames_of(colours, kinds), len(weights) // 2)
    return np.stack([steady_colours(window, weights) for window in around])


@pytest.mark.parametrize("n_frames", [1, 5, 9, 30])
def test_steady_colours_are_a_gaussian_in_time(n_frames: int) -> None:
    colours = np.random.default_rng(0).uniform(0, 255, (n_frames, 4, 3))
    kinds = np.full((n_frames, 4), NECK, np.uint8)
    wanted = gaussian_filter1d(colours, 2.0, axis=0, mode="nearest")
    assert np.allclose(steadied(colours, kinds, 2.0), wanted, atol=1e-3)
    assert np.allclose(steadied(colours, kinds, 0.0), colours, atol=1e-3)


def test_colours_are_steadied_over_frames_that_show_body() -> None:
    colours = np.full((9, 1, 3), 100, np.uint8)
    kinds = np.full((9, 1), NECK, np.uint8)
    colours[4], kinds[4] = 255, 0  # one frame shows background there
    assert np.allclose(steadied(colours, kinds, 2.0)[kinds == NECK], 100, atol=0.01)


def test_collars_neither_colour_the_neck_nor_stand_up_beside_it() -> None:
    points = np.zeros((3, 478, 2))
    points[:] = [64, 60]
    points[:, 10], points[:, 152] = [64, 4], [64, 116]
    points[:, 172], points[:, 397] = [34, 100], [94, 100]
    face = ClipFaces(points, (160, 128))[1]
    skin, white = (150, 100, 80), (230, 230, 230)
    frame = np.full((160, 128, 3), 20, np.uint8)
    labels = np.full((160, 128), LABEL["background"], np.uint8)
    hole = np.zeros((160, 128), dtype=bool)
    hole[20:120, 20:108] = True
    labels[120:, 30:98] = LABEL["clothes"]
    frame[120:, 30:98] = white
    labels[120:, 48:82] = LABEL["neck"]  # its last columns show the collar
    frame[120:, 48:76] = skin
    columns = read_columns(frame, labels, hole, face)
    assert (columns.kind[48:82] == NECK).all() and columns.kind[34] == BODY
    assert np.allclose(columns.colour[48:82], skin)
    rise = columns.rise[30:40]
    assert rise[0] < 5 and np.allclose(np.diff(rise), 1)


def test_steadied_skin_takes_no_colour_of_clothes() -> None:
    colours = np.full((9, 1, 3), 100, np.uint8)
    kinds = np.full((9, 1), NECK, np.uint8)
    colours[4], kinds[4] = 255, BODY
    steady = steadied(colours, kinds, 2.0)
    assert np.allclose(steady[[3, 5]], 100, atol=0.01) and np.allclose(steady[4], 255, atol=0.01)


def test_background_follows_the_frames_exposure() -> None:
    plate = Plate(np.full((60, 60, 3), 90, np.uint8), np.ones((60, 60), dtype=bool))
    labels = np.full((60, 60), LABEL["background"], np.uint8)
    hole = np.zeros((60, 60), dtype=bool)
    hole[28:32, 28:32] = True
    filled = background_fill(np.full((60, 60, 3), 100, np.uint8), labels, hole, plate, 1.0)
    assert np.abs(filled[hole] - 100).max() < 1.5


def test_ceiling_counts_a_head_left_behind() -> None:
    points = np.zeros((3, 478, 2))
    points[:] = [32, 90]
    points[:, 10], points[:, 152] = [32, 4], [32, 60]
    points[:, 132], points[:, 361] = [10, 62], [54, 62]
    face = ClipFaces(points, (64, 64))[1]
    plate = Plate(np.full((64, 64, 3), 50, np.uint8), np.ones((64, 64), dtype=bool))
    frame, alpha = plate.picture.copy(), np.zeros((64, 64), np.uint8)
    frame[20:40, 20:40], alpha[20:40, 20:40] = 200, 255
    clean = compositing_ceiling(frame, alpha, plate.picture, plate, face)
    assert clean.head_in_behind == 0 and clean.background_in_head == 0 and clean.soft > 60
    ghost = plate.picture.copy()
    ghost[18:42, 18:42] = 200
    assert compositing_ceiling(frame, alpha, ghost, plate, face).head_in_behind > 0.5
    wide = np.zeros_like(alpha)
    wide[16:44, 16:44] = 255
    assert compositing_ceiling(frame, wide, plate.picture, plate, face).background_in_head >= 0


def perceive(clip: Path, out: Path, threads: int) -> None:
    """Regions, layer behind the head and normals of a tracked clip."""
    facts = {"manifest": clip / "manifest.json", "track": clip / "track.npz"}
    masks = {"regions": out / "regions.mkv", "alpha": out / "alpha.mkv"}
    segment_regions(
        **facts,
        **masks,
        video=clip / "video.mkv",
        settings=RegionSettings(plate_frames=30, colour_frames=8),
        threads=threads,
    )
    separate_torso(
        **facts,
        **masks,
        video=clip / "video.mkv",
        torso=out / "torso.mkv",
        background=out / "background.png",
        settings=TorsoSettings(plate_frames=30),
        threads=threads,
    )
    estimate_normals(
        **facts,
        video=clip / "video.mkv",
        regions=masks["regions"],
        cameras=clip / "cameras.json",
        normals=out / "normals.mkv",
        settings=NormalSettings(),
        threads=threads,
    )


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Every artifact of a short real clip, strided so that the head moves."""
    clip = Path(__file__).parents[3] / "../shared/real/obama.mp4"
    if not clip.exists():
        pytest.skip("../shared/real is absent")
    out = tmp_path_factory.mktemp("real")
    capture = cv2.VideoCapture(str(clip))
    frames = [capture.read()[1][:, :, ::-1] for _ in range(N_FRAMES * 4)][::4]
    write_video(out / "video.mkv", frames)
    manifest = out / "manifest.json"
    write_manifest(
        manifest,
        Manifest("a", "a.mp4", "0", 256, 256, N_FRAMES, 19200, (0, 256, 0, 256), 0.0, 0.0, 27),
    )
    video, track, cameras = out / "video.mkv", out / "track.npz", out / "cameras.json"
    track_head(
        manifest=manifest,
        video=video,
        track=track,
        cameras=cameras,
        settings=TrackingSettings(),
    )
    perceive(out, out, threads=1)
    return out


@pytest.mark.slow
def test_real_regions_have_the_parts_of_a_person(real: Path) -> None:
    labels, alpha = read_video(real / "regions.mkv"), read_video(real / "alpha.mkv")
    shares = {name: (labels == LABEL[name]).mean() for name in LABEL}
    assert 0.1 < shares["skin"] < 0.35 and 0.02 < shares["hair"] < 0.15
    assert shares["neck"] > 0.01 and shares["clothes"] > 0.1 and shares["ears"] > 0.003
    assert shares["brows"] > 0.002 and shares["lips"] > 0.001 and shares["eyes"] > 0.0005
    head = region_mask(labels, HEAD)
    agreement = (head == (alpha > 127)).mean()
    assert agreement > 0.999
    areas = head.sum(axis=(1, 2)).astype(float)
    assert areas.std() / areas.mean() < 0.1


@pytest.mark.slow
def test_real_layer_shows_no_head_and_keeps_the_rest(real: Path) -> None:
    video, torso = read_video(real / "video.mkv"), read_video(real / "torso.mkv")
    alpha, labels = read_video(real / "alpha.mkv"), read_video(real / "regions.mkv")
    far = cv2.dilate(alpha[10], np.ones((15, 15), np.uint8)) == 0
    assert np.array_equal(torso[10][far], video[10][far])
    a = alpha[..., None].astype(np.float32) / 255
    error = ((1 - a) * (torso.astype(np.float32) - video)) ** 2
    assert 10 * np.log10(255**2 / error.mean()) > 40
    hair = labels[10] == LABEL["hair"]
    changed = np.abs(torso[10].astype(int) - video[10])[hair].mean()
    assert changed > 20  # dark hair was replaced by the bright wall
    assert cv2.imread(str(real / "background.png")).shape == (256, 256, 3)


@pytest.mark.slow
def test_real_normals_face_the_camera_inside_the_face(real: Path) -> None:
    normals = np.stack([decode_normals(n) for n in read_video(real / "normals.mkv")])
    labels = read_video(real / "regions.mkv")
    there = (normals**2).sum(axis=-1) > 0
    assert (normals[there][:, 2] < 0.05).mean() > 0.99
    assert not there[region_mask(labels, ("inner_mouth", "teeth", "hair", "background"))].any()
    assert there[labels == LABEL["lips"]].mean() > 0.9


@pytest.mark.slow
def test_bytes_are_the_same_for_any_number_of_threads(real: Path, tmp_path: Path) -> None:
    perceive(real, tmp_path, threads=3)
    for name in ("regions.mkv", "alpha.mkv", "torso.mkv", "background.png", "normals.mkv"):
        assert (tmp_path / name).read_bytes() == (real / name).read_bytes(), name
