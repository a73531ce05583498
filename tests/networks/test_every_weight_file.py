"""Every file of weights.toml, through the door that uses it: removed, truncated, altered."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from emotalk_core import weights
from emotalk_core.emotion.glef import published
from emotalk_core.emotion.glef.model import GlefShape
from emotalk_core.errors import WeightsError
from emotalk_core.evaluation.reference_readers import open_reference_readers
from emotalk_core.evaluation.settings import EvaluationSettings
from emotalk_core.evaluation.stand_ins import stand_ins
from emotalk_core.perception.emotion.reference import open_emonet
from emotalk_core.perception.identity.reference import Vggface2Identity
from emotalk_core.perception.landmarks.reference import FanPoints
from emotalk_core.perception.normals.networks import open_face_normals
from emotalk_core.perception.normals.settings import NormalSettings
from emotalk_core.perception.regions.parsers import open_bisenet
from emotalk_core.perception.teeth.readers import open_easyportrait
from emotalk_core.perception.tracking.stage import usable
from emotalk_core.speech.features.registry import load_extractor_or_stand_in
from emotalk_core.speech.sync.experts import SubjectExpert, save_subject_expert
from emotalk_core.speech.sync.network import ExpertSpec, SyncExpert
from emotalk_core.training.sync_judges import open_judge


def judge(word: str) -> str:
    """Who compares lips and sound when that word is chosen."""
    expert = weights.weights_folder() / "expert.safetensors"
    subject = SubjectExpert(SyncExpert(ExpertSpec()), torch.zeros(40, 2), 1.0)
    save_subject_expert(expert, subject, {})
    return open_judge(word, expert, None).id


def lpips() -> str:
    """The evaluator of perceptual distance when LPIPS is chosen."""
    found = open_reference_readers(EvaluationSettings(perceptual="lpips_alex")).evaluators
    return found["perceptual"].id


# Name -> (the door, what it gives with the stand-in; "error": this one has none and always stops).
DOORS: dict[str, tuple[Callable[[], object], object]] = {
    "face_landmarker": (lambda: usable("face_landmarker"), "facemesh"),
    "bisenet": (open_bisenet, None),
    "easyportrait": (open_easyportrait, None),
    "face_normals": (lambda: open_face_normals(NormalSettings()), None),
    "emonet": (open_emonet, None),
    "fan": (FanPoints.open, None),
    "facenet_vggface2": (Vggface2Identity.open, None),
    "alexnet": (lpips, "contrast-pyramid-1-without-lpips_alex"),
    "lpips_alex": (lpips, "contrast-pyramid-1-without-lpips_alex"),
    "syncnet": (lambda: judge("syncnet"), "landmarks-without-syncnet"),
    "wav2lip_expert": (lambda: judge("wav2lip"), "landmarks-without-wav2lip"),
    "ave": (lambda: load_extractor_or_stand_in("ave").id, "phones-42-logmel-40-100hz"),
    "e4e": (lambda: published.load_e4e(published._path("e4e"), GlefShape()), "error"),
    "emostyle": (lambda: published.load_emo_extract(published._path("emostyle")), "error"),
}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv(weights.FOLDER_VARIABLE, str(tmp_path))
    return tmp_path


def put(name: str, folder: Path, pinned: bool) -> Path:
    """A file that torch reads in the entry's place."""
    path = folder / weights.known_weights(name).file
    torch.save({"a": torch.rand(2000)}, path)
    if pinned:
        weights.pin(weights.known_weights(name))
    return path


def damage(path: Path, how: str) -> None:
    data = bytearray(path.read_bytes())
    if how == "removed":
        path.unlink()
    elif how == "truncated":
        path.write_bytes(data[: len(data) // 2])
    else:
        data[len(data) // 2] ^= 1
        path.write_bytes(data)


def test_every_file_has_a_door() -> None:
    assert set(DOORS) == set(weights.weight_files())


@pytest.mark.parametrize("pinned", [True, False], ids=["pinned", "first"])
@pytest.mark.parametrize("how", ["removed", "truncated", "altered"])
@pytest.mark.parametrize("name", DOORS)
def test_a_bad_file_is_named_and_the_policy_holds(
    name: str,
    how: str,
    pinned: bool,
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    if name == "alexnet":  # read after the heads
        put("lpips_alex", folder, pinned=True)
    path = put(name, folder, pinned)
    damage(path, how)
    opened, stand_in = DOORS[name]
    with caplog.at_level(logging.WARNING):
        if stand_in == "error":
            with pytest.raises(WeightsError) as caught:
                opened()
            said = str(caught.value)
        else:
            got = opened()
            assert got == stand_in
            said = caplog.text
    assert path.name in said
    wrong = {"removed": "missing", "truncated": "truncated|wrong hash|damaged"}
    words = wrong.get(how, "wrong hash|altered|damaged|truncated").split("|")
    assert any(word in said for word in words), said
    monkeypatch.setenv(weights.POLICY_VARIABLE, weights.ERROR)
    with pytest.raises(WeightsError, match=path.name):
        opened()


@pytest.mark.parametrize("how", ["truncated", "altered", "another network's"])
@pytest.mark.parametrize(
    ("name", "block", "word", "task"),
    [
        ("syncnet", "sync_loss", {"expert": "syncnet"}, "sync loss"),
        ("ave", "speech", {"extractor": "ave"}, "speech features"),
        ("easyportrait", "regions", {"teeth": "easyportrait"}, "teeth"),
    ],
)
def test_the_quality_page_does_not_call_a_broken_file_the_paper_s_own(
    name: str, block: str, word: dict, task: str, how: str, folder: Path
) -> None:
    path = put(name, folder, pinned=False)
    if how != "another network's":
        damage(path, how)
    config = {block: word, "weights": {"on_missing": "stand_in"}}
    found = stand_ins("logmel", weights.weights_param(config, block))
    (row,) = [entry for entry in found if entry["task"] == task]
    assert f"({name}: " in row["used"] and row["stands_for"] != "nothing: the paper's own"
