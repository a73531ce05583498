"""The sync loss on pixels: every judge pulls the face branch, absent weights are said."""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from emotalk_core import weights
from emotalk_core.avatar.methods import get_method
from emotalk_core.errors import ArtifactError, ConfigError, NumericalError, WeightsError
from emotalk_core.losses.pixel_sync import PictureRun, WindowRun
from emotalk_core.media.audio import write_wav
from emotalk_core.media.checkpoints import load_checkpoint
from emotalk_core.speech.sync.experts import SubjectExpert, save_subject_expert
from emotalk_core.speech.sync.lip_pictures import SIDE
from emotalk_core.speech.sync.network import ExpertSpec, SyncExpert
from emotalk_core.speech.sync.picture_network import (
    PictureExpert,
    SubjectPictures,
    load_picture_expert,
    save_picture_expert,
)
from emotalk_core.speech.sync.syncnet import SyncNet
from emotalk_core.speech.sync.wav2lip import SyncNetColor
from emotalk_core.training.inputs import ClipPaths
from emotalk_core.training.pixel_sync_expert import adapt_pixel_sync_expert
from emotalk_core.training.prepare import Job, SyncPaths, prepare
from emotalk_core.training.settings import TrainingSettings
from emotalk_core.training.sync_expert import SyncSettings
from emotalk_core.training.sync_judges import PIXELS, SYNCNET, WAV2LIP, open_judge
from tests.networks.seeded import seed
from tests.training.synthetic import make_subject
from tests.training.test_train_stage import FAST, train

SETTINGS = TrainingSettings(
    steps=6,
    canonical_steps=3,
    landmark_steps=3,
    lambda_sync=0.5,
    sync_every=2,
    sync_frames=7,
    **FAST,  # type: ignore[arg-type]
)


@pytest.fixture(scope="module")
def subject(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return make_subject(tmp_path_factory.mktemp("egg"))


@pytest.fixture(scope="module")
def sync(tmp_path_factory: pytest.TempPathFactory) -> SyncPaths:
    folder = tmp_path_factory.mktemp("sync")
    rng = np.random.default_rng(0)
    write_wav(folder / "own.wav", rng.normal(0, 0.1, 16_000).astype(np.float32))
    with torch.random.fork_rng():
        torch.manual_seed(1)
        points = SyncExpert(ExpertSpec()).eval()
        pictures = PictureExpert(SyncExpert(ExpertSpec())).eval()
    save_subject_expert(
        folder / "expert.safetensors", SubjectExpert(points, torch.zeros(40, 2), 0.1), {}
    )
    save_picture_expert(folder / "pictures.safetensors", SubjectPictures(pictures, 0.0), {})
    return SyncPaths(
        folder / "expert.safetensors",
        folder / "own.wav",
        (),
        PIXELS,
        folder / "pictures.safetensors",
    )


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv(weights.FOLDER_VARIABLE, str(tmp_path / "weights"))
    (tmp_path / "weights").mkdir()
    return tmp_path


def put(word: str, folder: Path) -> None:
    """A seeded file where the published network's belongs."""
    entry = weights.known_weights({SYNCNET: "syncnet", WAV2LIP: "wav2lip_expert"}[word])
    network = SyncNet() if word == SYNCNET else SyncNetColor()
    torch.save(seed(network).state_dict(), folder / "weights" / entry.file)


@pytest.mark.parametrize("word", [PIXELS, WAV2LIP, SYNCNET])
def test_the_loss_of_a_run_falls_when_the_branch_follows_it(
    word: str, subject: dict[str, Path], sync: SyncPaths, folder: Path
) -> None:
    if word != PIXELS:
        put(word, folder)
    settings = replace(SETTINGS, sync_frames=5)
    job = Job(
        "face",
        get_method("emotalk"),
        ClipPaths(**subject),
        None,
        {},
        settings,
        seed=3,
        threads=1,
        device="cpu",
        sync=replace(sync, by=word),
    )
    made = prepare(job)
    assert made.sync_judge == word
    moving = [p for n, p in made.layer.module.named_parameters() if "branch" in n or "audio" in n]
    adam = torch.optim.Adam(moving, 3e-3)
    values = []
    for _ in range(4):
        run = made.layer.sync_run(made.phases[-1], 0, 1)
        assert isinstance(run, PictureRun if word == PIXELS else WindowRun)
        value = run.distance()
        adam.zero_grad()
        value.backward()
        adam.step()
        values.append(float(value.detach()))
    made.store.close()
    assert values[-1] < values[0]


def test_a_stage_trains_by_pixels_and_says_so(
    subject: dict[str, Path], sync: SyncPaths, tmp_path: Path
) -> None:
    branches = {}
    for word in (PIXELS, "landmarks"):
        (tmp_path / word).mkdir()
        chosen = replace(sync, by=word)
        path = train("face", tmp_path / word, subject, settings=SETTINGS, sync=chosen)
        tensors, header = load_checkpoint(path, "avatar")
        assert header["sync_loss"] == word
        branches[word] = tensors["face.branch.layers.3.weight"]
    assert not torch.equal(*branches.values())


def test_absent_weights_are_named_and_the_stand_in_is_written_down(
    subject: dict[str, Path],
    sync: SyncPaths,
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    chosen = replace(sync, by=SYNCNET)
    with caplog.at_level(logging.WARNING):
        path = train("face", folder, subject, settings=SETTINGS, sync=chosen)
    for part in ("syncnet: missing", "syncnet_v2.model", "lip landmarks"):
        assert part in caplog.text
    assert load_checkpoint(path, "avatar")[1]["sync_loss"] == "landmarks-without-syncnet"
    monkeypatch.setenv(weights.POLICY_VARIABLE, weights.ERROR)
    with pytest.raises(WeightsError, match=r"syncnet: missing.*on_missing is error"):
        train("face", folder, subject, settings=SETTINGS, sync=chosen)


def test_wrong_words_and_files_are_named(sync: SyncPaths) -> None:
    with pytest.raises(ConfigError, match=r"sync_loss\.expert=lips"):
        open_judge("lips", sync.expert, None)
    with pytest.raises(ArtifactError, match="adapt_pixel_sync_expert"):
        open_judge(PIXELS, sync.expert, None)
    with pytest.raises(ArtifactError, match="wanted sync_picture_expert"):
        open_judge(PIXELS, sync.expert, sync.expert)


def test_a_pixel_expert_comes_back_from_its_file(sync: SyncPaths) -> None:
    assert sync.picture_expert is not None and sync.picture_expert.stat().st_size < 800_000
    loaded = load_picture_expert(sync.picture_expert)
    seen = loaded.expert.see(torch.rand(1, 9, 3, SIDE, SIDE))
    assert seen.shape == (1, 5, 64) and loaded.true_distance == 0.0
    assert not any(p.requires_grad for p in loaded.expert.parameters())


def test_a_short_clip_says_what_else_there_is(
    subject: dict[str, Path], sync: SyncPaths, tmp_path: Path
) -> None:
    names = ("manifest", "video", "regions", "track", "cameras")
    with pytest.raises(NumericalError, match=r"18 training frames.*sync_loss\.expert"):
        adapt_pixel_sync_expert(
            **{name: subject[name] for name in names},
            audio=sync.audio,
            sync_expert=sync.expert,
            expert=tmp_path / "pictures.safetensors",
            settings=SyncSettings(),
            seed=0,
            threads=1,
        )
