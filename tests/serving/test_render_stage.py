"""Renders of a small avatar: frames, table, provenance, determinism and refusals."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import av
import numpy as np
import pandas as pd
import pytest
import torch

from emotalk_core.avatar.checkpoint import save_parts
from emotalk_core.avatar.model import Compute, FaceModel, MouthModel, grid_box
from emotalk_core.errors import ArtifactError, ConfigError
from emotalk_core.media.audio import write_wav
from emotalk_core.media.tables import write_arrays, write_cameras, write_manifest, write_table
from emotalk_core.media.video import VideoReader, frames_sha256, write_video
from emotalk_core.serving.stage import (
    RenderSettings,
    RenderSpeed,
    frames_at_once,
    frames_per_second,
    render_scenario,
    to_frame,
    to_tensor,
    write_speeds,
)
from emotalk_core.speech.features.registry import load_extractor
from emotalk_core.types.camera import CameraPath
from emotalk_core.types.gaussians import GaussianSet
from emotalk_core.types.manifest import Manifest
from emotalk_core.types.metrics import SPEED_COLUMNS
from emotalk_core.types.renders import RENDER_COLUMNS

SIZE, N_FRAMES = 32, 11
NAMES = ("manifest", "track", "cameras", "torso", "action_units", "valence_arousal", "speech")


def random_gaussians(count: int, scale: float) -> GaussianSet:
    return GaussianSet(
        means=torch.randn(count, 3) * scale,
        quats=torch.randn(count, 4),
        scales=torch.full((count, 3), -4.5),
        opacities=torch.ones(count),
        sh_coeffs=torch.randn(count, 1, 3) * 0.3,
    )


@pytest.fixture(scope="module")
def subject(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("subject")
    suffix = {
        "manifest": "json",
        "cameras": "json",
        "torso": "mkv",
        "track": "npz",
        "speech": "npz",
    }
    paths = {name: folder / f"{name}.{suffix.get(name, 'csv')}" for name in NAMES}
    write_manifest(
        paths["manifest"],
        Manifest("egg", "egg.mp4", "0", SIZE, SIZE, N_FRAMES, 7040, (0, 8, 0, 8), 0.0, 1.0, 10),
    )
    write_arrays(paths["track"], valid=np.ones(N_FRAMES, dtype=bool))
    intrinsics = np.array([[100.0, 0, SIZE / 2], [0, 100.0, SIZE / 2], [0, 0, 1]])
    viewmat = np.eye(4)
    viewmat[2, 3] = 0.6
    every = (np.repeat(x[None], N_FRAMES, axis=0) for x in (intrinsics, viewmat))
    write_cameras(paths["cameras"], CameraPath(SIZE, SIZE, 25, *every))
    rng = np.random.default_rng(0)
    write_video(paths["torso"], rng.integers(0, 255, (N_FRAMES, SIZE, SIZE, 3), dtype=np.uint8))
    units = {f"AU{n:02d}": rng.uniform(0, 3, N_FRAMES) for n in (1, 2, 4, 5, 6, 7, 45)}
    frame = {"frame": np.arange(N_FRAMES), "valid": True}
    write_table(paths["action_units"], pd.DataFrame({**frame, **units}))
    write_table(paths["valence_arousal"], pd.DataFrame({**frame, "valence": 0.25, "arousal": -0.5}))
    extractor = load_extractor("logmel")
    samples = rng.standard_normal(7040).astype(np.float32) * 0.1
    write_arrays(
        paths["speech"],
        features=extractor.windows(samples, N_FRAMES),
        extractor=np.array(extractor.id),
    )
    write_wav(folder / "hello.wav", samples)
    torch.manual_seed(0)
    mouth = random_gaussians(10, 0.01)
    parts = {
        "mouth": MouthModel(mouth, extractor.dim, grid_box(mouth.means), Compute("torch", 1)),
        "face": FaceModel(random_gaussians(40, 0.03), extractor.dim, "branch", Compute("torch", 1)),
    }
    header = {
        "method": "emotalk",
        "stage": "avatar",
        "feature_dim": extractor.dim,
        "extractor": extractor.id,
        "width": SIZE,
        "height": SIZE,
    }
    save_parts(folder / "avatar.safetensors", parts, header)
    save_parts(folder / "avatars" / "emotalk" / "avatar.safetensors", parts, header)
    write_wav(folder / "audio.wav", samples)
    return paths


def timed_render(
    scenario: str, subject: dict[str, Path], out: Path, driving: bool = True
) -> RenderSpeed:
    folder = subject["manifest"].parent
    return render_scenario(
        scenario=scenario,
        method="emotalk",
        checkpoint=folder / "avatar.safetensors",
        **subject,
        driving=[folder / "hello.wav"] if driving else [],
        render=out / "render.mkv",
        render_table=out / "render.csv",
        settings=RenderSettings(max_seconds=0.4, seconds_per_point=0.08),
        seed=0,
        threads=1,
        device="cpu",
    )


def render(
    scenario: str, subject: dict[str, Path], out: Path, driving: bool = True
) -> pd.DataFrame:
    timed_render(scenario, subject, out, driving)
    return pd.read_csv(out / "render.csv")


def test_speed_is_told_apart_from_the_frames(subject: dict[str, Path], tmp_path: Path) -> None:
    speed = timed_render("cross_audio", subject, tmp_path)
    assert speed.fps > 0 and speed.n_frames == 10 and speed.n_gaussians == 50
    assert (speed.width, speed.height, speed.threads) == (SIZE, SIZE, 1)
    assert speed.device.startswith("cpu ") and speed.backend in ("cpu", "torch")  # never "auto"
    write_speeds(tmp_path / "speed.csv", [speed, replace(speed, scenario="emotion")])
    table = pd.read_csv(tmp_path / "speed.csv")
    assert tuple(table.columns) == SPEED_COLUMNS
    assert table["scenario"].tolist() == ["cross_audio", "emotion"]
    assert frames_per_second([9.0, 0.1, 0.1]) == pytest.approx(10)  # the first frame warms up
    assert frames_per_second([0.1], frames_at_once("cpu", 2)) == pytest.approx(20)
    assert frames_at_once("cuda:0", 4) == 1


@pytest.mark.parametrize(
    ("scenario", "n_frames"), [("self_reconstruction", 1), ("cross_audio", 10), ("emotion", 24)]
)
def test_frames_and_table_agree(
    scenario: str, n_frames: int, subject: dict[str, Path], tmp_path: Path
) -> None:
    table = render(scenario, subject, tmp_path)
    assert tuple(table.columns) == RENDER_COLUMNS
    assert table["frame"].tolist() == list(range(n_frames))
    with VideoReader(tmp_path / "render.mkv") as video:
        assert len(video) == n_frames
        assert (video.width, video.height) == (SIZE, SIZE)
        digest = frames_sha256(video)
    render(scenario, subject, tmp_path)
    with VideoReader(tmp_path / "render.mkv") as video:
        assert frames_sha256(video) == digest


def test_provenance_says_what_was_rendered(subject: dict[str, Path], tmp_path: Path) -> None:
    render("self_reconstruction", subject, tmp_path)
    with av.open(str(tmp_path / "render.mkv")) as container:
        facts = json.loads({k.lower(): v for k, v in container.metadata.items()}["comment"])
    assert facts["method"] == "emotalk"
    assert facts["scenario"] == "self_reconstruction"
    assert "synthetic" in facts["what"]
    assert len(facts["avatar_sha256"]) == 64


def test_emotion_changes_the_picture(subject: dict[str, Path], tmp_path: Path) -> None:
    render("emotion", subject, tmp_path)
    with VideoReader(tmp_path / "render.mkv") as video:
        assert not np.array_equal(video[0], video[6])


def test_a_scenario_without_sound_is_refused(subject: dict[str, Path], tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"driving\.cross_audio"):
        render("cross_audio", subject, tmp_path, driving=False)
    assert not (tmp_path / "render.mkv").exists()


def test_another_extractor_is_refused(subject: dict[str, Path], tmp_path: Path) -> None:
    other = tmp_path / "speech.npz"
    write_arrays(
        other, features=np.zeros((N_FRAMES, 16, 40), np.float32), extractor=np.array("deepspeech")
    )
    with pytest.raises(ArtifactError, match="extractor=deepspeech"):
        render("self_reconstruction", {**subject, "speech": other}, tmp_path)


def test_pixels_are_rounded_and_come_back() -> None:
    values = torch.linspace(-0.2, 1.2, 3 * 5 * 7).reshape(3, 5, 7)
    frame = to_frame(values)
    expected = np.round(np.clip(values.numpy(), 0, 1) * np.float32(255)).transpose(1, 2, 0)
    assert frame.dtype == np.uint8 and np.array_equal(frame, expected)
    cut = frame[1:4, 2:]  # a view whose rows are not side by side
    assert torch.equal(
        to_tensor(cut, torch.device("cpu")),
        torch.from_numpy(cut.transpose(2, 0, 1).astype(np.float32)) / 255.0,
    )
