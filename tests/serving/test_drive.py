"""Emotions as a person types them, and an avatar that is driven by them."""

from __future__ import annotations

import json
from pathlib import Path

import av
import numpy as np
import pytest
import torch

from emotalk_core.cli import main
from emotalk_core.errors import ConfigError
from emotalk_core.media.video import read_video
from emotalk_core.serving.drive import parse_emotion, plan_drive
from emotalk_core.types.manifest import Manifest
from tests.serving.test_render_stage import SIZE, subject

__all__ = ["subject"]  # the small trained avatar


def test_words_points_and_keyframes() -> None:
    assert parse_emotion("happy").points.tolist() == [[0.74, 0.31]]
    assert parse_emotion("-0.2,0.5").points.tolist() == [[-0.2, 0.5]]
    curve = parse_emotion("0:neutral 2:happy 4.5:-0.6,0.2")
    assert curve.times.tolist() == [0, 2, 4.5]
    assert curve.at(np.array([1.0]))[0] == pytest.approx([0.37, 0.155])
    assert curve.at(np.array([9.0]))[0] == pytest.approx([-0.6, 0.2])


@pytest.mark.parametrize(
    "text", ["", "joyish", "0.1,0.2,0.3", "happy sad", "2:happy 1:sad", "x:happy", "0.9,0.9"]
)
def test_what_cannot_be_read_is_refused(text: str) -> None:
    with pytest.raises(ConfigError):
        parse_emotion(text)


def test_plan_follows_curve_and_sound() -> None:
    manifest = Manifest("egg", "egg.mp4", "0", 8, 8, 6, 3840, (0, 8, 0, 8), 0.0, 1.0, 5)
    plans = plan_drive(manifest, parse_emotion("0:neutral 0.4:happy"), 20, 0, None)
    assert len(plans) == 20
    assert plans[0].emotion == (0, 0) and plans[10].emotion == pytest.approx((0.74, 0.31))
    assert [p.source_frame for p in plans[:7]] == [0, 1, 2, 3, 4, 3, 2]
    assert len(plan_drive(manifest, parse_emotion("sad"), 20, 0, 0.2)) == 5
    for none in (0.0, -1.0, float("nan")):
        with pytest.raises(ConfigError, match="seconds"):
            plan_drive(manifest, parse_emotion("sad"), 20, 0, none)


def test_the_command_writes_a_video_with_sound(subject: dict[str, Path], tmp_path: Path) -> None:
    folder = subject["manifest"].parent
    films = {}
    for emotion in ("neutral", "happy"):
        video = tmp_path / f"{emotion}.mp4"
        line = ["render", str(folder), str(video), "--emotion", emotion]
        assert main([*line, "--sound", str(folder / "hello.wav"), "--seconds", "0.2"]) == 0
        films[emotion] = read_video(video)
        with av.open(str(video)) as container:
            facts = json.loads(container.metadata["comment"])
            assert [s.type for s in container.streams] == ["video", "audio"]
        assert facts["emotion"] == emotion and "synthetic" in facts["what"]
    assert films["happy"].shape == (5, SIZE, SIZE, 3)
    assert not np.array_equal(films["happy"], films["neutral"])


def test_an_unknown_word_leaves_nothing(
    subject: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    video = tmp_path / "x.mp4"
    folder = subject["manifest"].parent
    assert main(["render", str(folder), str(video), "--emotion", "joyish"]) == 1
    assert "joyish" in capsys.readouterr().err and not video.exists()


def test_what_cannot_be_meant_is_refused_before_anything_is_read(
    subject: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder, video = subject["manifest"].parent, tmp_path / "x.mp4"
    sound = tmp_path / "take.mp4"  # a film whose sound is spoken
    sound.write_bytes((folder / "hello.wav").read_bytes())
    assert main(["render", str(tmp_path), str(video)]) == 1
    assert "there is no manifest.json" in capsys.readouterr().err
    assert main(["render", str(folder), str(sound), "--sound", str(sound)]) == 1
    assert "would be overwritten" in capsys.readouterr().err
    assert sound.read_bytes() == (folder / "hello.wav").read_bytes()
    for wrong in (["x.txt"], [str(video), "--threads", "0"], [str(video), "--device", "tpu"]):
        with pytest.raises(SystemExit):
            main(["render", str(folder), *wrong])
    if not torch.cuda.is_available():
        assert main(["render", str(folder), str(video), "--device", "cuda"]) == 1
        assert "device=cuda: torch sees no CUDA device here" in capsys.readouterr().err
    assert not video.exists()


def test_an_avatar_that_was_not_trained_yet_names_its_command(
    subject: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "manifest.json").write_bytes(subject["manifest"].read_bytes())
    assert main(["render", str(tmp_path), str(tmp_path / "x.mp4")]) == 1
    wanted = f"snakemake --cores all {tmp_path / 'avatars/emotalk/avatar.safetensors'}"
    assert wanted in capsys.readouterr().err
