"""Only invalidated stages rerun: exact sets of rules that a dry run lists after one change."""

from __future__ import annotations

import os
import shutil
import time
from pathlib import Path

import pytest
import yaml

from tests.pipeline_tools import copy_checkout, planned_rules, snakemake

pytestmark = pytest.mark.pipeline

SCORES = {"render_scenarios": 1, "score_method": 1, "collect_metrics": 1, "write_tables": 1}
AFTER_EMOTION = {"train_emotion": 1, "train_avatar": 1, **SCORES}
AFTER_NORMALS = {
    "estimate_normals": 1,
    "check_quality": 1,
    "make_emotion_bank": 1,
    "train_mouth": 1,
    "train_face": 1,
    **AFTER_EMOTION,
}
PERCEPTION = {
    "track_head": 1,
    "segment_regions": 1,
    "separate_torso": 1,
    "refine_cameras": 1,
    "read_face": 1,
    "extract_speech_features": 1,
    "adapt_sync_expert": 1,
}
WHOLE_SUBJECT = {"ingest": 1, **PERCEPTION, **AFTER_NORMALS}


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run of one subject whose stages only wrote their files."""
    folder = copy_checkout(tmp_path_factory.mktemp("rerun"), fake_scripts=True)
    (folder / "data").mkdir()
    (folder / "data/anna.mp4").write_bytes(b"first")
    config = yaml.safe_load((folder / "config.yaml").read_text())
    config["subjects"] = {"anna": {"video": "data/anna.mp4"}}
    (folder / "config.yaml").write_text(yaml.safe_dump(config))
    snakemake(folder, "--cores", "2")
    assert planned_rules(folder) == {}
    return folder


def edit(path: Path, old: str, new: str) -> str:
    """Replace text once; returns the old content for restoring."""
    text = path.read_text(encoding="utf-8")
    assert old in text, f"{old!r} is not in {path}"
    path.write_text(text.replace(old, new, 1), encoding="utf-8")
    return text


def change_config(folder: Path, change: dict) -> Path:
    """An extra config file with `change`."""
    path = folder / "change.yaml"
    path.write_text(yaml.safe_dump(change))
    return path


def copy_finished(finished: Path, folder: Path) -> Path:
    """A finished run of its own, times of files kept."""
    shutil.copytree(finished, folder, symlinks=True)
    return folder


def test_a_comment_in_core_code_reruns_nothing(finished: Path) -> None:
    module = finished / "emotalk_core/perception/normals/stage.py"
    old = module.read_text()
    module.write_text(old + "\n# a remark\n")
    assert planned_rules(finished) == {}
    module.write_text(old)


def test_code_of_the_normals_stage(finished: Path) -> None:
    module = finished / "emotalk_core/perception/normals/stage.py"
    old = module.read_text()
    module.write_text(old + "\nANOTHER = 1\n")
    assert planned_rules(finished) == AFTER_NORMALS
    module.write_text(old)


def test_a_loss_weight_of_the_emotion_stage(finished: Path) -> None:
    change = change_config(finished, {"training": {"emotion": {"lambda_normal": 0.049}}})
    assert planned_rules(finished, "--configfile", str(change)) == AFTER_EMOTION


def test_a_loss_weight_of_the_mouth_stage_leaves_the_face_alone(finished: Path) -> None:
    change = change_config(finished, {"training": {"mouth": {"lambda_dssim": 0.19}}})
    wanted = {"train_mouth": 1, **AFTER_EMOTION}
    assert planned_rules(finished, "--configfile", str(change)) == wanted


def test_a_key_that_this_target_does_not_use(finished: Path) -> None:
    change = change_config(finished, {"report": {"tile": 160}})
    assert planned_rules(finished, "--configfile", str(change)) == {}


def test_another_content_of_a_users_file_reruns_its_readers(finished: Path, tmp_path: Path) -> None:
    folder = copy_finished(finished, tmp_path / "users_file")
    table = folder / "data/openface.csv"
    table.write_text("frame\n")
    chosen = (
        "--configfile",
        str(change_config(folder, {"action_units": {"openface_csv": str(table)}})),
    )
    snakemake(folder, "--cores", "2", *chosen)
    assert planned_rules(folder, *chosen) == {}
    later = time.time() + 5
    table.write_text("frame, other\n")
    os.utime(table, (later, later))
    assert planned_rules(folder, *chosen)["read_face"] == 1


def test_the_paper_generator_is_trained_only_where_it_is_chosen(finished: Path) -> None:
    unused = change_config(finished, {"glef": {"epochs": 11}})
    assert planned_rules(finished, "--configfile", str(unused)) == {}
    chosen = change_config(finished, {"emotion_bank": {"generator": "glef"}})
    wanted = {"check_quality": 1, "train_glef": 1, "make_emotion_bank": 1, **AFTER_EMOTION}
    assert planned_rules(finished, "--configfile", str(chosen)) == wanted


# Weight file -> what reruns when it is put there, of a run that chooses every one of them.
USERS = {
    "audio_visual_encoder.pth": {
        "extract_speech_features": 1,
        "check_quality": 1,
        "train_mouth": 1,
        "train_face": 1,
        **AFTER_EMOTION,
    },
    "syncnet_v2.model": {"check_quality": 1, "train_face": 1, **AFTER_EMOTION},
    "2DFAN4-cd938726ad.zip": {"train_glef": 1, "make_emotion_bank": 1, **AFTER_EMOTION},
    "lpips_v0.1_alex.pth": {"score_method": 1, "collect_metrics": 1, "write_tables": 1},
}


def test_a_weight_file_reruns_exactly_its_users(finished: Path, tmp_path: Path) -> None:
    folder = copy_finished(finished, tmp_path / "chosen")
    words = {
        "speech": {"extractor": "ave"},
        "sync_loss": {"expert": "syncnet"},
        "emotion_bank": {"generator": "glef"},
        "glef": {"networks": "published"},
        "evaluation": {"perceptual": "lpips_alex"},
    }
    chosen = ("--configfile", str(change_config(folder, words)))
    snakemake(folder, "--cores", "2", *chosen)
    for name, users in USERS.items():
        file = folder / "data/weights" / name
        file.parent.mkdir(exist_ok=True)
        file.write_bytes(b"put there")
        assert planned_rules(folder, *chosen) == users, name
        file.unlink()


def test_the_pixel_expert_is_made_only_where_it_is_chosen(finished: Path) -> None:
    unused = change_config(finished, {"pixel_sync_expert": {"steps": 90}})
    assert planned_rules(finished, "--configfile", str(unused)) == {}
    chosen = change_config(finished, {"sync_loss": {"expert": "pixels"}})
    wanted = {"adapt_pixel_sync_expert": 1, "train_face": 1, **AFTER_EMOTION}
    assert planned_rules(finished, "--configfile", str(chosen)) == wanted


def test_another_video_of_one_subject(finished: Path) -> None:
    video = finished / "data/anna.mp4"
    stat = video.stat()
    later = time.time() + 5
    video.write_bytes(b"second")
    os.utime(video, (later, later))
    assert planned_rules(finished) == WHOLE_SUBJECT
    video.write_bytes(b"first")
    os.utime(video, (stat.st_atime, stat.st_mtime))


def test_a_new_subject_runs_alone(finished: Path) -> None:
    (finished / "data/bert.mp4").write_bytes(b"third")
    change = change_config(finished, {"subjects": {"bert": {"video": "data/bert.mp4"}}})
    assert planned_rules(finished, "--configfile", str(change)) == WHOLE_SUBJECT


def test_touching_a_script_reruns_nothing(finished: Path) -> None:
    script = finished / "workflow_scripts/estimate_normals.py"
    script.write_text(script.read_text() + "\n# touched\n")
    assert planned_rules(finished) == {}
