"""Subject folders of TalkingGaussian and ER-NeRF: import, export, round trip, refusals."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
import yaml
from scipy.spatial.transform import Rotation

from emotalk_core.cli import main
from emotalk_core.errors import ConfigError, EmotalkError, InputError
from emotalk_core.media.audio import read_audio, write_wav
from emotalk_core.media.tables import (
    read_arrays,
    read_cameras,
    read_manifest,
    read_table,
    write_arrays,
    write_cameras,
    write_manifest,
)
from emotalk_core.media.video import read_video, write_video
from emotalk_core.perception.action_units.packaged import ACTION_UNITS
from emotalk_core.perception.exchange.exporting import export_subject
from emotalk_core.perception.exchange.importing import RULES, import_subject
from emotalk_core.perception.exchange.labels import labels_of, shared_classes
from emotalk_core.perception.exchange.layout import write_picture
from emotalk_core.perception.exchange.poses import to_poses, to_viewmats
from emotalk_core.types.camera import CameraPath
from emotalk_core.types.manifest import Manifest
from emotalk_core.types.regions import LABEL
from tests.pipeline_tools import ROOT, copy_checkout, planned_rules, snakemake

N, SIDE = 11, 16
BLUE, GREY, WHITE = (0, 0, 255), (100, 100, 100), (255, 255, 255)


def their_pose(index: int) -> np.ndarray:
    """A camera in front of a face that looks along +z (OpenGL camera to world, metres)."""
    pose = np.eye(4)
    pose[:3, :3] = Rotation.from_euler("xyz", [0.02 * index, -0.03, 0.01]).as_matrix()
    pose[:3, 3] = pose[:3, :3] @ [0.01, 0.02, 0.7]
    return pose


def transforms(numbers: range) -> dict:
    frames = [
        {"img_id": i, "aud_id": i, "transform_matrix": their_pose(i).tolist()} for i in numbers
    ]
    return {"focal_len": 40.0, "cx": SIDE / 2, "cy": SIDE / 2, "frames": frames[::-1]}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder as the neighbours' tools write it: 11 frames of 16 px."""
    root, draw = tmp_path / "May", np.random.default_rng(0)
    parsing = np.full((SIDE, SIDE, 3), WHITE, np.uint8)
    parsing[4:12, 4:12] = BLUE
    parsing[8:11, 6:10] = GREY
    teeth = np.zeros((SIDE, SIDE), bool)
    teeth[8, 5:10] = True  # one pixel lies outside of the mouth, on the face
    teeth[8, 1] = True  # and one on the background: it must not become head
    torso = np.zeros((SIDE, SIDE, 4), np.uint8)
    torso[10:] = (200, 20, 20, 255)
    (root / "teeth_mask").mkdir(parents=True)
    for i in range(N):
        flat = np.full((SIDE, SIDE, 3), 20 * i, np.uint8)
        write_picture(root / f"ori_imgs/{i}.jpg", flat)
        (root / f"ori_imgs/{i}.lms").write_text("1 2\n" * 68)
        write_picture(root / f"parsing/{i}.png", parsing)
        write_picture(root / f"torso_imgs/{i}.png", torso)
        np.save(root / f"teeth_mask/{i}.npy", teeth)
    write_picture(root / "bc.jpg", np.full((SIDE, SIDE, 3), 90, np.uint8))
    write_wav(root / "aud.wav", (0.1 * draw.normal(size=N * 640)).astype(np.float32))
    np.save(root / "aud_ds.npy", draw.normal(size=(N, 16, 29)).astype(np.float32))
    (root / "transforms_train.json").write_text(json.dumps(transforms(range(10))))
    (root / "transforms_val.json").write_text(json.dumps(transforms(range(10, N))))
    names = ["frame", " face_id", " timestamp", " confidence", " success"]
    names += [f" {unit}_r" for unit in ACTION_UNITS]
    rows = [[i + 1, 0, i / 25, 0.98, 1, *([0.1 * i] * 17)] for i in range(N)]
    lines = [",".join(map(str, row)) for row in [names, *rows]]
    (root / "au.csv").write_text("\n".join(lines) + "\n")
    return root


def test_cameras_of_theirs_see_points_of_ours() -> None:
    # A point 3 cm to the image right, 2 cm up, 5 cm to the viewer: theirs (.03,.02,.05), ours
    # (.03,-.02,-.05). Their tool projects x = -f X/Z + cx, y = f Y/Z + cy in camera space.
    pose = their_pose(4)
    theirs = np.linalg.inv(pose) @ [0.03, 0.02, 0.05, 1]
    seen = (-40 * theirs[0] / theirs[2] + 8, 40 * theirs[1] / theirs[2] + 8)
    viewmat = to_viewmats(pose[None])[0]
    ours = viewmat @ [0.03, -0.02, -0.05, 1]
    assert ours[2] > 0.5
    assert np.allclose((40 * ours[0] / ours[2] + 8, 40 * ours[1] / ours[2] + 8), seen, atol=1e-12)
    assert np.allclose(to_poses(viewmat[None])[0], pose, atol=1e-12)


def test_import_writes_what_the_folder_holds(folder: Path, tmp_path: Path) -> None:
    report = import_subject(folder=folder, subject="may", results=tmp_path / "results")
    target = tmp_path / "results/may"
    facts = read_manifest(target / "manifest.json")
    assert (facts.n_frames, facts.n_train, facts.width, facts.n_samples) == (N, 10, SIDE, N * 640)
    frames = read_video(target / "video.mkv")
    assert np.abs(frames.astype(int).mean(axis=(1, 2, 3)) - 20 * np.arange(N)).max() < 1
    labels = read_video(target / "regions.mkv")[3]
    assert labels[5, 5] == LABEL["skin"] and labels[9, 7] == LABEL["inner_mouth"]
    assert (labels == LABEL["teeth"]).sum() == 5 and labels[8, 1] == LABEL["background"]
    assert np.array_equal(read_video(target / "alpha.mkv")[3] == 255, labels > 0)
    layer = read_video(target / "torso.mkv")[0]
    assert layer[12, 3].tolist() == [200, 20, 20] and np.abs(layer[2, 3].astype(int) - 90).max() < 2
    cameras = read_cameras(target / "cameras.json")
    assert np.allclose(cameras.viewmats, to_viewmats(np.stack([their_pose(i) for i in range(N)])))
    assert cameras.Ks[0].tolist() == [[40, 0, 8], [0, 40, 8], [0, 0, 1]]
    units = read_table(target / "action_units.csv")
    assert units["AU45"][7] == pytest.approx(0.7) and units["valid"].all()
    speech = read_arrays(target / "speech.npz")
    assert str(speech["extractor"]) == "deepspeech-0.1-50hz"
    assert np.array_equal(speech["features"], np.load(folder / "aud_ds.npy"))
    assert len(read_audio(target / "audio.wav")) == N * 640
    assert set(report.missing) == {
        "track.npz",
        "tracked_cameras.json",
        "normals.mkv",
        "valence_arousal.csv",
    }
    assert "rule track_head makes it" in report.text("may")
    assert report.source == folder / "aud.wav"


def test_import_says_what_is_not_there(folder: Path, tmp_path: Path) -> None:
    for name in ("parsing", "torso_imgs"):
        shutil.rmtree(folder / name)
    for name in ("au.csv", "aud_ds.npy", "transforms_val.json"):
        (folder / name).unlink()
    report = import_subject(folder=folder, subject="may", results=tmp_path)
    assert report.written == ("manifest.json", "video.mkv", "audio.wav")
    assert report.missing["cameras.json"] == "transforms_val.json not there"
    assert report.missing["action_units.csv"] == "no au.csv"
    assert report.missing["regions.mkv"] == "no parsing/"


def test_frames_without_a_pose_leave_the_cameras_to_the_pipeline(
    folder: Path, tmp_path: Path
) -> None:
    (folder / "transforms_train.json").write_text(json.dumps(transforms(range(1, 10))))
    report = import_subject(folder=folder, subject="may", results=tmp_path)
    assert report.missing["cameras.json"] == "frames without a pose: 1, the first is 0"


def broken_rotation(folder: Path) -> None:
    data = transforms(range(10))
    data["frames"][0]["transform_matrix"][0][0] = 3
    (folder / "transforms_train.json").write_text(json.dumps(data))


def sizes_differ(folder: Path) -> None:
    write_picture(folder / "parsing/5.png", np.zeros((8, 8, 3), np.uint8))


def foreign_colours(folder: Path) -> None:
    write_picture(folder / "parsing/2.png", np.full((SIDE, SIDE, 3), 50, np.uint8))


FAULTS = {
    "ori_imgs/4.jpg: missing": lambda f: (f / "ori_imgs/4.jpg").unlink(),
    "ori_imgs: missing": lambda f: shutil.rmtree(f / "ori_imgs"),
    "aud.wav: missing": lambda f: (f / "aud.wav").unlink(),
    r"aud.wav: 4.00 s long": lambda f: write_wav(f / "aud.wav", np.full(64_000, 0.1, np.float32)),
    "parsing/7.png: missing": lambda f: (f / "parsing/7.png").unlink(),
    "parsing/5.png: 8x8 px": sizes_differ,
    r"parsing/2.png: 100.0 % of the pixels": foreign_colours,
    r"teeth_mask/1.npy: shape \(4, 4\)": lambda f: np.save(f / "teeth_mask/1.npy", np.ones((4, 4))),
    "teeth_mask/11.npy: beyond": lambda f: np.save(f / "teeth_mask/11.npy", np.ones((4, 4))),
    "transforms_train.json: img_id=9": broken_rotation,
    "transforms_val.json: img_id=10: the folder has": lambda f: (f / "ori_imgs/10.jpg").unlink(),
    "transforms_val.json: KeyError": lambda f: (f / "transforms_val.json").write_text("{}"),
    "transforms_val.json: not": lambda f: (f / "transforms_val.json").write_text("{"),
    "May.mkv: not readable": lambda f: (f / "May.mkv").write_text("no video"),
    "au.csv: columns": lambda f: (f / "au.csv").write_text("frame\n1\n"),
    "aud_ds.npy: shape": lambda f: np.save(f / "aud_ds.npy", np.zeros((N, 3, 29))),
    "aud_ds.npy: 30 values": lambda f: np.save(f / "aud_ds.npy", np.zeros((N, 16, 30))),
}


@pytest.mark.parametrize("message", FAULTS)
def test_a_broken_folder_is_refused_by_the_file_s_name(
    message: str, folder: Path, tmp_path: Path
) -> None:
    FAULTS[message](folder)
    with pytest.raises(EmotalkError, match=message):
        import_subject(folder=folder, subject="may", results=tmp_path / "results")
    left = [p for p in (tmp_path / "results").rglob("*") if p.is_file()]
    assert left == []


def test_an_import_never_overwrites(folder: Path, tmp_path: Path) -> None:
    import_subject(folder=folder, subject="may", results=tmp_path)
    with pytest.raises(InputError, match="is there already"):
        import_subject(folder=folder, subject="may", results=tmp_path)
    assert (tmp_path / "may/video.mkv").is_file()
    with pytest.raises(ConfigError, match="extractor=deepspech: unknown"):
        import_subject(folder=folder, subject="b", results=tmp_path, extractor="deepspech")
    with pytest.raises(InputError, match=r"aud_hu\.npy: missing"):
        import_subject(folder=folder, subject="b", results=tmp_path, extractor="hubert")


def our_subject(target: Path) -> None:
    """Artifacts of all kinds that the layout holds, of noise: 11 frames of 16 px."""
    draw = np.random.default_rng(1)
    samples = (0.1 * draw.normal(size=N * 640)).astype(np.float32)
    write_wav(target / "audio.wav", samples)
    write_video(target / "video.mkv", draw.integers(0, 256, (N, SIDE, SIDE, 3), dtype=np.uint8))
    write_video(target / "regions.mkv", draw.integers(0, 12, (N, SIDE, SIDE), dtype=np.uint8))
    plate = np.full((SIDE, SIDE, 3), 77, np.uint8)
    layers = np.repeat(plate[None], N, axis=0)
    layers[:, 9:] = draw.integers(0, 256, (N, SIDE - 9, SIDE, 3), dtype=np.uint8)
    write_video(target / "torso.mkv", layers)
    write_picture(target / "background.png", plate)
    facts = Manifest("us", "us.mp4", "0", SIDE, SIDE, N, N * 640, (0, 16, 0, 16), 0, 0, 10)
    write_manifest(target / "manifest.json", facts)
    matrix = np.array([[41.7, 0, 8.3], [0, 41.7, 7.9], [0, 0, 1]])
    views = to_viewmats(np.stack([their_pose(i) for i in range(N)]))
    cameras = CameraPath(SIDE, SIDE, 25, np.repeat(matrix[None], N, axis=0), views)
    write_cameras(target / "cameras.json", cameras)
    features = draw.normal(size=(N, 16, 40)).astype(np.float32)
    write_arrays(target / "speech.npz", features=features, extractor=np.array("logmel-40-100hz"))
    landmarks = draw.uniform(0, SIDE, (N, 478, 2)).astype(np.float32)
    write_arrays(target / "track.npz", landmarks=landmarks)
    units = draw.uniform(0, 5, (N, 17)).round(3)
    rows = [[i, int(i != 4), *units[i]] for i in range(N)]
    lines = [",".join(map(str, row)) for row in [["frame", "valid", *ACTION_UNITS], *rows]]
    (target / "action_units.csv").write_text("\n".join(lines) + "\n")


def test_export_then_import_gives_the_same(tmp_path: Path) -> None:
    ours, back = tmp_path / "us", tmp_path / "back"
    our_subject(ours)
    out = tmp_path / "folder"
    assert main(["export-subject", "us", str(out), "--results", str(tmp_path)]) == 0
    names = {p.name for p in out.iterdir()}
    assert {n for n in names if "." not in n} == {
        *("ori_imgs", "gt_imgs", "parsing", "teeth_mask", "torso_imgs")
    }
    assert {n for n in names if "." in n} == {
        *("bc.jpg", "aud.wav", "au.csv", "aud_logmel.npy", "folder.mkv"),
        *("transforms_train.json", "transforms_val.json"),
    }
    assert len((out / "ori_imgs/3.lms").read_text().splitlines()) == 68
    assert " AU45_r" in (out / "au.csv").read_text().splitlines()[0].split(",")
    assert main(["import-subject", str(out), "back", "--results", str(tmp_path)]) == 0
    assert np.array_equal(read_video(back / "video.mkv"), read_video(ours / "video.mkv"))
    labels = shared_classes(read_video(ours / "regions.mkv"))
    assert np.array_equal(read_video(back / "regions.mkv"), labels)
    assert len(np.unique(labels)) == 7
    first, second = (read_cameras(p / "cameras.json") for p in (ours, back))
    assert np.abs(first.viewmats - second.viewmats).max() < 1e-6
    assert np.abs(first.Ks - second.Ks).max() < 1e-6
    layers = [read_video(p / "torso.mkv").astype(int) for p in (ours, back)]
    assert np.abs(layers[0] - layers[1]).max() <= 2  # bc.jpg is a JPEG
    tables = [read_table(p / "action_units.csv") for p in (ours, back)]
    good = tables[0]["valid"] == 1
    assert tables[1]["valid"].tolist() == tables[0]["valid"].tolist()
    assert np.allclose(tables[0][good], tables[1][good], atol=1e-5)
    speech = [read_arrays(p / "speech.npz") for p in (ours, back)]
    assert np.array_equal(speech[0]["features"], speech[1]["features"])
    assert speech[0]["extractor"] == speech[1]["extractor"]
    assert read_manifest(back / "manifest.json").n_train == 10
    assert np.array_equal(read_audio(back / "audio.wav"), read_audio(ours / "audio.wav"))


def test_pictures_count_when_the_lossless_clip_shows_others(tmp_path: Path) -> None:
    our_subject(tmp_path / "us")
    export_subject(subject="us", folder=tmp_path / "folder", results=tmp_path)
    grey = np.full((SIDE, SIDE, 3), 128, np.uint8)
    for i in range(N):
        write_picture(tmp_path / f"folder/ori_imgs/{i}.jpg", grey)
    import_subject(folder=tmp_path / "folder", subject="back", results=tmp_path)
    assert np.abs(read_video(tmp_path / "back/video.mkv").astype(int) - 128).max() <= 1


def test_export_refuses_what_the_layout_cannot_hold(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"manifest\.json: missing"):
        export_subject(subject="us", folder=tmp_path / "folder", results=tmp_path)
    our_subject(tmp_path / "us")
    cameras = read_cameras(tmp_path / "us/cameras.json")
    cameras.Ks[3, 0, 0] += 1
    write_cameras(tmp_path / "us/cameras.json", cameras)
    with pytest.raises(InputError, match="one of each"):
        export_subject(subject="us", folder=tmp_path / "folder", results=tmp_path)
    assert [p.name for p in tmp_path.iterdir()] == ["us"]
    (tmp_path / "full").mkdir()
    (tmp_path / "full/a.txt").write_text("mine")
    with pytest.raises(InputError, match="is there already"):
        export_subject(subject="us", folder=tmp_path / "full", results=tmp_path)


def test_rims_of_a_resized_parsing_picture_take_the_nearest_class() -> None:
    colours = np.full((20, 20, 3), BLUE, np.uint8)
    colours[0, 0] = (10, 10, 240)
    labels = labels_of(colours, None, Path("0.png"))
    assert (labels == LABEL["skin"]).all()


def test_the_rules_that_a_report_names_make_these_files() -> None:
    files = "\n".join(path.read_text() for path in sorted((ROOT / "rules").glob("*.smk")))
    blocks = {block.split(":")[0]: block for block in files.split("\nrule ")[1:]}
    for name, rule in RULES.items():
        outputs = blocks[rule].split("output:")[1].split("log:")[0]
        assert name in outputs or name.split(".")[0] in outputs, (name, rule)


@pytest.mark.pipeline
def test_imported_files_are_up_to_date_for_the_pipeline(folder: Path, tmp_path: Path) -> None:
    checkout = copy_checkout(tmp_path / "checkout", fake_scripts=True)
    config = yaml.safe_load((checkout / "config.yaml").read_text())
    config["subjects"] = {"may": {"video": str(folder / "aud.wav")}}
    (checkout / "config.yaml").write_text(yaml.safe_dump(config))
    import_subject(folder=folder, subject="may", results=checkout / "results")
    home = "results/may"
    kept = [f"{home}/{n}" for n in ("regions.mkv", "torso.mkv", "speech.npz")]
    assert planned_rules(checkout, f"{home}/video.mkv", f"{home}/speech.npz") == {}
    before = (checkout / kept[0]).read_bytes()
    snakemake(checkout, "--cores", "1", f"{home}/track.npz")
    snakemake(checkout, "--cores", "1", "--touch", *kept)
    assert (checkout / kept[0]).read_bytes() == before
    rest = [f"{home}/{name}" for name in ("normals.mkv", "valence_arousal.csv")]
    planned = planned_rules(checkout, *rest, *kept)
    assert planned == {"refine_cameras": 1, "estimate_normals": 1, "read_face": 1}
    os.utime(folder / "aud.wav")
    assert "ingest" in planned_rules(checkout, f"{home}/video.mkv")
