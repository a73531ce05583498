"""Bad input through the true command: one clear message, an exit code, nothing half-written."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
import yaml

from tests.pipeline_tools import copy_checkout, snakemake
from tests.video_tools import babble, face_frame, write_clip

pytestmark = pytest.mark.pipeline
TRAINED = "results/demo/metrics.csv"


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return copy_checkout(tmp_path_factory.mktemp("faults"))


def run(checkout: Path, target: str, subjects: dict | None = None) -> str:
    """Run until the failure that must come; returns what the user sees."""
    extra = []
    if subjects is not None:
        file = checkout / "subjects.yaml"
        file.write_text(yaml.safe_dump({"subjects": subjects}, allow_unicode=True))
        extra = ["--configfile", str(file)]
    done = snakemake(checkout, "--cores", "1", *extra, "--", target, check=False)
    assert done.returncode != 0, done.stdout
    return done.stdout


def test_unknown_subject_is_named_with_the_known_ones(checkout: Path) -> None:
    text = run(checkout, "results/nobody/metrics.csv")
    assert "subject='nobody': not among the subjects of config.yaml (demo, obama)" in text
    assert "config.yaml" in text


@pytest.mark.parametrize("name", ["../up", "a/b", "a b", "x" * 80])
def test_subject_names_that_leave_the_results_folder(checkout: Path, name: str) -> None:
    text = run(checkout, "results/obama/metrics.csv", {name: {"video": "data/x.mp4"}})
    assert name[:20] in text and "letters" in text
    assert not (checkout / "results").exists()


def test_target_outside_of_results(checkout: Path) -> None:
    text = run(checkout, "results/../up/metrics.csv")
    assert "subject='..': wanted 1 to 64 letters" in text


def test_all_config_mistakes_in_one_report(checkout: Path) -> None:
    file = checkout / "bad.yaml"
    file.write_text(yaml.safe_dump({"ingest": {"szie": 1}, "seed": "x"}))
    done = snakemake(checkout, "-n", "--configfile", str(file), check=False)
    assert done.returncode != 0
    assert "2 mistake(s)" in done.stdout and "did you mean 'size'" in done.stdout


@pytest.mark.skipif(torch.cuda.is_available(), reason="a CUDA device is here")
def test_a_device_that_is_not_here_ends_the_run_before_its_first_job(checkout: Path) -> None:
    done = snakemake(
        checkout, "--cores", "1", "--config", "device=cuda", "--", TRAINED, check=False
    )
    assert done.returncode != 0
    assert "device=cuda: torch sees no CUDA device here" in done.stdout
    assert not (checkout / "results/common/actor/demo.mp4").exists()
    plan = snakemake(checkout, "-n", "--config", "device=cuda", "--", TRAINED, check=False)
    assert plan.returncode == 0  # to be sent to a cluster from here


@pytest.mark.parametrize(
    ("content", "words"),
    [(b"this is not a video", "cannot be"), (b"", "cannot be")],
    ids=["text", "empty"],
)
def test_unreadable_video(checkout: Path, content: bytes, words: str) -> None:
    (checkout / "data").mkdir(exist_ok=True)
    video = checkout / "data/broken file \u00e9.mp4"
    video.write_bytes(content)
    text = run(checkout, "results/bad/manifest.json", {"bad": {"video": str(video)}})
    assert words in text and "broken file" in text
    left = [p for p in (checkout / "results/bad").rglob("*") if p.is_file()]
    assert {p.suffix for p in left} <= {".log"}


def test_missing_video_is_named(checkout: Path) -> None:
    text = run(checkout, "results/obama/manifest.json")
    assert "data/obama.mp4" in text


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A folder on a file system of 1 MiB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(folder)]
    if os.geteuid() != 0 or subprocess.run(mount, check=False, capture_output=True).returncode:
        pytest.skip("needs root and the right to mount a tmpfs")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


def test_full_disk(checkout: Path, small_disk: Path, tmp_path: Path) -> None:
    frames = [face_frame(k, 360, 480) for k in range(110)]
    write_clip(tmp_path / "face.mp4", frames, sound=babble(4.4))
    (checkout / "results").mkdir(exist_ok=True)  # an earlier test may have run
    (checkout / "results/full").symlink_to(small_disk)
    subject = {"full": {"video": str(tmp_path / "face.mp4")}}
    text = run(checkout, "results/full/manifest.json", subject)
    assert "No space left" in text and "free disk space" in text
    left = [p for p in small_disk.rglob("*") if p.is_file()]
    assert {p.suffix for p in left} <= {".log"}
