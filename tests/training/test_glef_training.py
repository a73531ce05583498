"""g_LEF at 64 px: losses fall, lips follow M_lip, emotion moves, runs resume; the stage; the bank.

The short run of the suite; `python -m benchmarks.glef --out FOLDER` is the long one with pictures.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from benchmarks.glef import generate, lip_errors, split, subject_faces, train
from emotalk_core.emotion.glef.actor_faces import ActorFaces
from emotalk_core.emotion.glef.align import crop_face, crop_transform
from emotalk_core.emotion.glef.checkpoint import load_glef
from emotalk_core.emotion.glef.generator import GlefGenerator
from emotalk_core.emotion.glef.inversion import invert_by_optimisation
from emotalk_core.emotion.glef.model import LipAlignedGenerator
from emotalk_core.emotion.glef.networks import load_networks, load_tiny_networks
from emotalk_core.emotion.glef.settings import GlefSettings
from emotalk_core.emotion.registry import create_generator
from emotalk_core.errors import ConfigError, NumericalError, WeightsError
from emotalk_core.media.checkpoints import load_checkpoint, save_checkpoint
from emotalk_core.media.tables import read_table, write_arrays, write_manifest
from emotalk_core.media.video import write_video
from emotalk_core.training.glef_loop import LOSSES, GlefLoop, read_faces
from emotalk_core.training.glef_stage import train_glef
from emotalk_core.types.manifest import Manifest
from tests.emotion.conftest import draw_face

FRAMES = 16
SHORT = GlefSettings(epochs=20, batch=4, learning_rate=1e-3)


@pytest.fixture(scope="module")
def faces() -> ActorFaces:
    return subject_faces(FRAMES)


@pytest.fixture(scope="module")
def trained(faces):
    torch.set_num_threads(1)
    return train(None, faces, SHORT)


def loop_of(faces: ActorFaces, settings: GlefSettings, state: Path | None = None) -> GlefLoop:
    torch.manual_seed(3)
    networks = load_tiny_networks().to("cpu")
    data = read_faces(networks, faces.images[:4], settings, "cpu")
    model = LipAlignedGenerator(networks.generator, networks.emotion, networks.shape)
    return GlefLoop(model, data, networks.critics, settings, 0, "cpu", state, "same")


def test_the_weighted_sum_and_the_losses_of_the_face_fall(trained) -> None:
    curves = trained[0].curves
    assert set(curves) == set(LOSSES)
    ends = {n: (c[:12].mean(), c[-12:].mean()) for n, c in curves.items()}
    weights = SHORT.weights()
    first, last = (sum(weights[n] * ends[n][i] for n in LOSSES) for i in (0, 1))
    assert last < 0.8 * first
    for name in ("lip_landmark", "lip_pixel", "emotion", "identity"):
        assert ends[name][1] < ends[name][0], name


def test_lips_are_nearer_with_the_lip_offset_than_without(trained, faces) -> None:
    (made_by, networks), rows = trained, split(faces)[1]
    images = faces.tensor()[rows]
    points = [(0.6, 0.3), (-0.6, 0.3), (-0.5, -0.4), (0.3, 0.6)]
    errors = []
    for branch in (True, False):
        made_by.model.lip_branch = branch
        made = generate(made_by.model, networks, images, points)
        errors.append(lip_errors(made, faces, rows, networks)["lip_error_tiny"])
    made_by.model.lip_branch = True
    assert errors[0] < errors[1]


def test_emotion_moves_the_right_way(trained, faces) -> None:
    (made_by, networks), rows = trained, split(faces)[1]
    points = [(0.7, 0.2), (-0.7, 0.2), (0.0, 0.7), (0.0, -0.7)]
    made = generate(made_by.model, networks, faces.tensor()[rows], points)
    with torch.no_grad():
        read = torch.stack([networks.critics.emotion(batch).mean(0) for batch in made])
    assert read[0, 0] > read[1, 0] + 0.2  # valence of happy against disgust
    assert read[2, 1] > read[3, 1]  # arousal of surprise against gloom: weak, but right


def test_an_interrupted_run_ends_in_the_same_bytes(faces, tmp_path) -> None:
    settings = GlefSettings(epochs=3, batch=2)
    whole = loop_of(faces, settings)
    curves = whole.walk()
    state = tmp_path / "state.safetensors"
    loop_of(faces, settings, state).walk(stop=3)
    assert state.exists()
    second = loop_of(faces, settings, state)
    resumed = second.walk()
    assert not state.exists()
    for name in LOSSES:
        assert np.array_equal(curves[name], resumed[name]), name
    for name, value in whole._model.state_dict().items():
        assert torch.equal(value, second._model.state_dict()[name]), name


def test_frozen_parts_stay_and_broken_numbers_stop(faces) -> None:
    loop = loop_of(faces, GlefSettings(epochs=1, batch=4))
    before = {k: v.clone() for k, v in loop._model.emotion.state_dict().items()}
    loop.walk()
    assert all(torch.equal(v, before[k]) for k, v in loop._model.emotion.state_dict().items())
    broken = loop_of(faces, GlefSettings(epochs=1, batch=4))
    next(iter(broken._trained.values())).data.fill_(torch.nan)
    with pytest.raises(NumericalError, match="not finite"):
        broken.walk()


@pytest.fixture(scope="module")
def subject(tmp_path_factory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("subject")
    drawn = [draw_face(yaw=y) for y in np.linspace(-0.1, 0.1, 6)]
    size = drawn[0].image.shape[0]
    paths = {n: folder / n for n in ("manifest.json", "video.mkv", "track.npz")}
    write_video(paths["video.mkv"], [face.image for face in drawn])
    write_manifest(
        paths["manifest.json"],
        Manifest("drawn", "d.mp4", "0" * 64, size, size, 6, 3840, (0, 1, 0, 1), 0, 0, 5),
    )
    landmarks = np.stack([face.landmarks for face in drawn]).astype(np.float32)
    write_arrays(paths["track.npz"], landmarks=landmarks, valid=np.array([1, 1, 0, 1, 1, 1], bool))
    stage = {
        "output": folder / "glef/generator.safetensors",
        "curves": folder / "glef/curves.csv",
        "state": folder / "glef/state.safetensors",
    }
    train_glef(
        manifest=paths["manifest.json"],
        video=paths["video.mkv"],
        track=paths["track.npz"],
        **stage,
        settings=GlefSettings(epochs=1, batch=2, n_frames=3),
        seed=0,
        threads=1,
        device="cpu",
    )
    return stage


def test_the_stage_writes_a_checkpoint_that_loads(subject) -> None:
    table = read_table(subject["curves"], ("step", *LOSSES))
    assert len(table) == 2 and np.isfinite(table.to_numpy()).all()
    model, networks, settings = load_glef(subject["output"])
    assert networks.shape.size == 64 and not any(p.requires_grad for p in model.parameters())
    assert settings == GlefSettings(epochs=1, batch=2, n_frames=3)


def test_the_generator_behind_the_seam(subject) -> None:
    face = draw_face()
    generator = create_generator("glef", subject["output"])
    assert isinstance(generator, GlefGenerator) and generator.standing_for
    made = generator.generate(face.image, face.landmarks, 0.5, 0.5, face.person)
    assert made.image.shape == face.image.shape and made.image.dtype == np.uint8
    assert made.flow.shape == (*face.image.shape[:2], 2)
    assert np.array_equal(made.image[0], face.image[0])  # outside the crop nothing changes
    again = generator.generate(face.image, face.landmarks, 0.5, 0.5, face.person)
    assert np.array_equal(made.image, again.image)


def test_a_frame_is_inverted_as_the_training_frames_were(subject, tmp_path) -> None:
    """Latents by descent belong to the generator before training, in the bank too."""
    face = draw_face()
    tensors, facts = load_checkpoint(subject["output"], "glef")
    facts["settings"] |= {"inversion": "optimise", "inversion_steps": 5}
    save_checkpoint(tmp_path / "by_descent.safetensors", tensors, "glef", facts)
    encoder, descent = (
        create_generator("glef", path)
        for path in (subject["output"], tmp_path / "by_descent.safetensors")
    )
    size = encoder._networks.shape.size
    matrix = crop_transform(face.landmarks, size, encoder._networks.shape.crop_share)
    plain, found = (g._invert(face.image, matrix)[0] for g in (encoder, descent))
    picture = (
        torch.from_numpy(crop_face(face.image, matrix, size)).permute(2, 0, 1)[None].float() / 255
    )
    before = load_networks("tiny").generator
    assert torch.equal(found, invert_by_optimisation(before, picture, plain, 5))
    assert not torch.equal(found, plain)


def test_what_is_missing_is_said(tmp_path, monkeypatch) -> None:
    with pytest.raises(ConfigError, match="train_glef"):
        create_generator("glef")
    monkeypatch.setenv("EMOTALK_WEIGHTS", str(tmp_path))
    with pytest.raises(WeightsError, match=r"e4e_ffhq_encode\.pt"):
        load_networks("published")
    with pytest.raises(ConfigError, match=r"glef\.networks=other"):
        load_networks("other")
