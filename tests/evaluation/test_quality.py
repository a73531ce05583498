"""Quality checks find the fault that was put in, and refuse what does not belong together."""

from __future__ import annotations

import json

import cv2
import numpy as np
import pytest

from emotalk_core.errors import ArtifactError, InputError
from emotalk_core.evaluation.quality.checks import (
    QualitySettings,
    clipped_share,
    motion_share,
    mouth_seen,
    running_median,
    runs,
)
from emotalk_core.evaluation.quality.stage import check_quality
from emotalk_core.media.tables import read_arrays, write_arrays
from emotalk_core.media.video import read_video, write_video
from emotalk_core.types.lip_points import OUTER_LIPS
from emotalk_core.types.manifest import FPS, SAMPLE_RATE
from emotalk_core.types.regions import LABEL

from .conftest import N_FRAMES, TinySubject

NAMES = (
    "manifest", "video", "track", "regions", "alpha", "torso", "normals", "action_units",
    "valence_arousal", "speech", "audio",
)  # fmt: skip


def check(tiny: TinySubject, **limits: float) -> dict:
    out = tiny.folder / "quality.json"
    check_quality(
        **tiny.paths(*NAMES),
        quality_json=out,
        quality_png=tiny.folder / "quality.png",
        settings=QualitySettings(**limits),
    )
    return json.loads(out.read_text(encoding="utf-8"))


def change_track(tiny: TinySubject, **arrays: np.ndarray) -> None:
    write_arrays(tiny["track"], **{**read_arrays(tiny["track"]), **arrays})


def test_runs_and_running_median_by_hand() -> None:
    assert runs(np.array([1, 1, 0, 1, 0, 0, 1], bool)) == [(0, 1), (3, 3), (6, 6)]
    assert runs(np.zeros(3, bool)) == []
    values = np.array([1.0, 1, 1, 9, 1, 1, 1, 1])
    np.testing.assert_array_equal(running_median(values), np.ones(8))


def test_clipping_and_motion_by_hand() -> None:
    per_frame = SAMPLE_RATE // FPS
    samples = np.zeros(2 * per_frame, np.float32)
    samples[per_frame : per_frame + 64] = 1.0
    np.testing.assert_allclose(clipped_share(samples, 3), [0, 0.1, 0])
    points = np.zeros((3, 478, 2), np.float32)
    points[2] = (3, 4)
    np.testing.assert_allclose(motion_share(points, 50), [0, 0, 0.1])


def test_a_clean_clip_has_no_faults_and_a_readable_sheet(tiny: TinySubject) -> None:
    report = check(tiny)
    faults = {n: c["frames"] for n, c in report["checks"].items() if n != "silence"}
    assert set(faults.values()) == {0}
    assert report["checks"]["silence"]["frames"] > 0
    assert report["refused"] == [] and report["refused_share"] == 0
    assert report["glasses"]["worn"] is False
    assert {p["task"] for p in report["stand_ins"]} >= {"landmarks", "emotion", "action units"}
    sheet = cv2.imread(str(tiny.folder / "quality.png"))
    assert sheet.shape[1] > sheet.shape[0] > 500


def test_planted_faults_are_found_where_they_are(tiny: TinySubject) -> None:
    frames = read_video(tiny["video"])
    frames[30:33] = [cv2.GaussianBlur(f, (0, 0), 3) for f in frames[30:33]]
    write_video(tiny["video"], frames)
    labels = read_video(tiny["regions"])
    labels[50] = np.roll(labels[50], 20, axis=0)
    labels[50, :28] = 0
    write_video(tiny["regions"], labels)
    track = read_arrays(tiny["track"])
    error, valid, reason = (track[n].copy() for n in ("reprojection_error", "valid", "reason"))
    error[70] = 5
    valid[80:82] = False
    reason = reason.astype("U20")
    reason[80:82] = "turned away"
    points = track["landmarks"].copy()
    points[90:] += 10
    change_track(tiny, reprojection_error=error, valid=valid, reason=reason, landmarks=points)
    report = check(tiny)
    where = {n: c["runs"] for n, c in report["checks"].items() if n != "silence"}
    assert where["blur"] == [[30, 32]]
    assert where["mask_jump"] == [[50, 50]]
    assert where["reprojection"] == [[70, 70]]
    assert where["cut"] == [[90, 90]]
    assert where["no_face"] == [[80, 81]]
    assert report["refused"] == [{"first": 80, "last": 81, "why": "turned away"}]
    assert report["refused_share"] == pytest.approx(2 / N_FRAMES, abs=1e-4)


def test_a_covered_mouth_is_seen_by_its_labels() -> None:
    points = np.zeros((478, 2), np.float32)
    turn = np.linspace(0, 2 * np.pi, len(OUTER_LIPS), endpoint=False)
    points[list(OUTER_LIPS)] = 32 + 10 * np.stack([np.cos(turn), np.sin(turn)], axis=1)
    labels = np.full((64, 64), LABEL["skin"], np.uint8)
    assert mouth_seen(labels, points) == 0
    labels[:, :32] = LABEL["lips"]
    assert mouth_seen(labels, points) == pytest.approx(0.5, abs=0.03)
    labels[:, 32:] = LABEL["teeth"]
    assert mouth_seen(labels, points) == pytest.approx(1)
    assert mouth_seen(labels, points - 100) == 1


def test_dark_frames_and_covered_mouths_are_named(tiny: TinySubject) -> None:
    frames, labels = read_video(tiny["video"]), read_video(tiny["regions"])
    frames[20:24] = frames[20:24] // 8
    labels[:, 24:40] = np.where(labels[:, 24:40] == LABEL["skin"], LABEL["lips"], labels[:, 24:40])
    labels[40:45] = np.where(labels[40:45] == LABEL["lips"], LABEL["skin"], labels[40:45])
    write_video(tiny["video"], frames)
    write_video(tiny["regions"], labels)
    report = check(tiny)
    assert report["checks"]["exposure"]["runs"] == [[20, 23]]
    assert report["checks"]["mouth_hidden"]["runs"] == [[40, 44]]


def test_too_many_bad_frames_are_refused_with_cause_and_next_step(tiny: TinySubject) -> None:
    valid = np.ones(N_FRAMES, bool)
    valid[: N_FRAMES // 2] = False
    reason = np.where(valid, "", "two faces")
    change_track(tiny, valid=valid, reason=reason)
    with pytest.raises(InputError, match=r"50% of the frames.*two faces.*config\.yaml"):
        check(tiny)
    assert not (tiny.folder / "quality.json").exists()
    assert check(tiny, max_refused_share=0.6)["refused_share"] == 0.5


@pytest.mark.parametrize(
    ("name", "rule"),
    [("alpha", "segment_regions"), ("normals", "estimate_normals"), ("torso", "separate_torso")],
)
def test_a_short_artifact_is_named_with_its_rule(tiny: TinySubject, name: str, rule: str) -> None:
    write_video(tiny[name], read_video(tiny[name])[:-1])
    with pytest.raises(ArtifactError, match=rf"{name}.mkv: has {N_FRAMES - 1} frames.*{rule}"):
        check(tiny)


def test_a_short_table_is_named_with_its_rule(tiny: TinySubject) -> None:
    lines = tiny["action_units"].read_text(encoding="utf-8").splitlines()
    tiny["action_units"].write_text("\n".join(lines[:-2]) + "\n", encoding="utf-8")
    with pytest.raises(ArtifactError, match=r"action_units.csv.*read_face"):
        check(tiny)
