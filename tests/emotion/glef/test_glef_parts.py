"""Lip heatmaps, crop, losses and gradients of g_LEF: hand-worked cases and invariants."""

from __future__ import annotations

from importlib import resources
from pathlib import Path

import numpy as np
import pytest
import torch

from emotalk_core.emotion.glef.align import crop_face, crop_transform, move_points, paste_face
from emotalk_core.emotion.glef.critics import Critics
from emotalk_core.emotion.glef.inversion import invert_by_optimisation
from emotalk_core.emotion.glef.lips import (
    LIPS,
    LipMapping,
    draw_heatmaps,
    heatmap_points,
    lip_rectangle,
)
from emotalk_core.emotion.glef.losses import PAPER_WEIGHTS, FrameTruth, glef_losses
from emotalk_core.emotion.glef.model import (
    TINY,
    GlefFace,
    GlefShape,
    LipAlignedGenerator,
    build_emotion,
    build_generator,
)
from emotalk_core.emotion.glef.networks import TINY_KIND
from emotalk_core.emotion.glef.settings import GlefSettings
from emotalk_core.media.checkpoints import load_checkpoint
from emotalk_core.perception.landmarks.topology import LEFT_EYE, LIP_CORNERS, RIGHT_EYE
from tests.emotion.conftest import DrawnFace


def test_heatmap_points_give_back_what_was_drawn() -> None:
    points = torch.tensor([[[10.3, 20.8], [5.5, 5.5]]])
    heatmaps = draw_heatmaps(points, 32).requires_grad_()
    found = heatmap_points(heatmaps)
    assert torch.allclose(found, points, atol=0.02)
    found[0, 0, 0].backward()
    assert heatmaps.grad is not None and heatmaps.grad[0, 0].any()
    assert not heatmaps.grad[0, 1].any()


def test_a_second_peak_far_away_does_not_pull() -> None:
    one = draw_heatmaps(torch.tensor([[[8.0, 8.0]]]), 32)
    two = one + 0.5 * draw_heatmaps(torch.tensor([[[25.0, 25.0]]]), 32)
    assert torch.allclose(heatmap_points(two), heatmap_points(one), atol=1e-4)


def test_lip_rectangle_by_hand() -> None:
    points = torch.tensor([[[2.0, 3.0], [6.0, 5.0]]])
    mask = lip_rectangle(points, size=16, cells=8, margin=0.25)[0, 0]
    # x 2..6 -> 4..12 px, y 3..5 -> 6..10 px, grown by a quarter of the width (2 px) on each side
    expected = torch.zeros(16, 16)
    expected[4:12, 2:14] = 1
    assert torch.equal(mask, expected)


def test_crop_puts_eyes_and_mouth_where_ffhq_has_them(face: DrawnFace) -> None:
    matrix = crop_transform(face.landmarks, 256)
    moved = move_points(face.landmarks, matrix)
    eyes = [moved[list(ring)].mean(axis=0) for ring in (RIGHT_EYE, LEFT_EYE)]
    mouth = moved[list(LIP_CORNERS)].mean(axis=0)
    assert eyes[0][1] == pytest.approx(eyes[1][1], abs=1.0)  # level
    middle = (eyes[0] + eyes[1]) / 2
    assert middle[1] + 0.1 * (mouth[1] - middle[1]) == pytest.approx(128, abs=1e-6)
    half = max(2 * np.linalg.norm(eyes[1] - eyes[0]), 1.8 * np.linalg.norm(mouth - middle))
    assert half == pytest.approx(128, rel=1e-6)


def test_a_crop_pasted_back_changes_nothing_outside_and_little_inside(face: DrawnFace) -> None:
    matrix = crop_transform(face.landmarks, 192, share=0.5)
    crop = crop_face(face.image, matrix, 192)
    back = paste_face(face.image, crop, matrix)
    corners = move_points(np.array([[0.5, 0.5]]), matrix)
    assert (corners < 0).all()  # the frame's corner lies outside the crop
    assert np.array_equal(back[0], face.image[0])
    assert np.abs(back.astype(int) - face.image.astype(int)).mean() < 1.0


class Fixed:
    """Critics whose answers are simple functions of the picture."""

    id, standing_for, input_size = "fixed", "", 8

    def __call__(self, images: torch.Tensor) -> torch.Tensor:
        return images.mean(dim=(2, 3))[:, :2]


class Marks(Fixed):
    def __init__(self, points: torch.Tensor) -> None:
        self.points = points

    def __call__(self, images: torch.Tensor) -> torch.Tensor:
        return draw_heatmaps(self.points, 32)


def test_the_five_losses_by_hand() -> None:
    points = torch.full((1, 68, 2), 16.0)
    truth = FrameTruth(
        images=torch.zeros(1, 3, 64, 64),
        lip_heatmaps=draw_heatmaps(points, 32)[:, LIPS],
        lip_points=points[:, LIPS],
        identity=torch.zeros(1, 2),
    )
    offset = torch.full((1, 10, 4), 0.5)
    made = GlefFace(torch.full((1, 3, 64, 64), 0.5), torch.zeros(1, 10, 4), offset)
    moved = points + torch.tensor([3.0, 0.0])
    critics = Critics(Marks(moved), Fixed(), Fixed())
    found = glef_losses(made, truth, torch.tensor([[0.5, -0.5]]), critics, 0.25)
    assert list(found) == list(PAPER_WEIGHTS)
    assert found["lip_landmark"].item() == pytest.approx(9.0, rel=0.01)
    assert found["offset"].item() == pytest.approx(4 * 0.25)
    assert found["emotion"].item() == pytest.approx(1.0)
    assert found["identity"].item() == pytest.approx(0.5)


def test_lip_pixels_count_inside_the_rectangle_only() -> None:
    points = torch.zeros(1, 68, 2)
    points[:, LIPS, 0] = torch.linspace(10, 20, 20)
    points[:, LIPS, 1] = torch.linspace(20, 24, 20)
    images = torch.rand(1, 3, 64, 64)
    truth = FrameTruth(images, torch.zeros(1, 20, 32, 32), points[:, LIPS], torch.zeros(1, 2))
    changed = images.clone()
    changed[:, :, :20] = 0  # the forehead
    face = GlefFace(changed, torch.zeros(1, 1, 1), torch.zeros(1, 1, 1))
    critics = Critics(Marks(points), Fixed(), Fixed())
    assert glef_losses(face, truth, torch.zeros(1, 2), critics, 0.25)["lip_pixel"].item() == 0


def test_weights_are_those_of_the_paper() -> None:
    assert list(GlefSettings().weights().values()) == [1.0, 5.0, 0.03, 0.2, 1.5]
    settings = GlefSettings()
    assert (settings.epochs, settings.learning_rate) == (10, 1e-4)


@pytest.mark.parametrize("lip_branch", [True, False])
def test_what_is_trained(lip_branch: bool) -> None:
    torch.manual_seed(0)
    model = LipAlignedGenerator(build_generator(TINY), build_emotion(TINY), TINY, lip_branch)
    parts = {name.split(".")[0] for name in model.trained_parameters()}
    lips = {"lip_encoder", "lip_mapping"}
    assert parts == ({"generator"} | lips if lip_branch else {"generator"})
    latents, heatmaps = torch.randn(2, 10, 32), torch.rand(2, 20, 32, 32)
    face = model(latents, torch.tensor([[0.5, 0.0], [0.0, 0.5]]), heatmaps)
    face.images.sum().backward()
    silent = [n for n, p in model.trained_parameters().items() if p.grad is None]
    assert not silent
    assert not any(p.requires_grad for p in model.emotion.parameters())
    assert bool(face.lip_offset.any()) == lip_branch
    expected = latents + model.emotion(latents, torch.tensor([[0.5, 0.0], [0.0, 0.5]]))
    assert torch.equal(face.emotional, expected)


def test_the_lip_offset_begins_small_and_learns() -> None:
    torch.manual_seed(0)
    mapping = LipMapping(TINY.size, TINY.lip_dim, TINY.style_dim, TINY.hidden)
    latents, lips = torch.randn(2, 10, TINY.style_dim), torch.randn(2, TINY.lip_dim)
    offset = mapping(latents, lips)
    assert 0 < float(offset.detach().square().mean()) < 1e-3 * float(latents.square().mean())
    (offset - 1).square().sum().backward()
    assert all(p.grad is not None for p in mapping.parameters())
    assert any(p.grad.any() for p in mapping.parameters() if p.grad is not None)


def test_the_packaged_networks_carry_their_model_card() -> None:
    file = resources.files("emotalk_core.emotion.glef") / "data/tiny.safetensors"
    _, card = load_checkpoint(Path(str(file)), TINY_KIND)
    assert {"data", "use", "licence", "budget", "losses"} <= set(card)
    assert set(card["losses"]) == {"landmarks", "emotion", "identity", "pairs"}


def test_published_shape_has_the_papers_widths() -> None:
    shape = GlefShape()
    with torch.device("meta"):
        model = LipAlignedGenerator(build_generator(shape), build_emotion(shape), shape)
    assert len(model.lip_mapping.latent_net) == 18
    assert model.lip_mapping.latent_net[0][0].weight.shape == (2048, 64 + 512)
    assert not [n for n in model.trained_parameters() if n.startswith("generator.style.")]


def test_descent_finds_a_latent_that_looks_alike() -> None:
    torch.manual_seed(0)
    generator = build_generator(TINY)
    with torch.no_grad():
        wanted = (generator(torch.randn(1, 10, 32)) + 1) / 2
        start = torch.zeros(1, 10, 32)
        before = ((generator(start) + 1) / 2 - wanted).abs().mean()
    found = invert_by_optimisation(generator, wanted, start, steps=30)
    with torch.no_grad():
        after = ((generator(found) + 1) / 2 - wanted).abs().mean()
    assert after < 0.6 * before
    assert all(p.requires_grad for p in generator.parameters())
