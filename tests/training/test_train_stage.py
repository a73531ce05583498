"""The four stages on a made-up subject: they run, resume to the same bytes, refuse bad inputs."""

from __future__ import annotations

import base64
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from emotalk_core.errors import ArtifactError, ConfigError, NumericalError
from emotalk_core.media.atomic import sha256_file
from emotalk_core.media.audio import write_wav
from emotalk_core.media.checkpoints import load_checkpoint, save_checkpoint
from emotalk_core.media.progress import Progress
from emotalk_core.media.video import read_video, write_video
from emotalk_core.speech.sync.experts import SubjectExpert, save_subject_expert
from emotalk_core.speech.sync.network import ExpertSpec, SyncExpert
from emotalk_core.training.prepare import SyncPaths
from emotalk_core.training.preview import COLUMNS, SIDE
from emotalk_core.training.settings import TrainingSettings
from emotalk_core.training.stage import train_stage
from tests.training.synthetic import make_bank, make_subject

FAST = {"n_gaussians": 120, "max_gaussians": 140, "densify_from": 4, "densify_every": 4}
SETTINGS = {
    "mouth": TrainingSettings(steps=8, canonical_steps=3, sh_degree=0, **FAST),
    "face": TrainingSettings(
        steps=8, canonical_steps=3, teacher_steps=3, landmark_steps=3, settle_steps=3, **FAST
    ),
    "emotion": TrainingSettings(steps=6),
    "avatar": TrainingSettings(steps=4),
}
STAGES = ("mouth", "face", "emotion", "avatar")


@pytest.fixture(scope="module")
def subject(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return make_subject(tmp_path_factory.mktemp("egg"))


@pytest.fixture(scope="module")
def bank(subject: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return make_bank(tmp_path_factory.mktemp("bank"), subject)


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


def train(
    stage: str,
    folder: Path,
    subject: dict[str, Path],
    bank: dict[str, Path] | None = None,
    method: str = "emotalk",
    settings: TrainingSettings | None = None,
    sync: SyncPaths | None = None,
) -> Path:
    output = folder / f"{stage}.safetensors"
    earlier = [s for s in STAGES[: STAGES.index(stage)] if stage in ("emotion", "avatar")]
    train_stage(
        stage=stage,
        method=method,
        **subject,
        bank=bank if stage == "emotion" else None,
        previous={s: folder / f"{s}.safetensors" for s in earlier},
        output=output,
        state=folder / f"{stage}.state.safetensors",
        settings=settings or SETTINGS[stage],
        seed=3,
        threads=1,
        device="cpu",
        sync=sync,
    )
    return output


@pytest.fixture(scope="module")
def trained(
    subject: dict[str, Path], bank: dict[str, Path], tmp_path_factory: pytest.TempPathFactory
) -> Path:
    folder = tmp_path_factory.mktemp("emotalk")
    for stage in STAGES:
        train(stage, folder, subject, bank)
    return folder


class Killed(Exception):
    """Stands for kill -9 in the middle of a step."""


@pytest.mark.parametrize(
    ("stage", "stop"),
    [("mouth", 9), ("face", 3), ("face", 5), ("face", 12), ("face", 19), ("emotion", 4)],
)
def test_killed_and_continued_gives_the_same_bytes(
    stage: str,
    stop: int,
    trained: Path,
    subject: dict[str, Path],
    bank: dict[str, Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in ("mouth", "face"):
        if stage == "emotion":
            (tmp_path / f"{name}.safetensors").write_bytes(
                (trained / f"{name}.safetensors").read_bytes()
            )
    calls = []

    def count(self: Progress, count: int = 1, **numbers: float) -> None:
        calls.append(numbers)
        if len(calls) == stop:
            raise Killed

    # A state after every step, written before the kill.
    often = TrainingSettings(**{**SETTINGS[stage].to_dict(), "save_every_seconds": 0.0})
    with monkeypatch.context() as patch:
        patch.setattr(Progress, "step", count)
        with pytest.raises(Killed):
            train(stage, tmp_path, subject, bank, settings=often)
    state = tmp_path / f"{stage}.state.safetensors"
    _, header = load_checkpoint(state, "training_state")
    assert header["step"] == stop - 1
    resumed = train(stage, tmp_path, subject, bank)
    assert resumed.read_bytes() == (trained / f"{stage}.safetensors").read_bytes()
    assert not state.exists()


def test_the_face_keeps_its_own_branch_and_no_teacher(trained: Path) -> None:
    tensors, _ = load_checkpoint(trained / "face.safetensors", "avatar")
    assert {name.partition(".")[0] for name in tensors} == {"face"}
    assert not any("teachers" in name for name in tensors)


def test_densification_changes_the_count_and_stays_under_the_cap(trained: Path) -> None:
    tensors, _ = load_checkpoint(trained / "face.safetensors", "avatar")
    count = len(tensors["face.gaussians.means"])
    assert 120 < count <= 140
    assert all(
        len(value) == count for name, value in tensors.items() if name.startswith("face.gaussians.")
    )


def test_emotion_stage_changes_only_the_emotion_branch(trained: Path) -> None:
    face, _ = load_checkpoint(trained / "face.safetensors", "avatar")
    emotion, _ = load_checkpoint(trained / "emotion.safetensors", "avatar")
    changed = {name for name in face if not torch.equal(face[name], emotion[name])}
    assert changed
    assert all(name.startswith("face.emotion.") for name in changed)


def test_border_fix_changes_of_the_face_only_opacity_and_colour(trained: Path) -> None:
    before, _ = load_checkpoint(trained / "emotion.safetensors", "avatar")
    after, header = load_checkpoint(trained / "avatar.safetensors", "avatar")
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    assert changed == {f"face.gaussians.{name}" for name in ("opacities", "sh_dc", "sh_rest")}
    mouth, _ = load_checkpoint(trained / "mouth.safetensors", "avatar")
    moved = {n for n in mouth if not torch.equal(mouth[n], after[n])}
    assert {"mouth.gaussians.sh_dc", "mouth.gaussians.means", "mouth.branch.grid.tables"} <= moved
    assert not {"mouth.low", "mouth.high", "mouth.audio.mean"} & moved
    parents = [trained / f"{name}.safetensors" for name in ("emotion", "face", "mouth")]
    assert header["parents"] == {path.stem: sha256_file(path) for path in parents}
    assert header["method"] == "emotalk"


def test_checkpoints_show_what_every_stage_came_to(trained: Path) -> None:
    _, header = load_checkpoint(trained / "avatar.safetensors", "avatar")
    assert sorted(header["previews"]) == sorted(STAGES)
    for text in header["previews"].values():
        data = np.frombuffer(base64.b64decode(text), np.uint8)
        assert cv2.imdecode(data, cv2.IMREAD_COLOR).shape == (2 * SIDE, COLUMNS * SIDE, 3)


def test_noise_changes_the_training_and_nothing_else(
    trained: Path, subject: dict[str, Path], tmp_path: Path
) -> None:
    noise = {"audio_noise": 0.5, "unit_noise": 0.5, "code_dropout": 0.2}
    noisy = TrainingSettings(**{**SETTINGS["face"].to_dict(), **noise})
    for folder in ("a", "b"):
        train("face", tmp_path / folder, subject, settings=noisy)
    first, second = ((tmp_path / f / "face.safetensors").read_bytes() for f in ("a", "b"))
    assert first == second
    tensors, _ = load_checkpoint(tmp_path / "a/face.safetensors", "avatar")
    calm, _ = load_checkpoint(trained / "face.safetensors", "avatar")
    assert sorted(tensors) == sorted(calm)
    assert not torch.equal(tensors["face.branch.grid.tables"], calm["face.branch.grid.tables"])


def test_state_of_other_settings_is_not_used(
    trained: Path, subject: dict[str, Path], tmp_path: Path
) -> None:
    state = tmp_path / "mouth.state.safetensors"
    state.write_bytes(b"half a file")
    again = train("mouth", tmp_path, subject)
    assert again.read_bytes() == (trained / "mouth.safetensors").read_bytes()


def test_method_without_emotion_hands_the_face_on(subject: dict[str, Path], tmp_path: Path) -> None:
    face, _ = load_checkpoint(train("face", tmp_path, subject, method="talkinggaussian"), "avatar")
    (tmp_path / "mouth.safetensors").write_bytes(b"")
    after, header = load_checkpoint(
        train("emotion", tmp_path, subject, method="talkinggaussian"), "avatar"
    )
    assert header["stage"] == "emotion"
    assert all(torch.equal(value, after[name]) for name, value in face.items())


def test_combined_ablation_trains_the_face_branch_on_the_bank(
    subject: dict[str, Path], bank: dict[str, Path], tmp_path: Path
) -> None:
    train("face", tmp_path, subject, method="combined_face")
    (tmp_path / "mouth.safetensors").write_bytes(b"")
    train("emotion", tmp_path, subject, bank, method="combined_face")
    before, _ = load_checkpoint(tmp_path / "face.safetensors", "avatar")
    after, _ = load_checkpoint(tmp_path / "emotion.safetensors", "avatar")
    assert not torch.equal(before["face.branch.grid.tables"], after["face.branch.grid.tables"])
    assert torch.equal(before["face.gaussians.means"], after["face.gaussians.means"])


def test_empty_head_masks_stop_with_their_name(subject: dict[str, Path], tmp_path: Path) -> None:
    empty = tmp_path / "alpha.mkv"
    write_video(empty, np.zeros_like(read_video(subject["alpha"])))
    with pytest.raises(NumericalError, match="head masks: 0 of 20 training frames"):
        train("face", tmp_path, {**subject, "alpha": empty})


def test_a_closed_mouth_stops_the_mouth_stage(subject: dict[str, Path], tmp_path: Path) -> None:
    closed = tmp_path / "regions.mkv"
    write_video(closed, np.ones_like(read_video(subject["regions"])))
    with pytest.raises(NumericalError, match="none of 20 training frames shows an open mouth"):
        train("mouth", tmp_path, {**subject, "regions": closed})


def test_wrong_frame_count_names_the_rule(subject: dict[str, Path], tmp_path: Path) -> None:
    short = tmp_path / "torso.mkv"
    write_video(short, read_video(subject["torso"])[:-1])
    with pytest.raises(ArtifactError, match=r"21 frames, the manifest says 22.*separate_torso"):
        train("face", tmp_path, {**subject, "torso": short})


def test_unknown_stage_and_method_are_named(subject: dict[str, Path], tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="method=emotalkk"):
        train("face", tmp_path, subject, method="emotalkk")


def test_emotion_stage_without_bank_says_what_to_run(
    trained: Path, subject: dict[str, Path]
) -> None:
    with pytest.raises(ArtifactError, match="bank=None"):
        train("emotion", trained, subject, bank=None)


@pytest.fixture(scope="module")
def sync(tmp_path_factory: pytest.TempPathFactory) -> SyncPaths:
    folder = tmp_path_factory.mktemp("sync")
    rng = np.random.default_rng(0)
    write_wav(folder / "own.wav", rng.normal(0, 0.1, 48_000).astype(np.float32))
    expert = SubjectExpert(SyncExpert(ExpertSpec()), torch.zeros(40, 2), 0.1)
    save_subject_expert(folder / "expert.safetensors", expert, {})
    # no other sounds: their features would need a real extractor's id
    return SyncPaths(folder / "expert.safetensors", folder / "own.wav", ())


@pytest.mark.parametrize("stage", ["face", "emotion"])
def test_sync_loss_moves_the_branch_and_no_sync_does_not_know_it(
    stage: str,
    subject: dict[str, Path],
    bank: dict[str, Path],
    trained: Path,
    sync: SyncPaths,
    tmp_path: Path,
) -> None:
    settings = replace(SETTINGS[stage], lambda_sync=0.5, sync_every=2, sync_frames=7)
    made = {}
    for method in ("emotalk", "no_sync"):
        folder = tmp_path / method
        shutil.copytree(trained, folder)
        tensors, header = load_checkpoint(folder / "face.safetensors", "avatar")
        if stage == "emotion":  # the same face under the other method's name
            header = {**header, "method": method}
            save_checkpoint(folder / "face.safetensors", tensors, "avatar", header)
        made[method] = train(stage, folder, subject, bank, method, settings, sync)
    with_sync, without = (load_checkpoint(path, "avatar")[0] for path in made.values())
    plain = load_checkpoint(trained / f"{stage}.safetensors", "avatar")[0]
    branch = "face.emotion" if stage == "emotion" else "face.branch"
    name = f"{branch}.layers.3.weight"
    assert torch.equal(without[name], plain[name])
    assert not torch.equal(with_sync[name], plain[name])


def test_sync_loss_without_an_expert_says_so(subject: dict[str, Path], tmp_path: Path) -> None:
    settings = replace(SETTINGS["face"], lambda_sync=0.5)
    with pytest.raises(ArtifactError, match="sync=None"):
        train("face", tmp_path, subject, settings=settings)
