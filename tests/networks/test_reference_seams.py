"""The paper's networks behind the seams: one word chooses each, absence is visible or fatal."""

from __future__ import annotations

import logging
import stat
from pathlib import Path

import numpy as np
import pytest
import torch

from emotalk_core import weights
from emotalk_core.actor.face_model import landmark_basis
from emotalk_core.errors import BackendUnavailableError, ConfigError, WeightsError
from emotalk_core.media.tables import read_table, write_arrays, write_manifest
from emotalk_core.media.video import VideoReader, VideoWriter
from emotalk_core.perception.action_units import openface_program
from emotalk_core.perception.action_units.packaged import ACTION_UNITS
from emotalk_core.perception.action_units.settings import ActionUnitSettings
from emotalk_core.perception.action_units.stage import measure_action_units
from emotalk_core.perception.emotion.emonet import EmoNet
from emotalk_core.perception.emotion.reference import EmoNetReader, open_reference
from emotalk_core.perception.normals.networks import CropNormals, face_square, open_normals
from emotalk_core.perception.normals.settings import NormalSettings
from emotalk_core.perception.regions.bisenet import BiSeNet
from emotalk_core.perception.regions.parsers import BiSeNetParser, open_parser
from emotalk_core.perception.regions.settings import RegionSettings
from emotalk_core.perception.regions.stage import segment_regions
from emotalk_core.perception.teeth.readers import open_teeth, paint_teeth
from emotalk_core.types.manifest import Manifest
from emotalk_core.types.regions import LABEL, REGION_NAMES

from .seeded import seed

SIZE = 96
FRAMES = 3


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv(weights.FOLDER_VARIABLE, str(tmp_path / "weights"))
    monkeypatch.delenv(weights.POLICY_VARIABLE, raising=False)
    (tmp_path / "weights").mkdir()
    return tmp_path


def put(name: str, network: torch.nn.Module) -> Path:
    """A seeded file in the place of a published one, pinned as the user would."""
    path = weights.path_of(weights.known_weights(name))
    torch.save(seed(network).state_dict(), path)
    weights.pin(weights.known_weights(name))
    return path


def landmarks(size: int = SIZE) -> np.ndarray:
    points = landmark_basis()[0][:, :2]
    low, high = points.min(axis=0), points.max(axis=0)
    return ((points - low) / (high - low).max() * 0.6 + 0.2).astype(np.float32) * size


def picture(size: int = SIZE) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 255, (size, size, 3)).astype(np.uint8)


@pytest.fixture
def clip(folder: Path) -> dict[str, Path]:
    """Three frames of noise with a manifest and a track."""
    facts = Manifest("a", "a.mp4", "0", SIZE, SIZE, FRAMES, 1920, (0, SIZE, 0, SIZE), 0.0, 0.0, 2)
    write_manifest(folder / "manifest.json", facts)
    with VideoWriter(folder / "video.mkv") as writer:
        for _ in range(FRAMES):
            writer.write(picture())
    names = np.array(landmark_basis()[2])
    write_arrays(
        folder / "track.npz",
        landmarks=np.tile(landmarks(), (FRAMES, 1, 1)),
        expression=np.zeros((FRAMES, 52), np.float32),
        expression_names=names,
        lip_opening=np.zeros(FRAMES, np.float32),
        eye_opening=np.full(FRAMES, 0.1, np.float32),
        valid=np.ones(FRAMES, bool),
    )
    return {n: folder / f for n, f in (("manifest", "manifest.json"), ("track", "track.npz"))} | {
        "video": folder / "video.mkv"
    }


def test_bisenet_labels_every_pixel_of_a_clip(clip: dict[str, Path], folder: Path) -> None:
    put("bisenet", BiSeNet())
    outputs = {"regions": folder / "regions.mkv", "alpha": folder / "alpha.mkv"}
    segment_regions(**clip, **outputs, settings=RegionSettings(parser="bisenet"))
    labels, alphas = (list(VideoReader(path)) for path in outputs.values())
    assert len(labels) == len(alphas) == FRAMES
    assert labels[0].shape == (SIZE, SIZE) and labels[0].max() < len(REGION_NAMES)
    assert len(np.unique(labels[0])) > 1 and alphas[0].max() > 0


def test_bisenet_classes_become_our_regions() -> None:
    """A network that is sure of one class at every pixel labels every pixel with its region."""
    from emotalk_core.perception.regions.bisenet import CLASSES

    class Sure(torch.nn.Module):
        def __init__(self, name: str) -> None:
            super().__init__()
            self.name = name

        def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, ...]:
            logits = torch.zeros(1, len(CLASSES), *x.shape[2:])
            logits[:, CLASSES.index(self.name)] = 20
            return (logits,)

    for name, region, in_head in (
        ("hair", "hair", 1),
        ("nose", "skin", 1),
        ("u_lip", "lips", 1),
        ("mouth", "inner_mouth", 1),
        ("cloth", "clothes", 0),
        ("neck_l", "neck", 0),
        ("background", "background", 0),
    ):
        labels, head = BiSeNetParser(Sure(name)).parse(picture(32))  # type: ignore[arg-type]
        assert (labels == LABEL[region]).all(), name
        assert np.allclose(head, in_head, atol=1e-4), name


def test_teeth_are_a_union_inside_mouth_and_lips() -> None:
    labels = np.array([[LABEL[n] for n in ("skin", "lips", "inner_mouth", "teeth", "teeth")]])
    seen = np.array([[True, True, True, True, False]])
    painted = paint_teeth(labels.astype(np.uint8), seen)
    wanted = ("skin", "teeth", "teeth", "teeth", "inner_mouth")
    assert painted.tolist() == [[LABEL[n] for n in wanted]]


class Facing(torch.nn.Module):
    """Normals that point half up, half to the viewer, twice too long."""

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor]:
        normal = torch.tensor([0.0, 2.0, 2.0])[None, :, None, None]
        return (normal.expand(1, 3, *x.shape[2:]),)


def test_normals_come_in_camera_axes_of_unit_length_inside_the_crop() -> None:
    found = CropNormals("facing", Facing()).normals(picture(), landmarks())
    left, top, side = face_square(landmarks(), SIZE, SIZE)
    inside = found[top : top + side, left : left + side]
    assert np.allclose(inside, [0, -np.sqrt(0.5), -np.sqrt(0.5)], atol=1e-6)
    assert (found[: top - 1] == 0).all() and 0.5 * SIZE < side <= SIZE


def test_emonet_reads_a_frame_the_same_every_time() -> None:
    reader = EmoNetReader(seed(EmoNet()))  # type: ignore[arg-type]
    first, second = (reader.read(picture(), landmarks()) for _ in range(2))
    assert -1 <= first[0] <= 1 and -1 <= first[1] <= 1 and first[:2] == second[:2]
    assert first[2].shape == (8,) and first[2].sum() == pytest.approx(1)


@pytest.mark.parametrize(
    ("open_it", "part"),
    [
        (lambda: open_parser("bisenet"), "79999_iter.pth"),
        (lambda: open_teeth("easyportrait"), "fpn-fp-512.pth"),
        (lambda: open_normals(NormalSettings(method="face_normals")), "face_normals_model.pth"),
        (lambda: open_reference("emonet"), "emonet_8.pth"),
    ],
)
def test_a_missing_file_gives_the_stand_in_or_stops(
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    open_it: object,
    part: str,
) -> None:
    assert open_it() is None  # type: ignore[operator]
    assert part in caplog.text and "instead" in caplog.text
    monkeypatch.setenv(weights.POLICY_VARIABLE, weights.ERROR)
    with pytest.raises(WeightsError, match=part):
        open_it()  # type: ignore[operator]


def test_an_unknown_word_names_its_neighbour(folder: Path) -> None:
    with pytest.raises(ConfigError, match="did you mean 'bisenet'"):
        open_parser("bisnet")
    with pytest.raises(WeightsError, match=r"normals\.onnx is empty"):
        open_normals(NormalSettings(method="onnx"))


def fake_openface(folder: Path, body: str) -> Path:
    program = folder / "FeatureExtraction"
    program.write_text(f"#!/bin/bash\n{body}\n")
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    return program


def test_openface_s_program_is_run_on_the_clip(clip: dict[str, Path], folder: Path) -> None:
    columns = ", ".join(["frame", "timestamp", "success", *(f"{u}_r" for u in ACTION_UNITS)])
    rows = "\n".join(
        ", ".join([str(i + 1), str(i / 25), "1", *["2.5"] * len(ACTION_UNITS)])
        for i in range(FRAMES)
    )
    program = fake_openface(folder, f'cat > "$4/openface.csv" <<E\n{columns}\n{rows}\nE')
    settings = ActionUnitSettings(reader="openface", openface_program=str(program))
    measure_action_units(**clip, action_units=folder / "au.csv", settings=settings)
    table = read_table(folder / "au.csv")
    assert (table["AU12"] == 2.5).all() and len(table) == FRAMES


def test_openface_s_absence_and_failure_are_named(
    clip: dict[str, Path],
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    settings = ActionUnitSettings(reader="openface", openface_program="no-such-program")
    with caplog.at_level(logging.WARNING):
        measure_action_units(**clip, action_units=folder / "au.csv", settings=settings)
    assert "no-such-program is not on the PATH" in caplog.text and "packaged" in caplog.text
    monkeypatch.setenv(weights.POLICY_VARIABLE, weights.ERROR)
    with pytest.raises(BackendUnavailableError, match="no-such-program"):
        measure_action_units(**clip, action_units=folder / "au.csv", settings=settings)
    broken = fake_openface(folder, "echo no model found >&2; exit 3")
    settings = ActionUnitSettings(reader="openface", openface_program=str(broken))
    with pytest.raises(Exception, match="no model found"):
        measure_action_units(**clip, action_units=folder / "au.csv", settings=settings)


def test_openface_in_containers_gets_its_folders() -> None:
    video, out = Path("/data/a b/video.mkv"), Path("/tmp/o")
    found = openface_program.command(video, out, "FeatureExtraction", "docker:some/openface:1")
    assert found[:3] == ["docker", "run", "--rm"] and "/data/a b:/clip:ro" in found
    assert found[-7:] == [
        *("-f", "/clip/video.mkv", "-out_dir", "/openface_out", "-of", "openface", "-aus")
    ]
    found = openface_program.command(video, out, "FeatureExtraction", "apptainer:/i/o.sif")
    assert found[:2] == ["apptainer", "exec"] and "/data/a b/video.mkv" in found
    assert found[found.index("/i/o.sif") + 1] == "FeatureExtraction"
