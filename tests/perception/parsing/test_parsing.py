from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest
import torch

from emotalk_core.perception.landmarks import topology as tp
from emotalk_core.perception.parsing.augment import learner_view
from emotalk_core.perception.parsing.crops import (
    crop_input,
    crop_transform,
    cut,
    put_back,
    put_back_sharply,
)
from emotalk_core.perception.parsing.network import PartNet, count_parameters
from emotalk_core.perception.parsing.packaged import DATA, WEIGHTS, PartReader
from emotalk_core.perception.parsing.tasks import GLASSES, HEAD, MOUTH, TASKS
from emotalk_core.perception.parsing.teacher import FIELDS, lessons, write_lessons
from emotalk_core.perception.parsing.train import soft_loss, train_network
from emotalk_core.types.regions import LABEL, REGION_NAMES, region_mask


def landmarks_at(size: int = 200) -> np.ndarray:
    points = np.zeros((478, 2))
    points[:468] = tp.canonical_face()[:, :2] * size * 3 + size / 2
    points[468:] = points[[159] * 5 + [386] * 5]
    return points


@pytest.mark.parametrize("task", TASKS.values(), ids=lambda task: task.name)
def test_crop_and_back_is_the_picture(task) -> None:
    rows, columns = np.mgrid[:200, :200]
    picture = np.stack([rows, columns, rows * 0], axis=-1).astype(np.float32)
    transform = crop_transform(landmarks_at(), task.crop)
    crop = cut(picture, transform, task.crop.size)
    back = put_back(crop, transform, (200, 200))
    middle = np.linalg.inv(transform[:, :2]) @ (task.crop.size / 2 - transform[:, 2])
    near = np.hypot(columns + 0.5 - middle[0], rows + 0.5 - middle[1]) < 15
    assert np.abs(back - picture)[near].max() < 0.1


def test_a_turned_head_gives_the_same_crop() -> None:
    points = landmarks_at()
    angle = 0.3
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    turned = (points - 100) @ turn.T * 1.2 + 100
    for task in TASKS.values():
        views = [
            p @ t[:, :2].T + t[:, 2]
            for p in (points, turned)
            for t in [crop_transform(p, task.crop)]
        ]
        assert np.abs(views[0] - views[1]).max() < 1e-6


def test_every_label_has_a_class_and_every_class_a_weight() -> None:
    for task in TASKS.values():
        named = [name for names in task.classes for name in names]
        assert sorted(named) == sorted(REGION_NAMES)
        assert len(task.weights) == len(task.classes)
        table = task.class_of_label()
        assert all(table[LABEL[n]] == k for k, names in enumerate(task.classes) for n in names)


def test_network_keeps_size_and_is_small() -> None:
    for task in TASKS.values():
        network = PartNet(task.inputs, len(task.classes), task.width).eval()
        size = task.crop.size
        with torch.inference_mode():
            scores = network(torch.zeros(1, task.inputs, size, size))
        assert scores.shape == (1, len(task.classes), size, size)
        assert count_parameters(network) * 2 < 2_000_000  # bytes in half precision


@pytest.fixture(scope="module")
def taught(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("lessons") / "lessons.npz"
    write_lessons(path, seed=9, identities=1, frames=2, size=128)
    return path


def test_lessons_are_the_same_twice_and_exact(taught: Path) -> None:
    stored = np.load(taught)
    assert set(stored) == set(FIELDS)
    again = next(lessons(9, 1, 2, 128))
    for name in FIELDS:
        assert np.array_equal(stored[name][0], getattr(again, name))
    mouth = region_mask(again.labels, ("lips", "inner_mouth", "teeth", "tongue"))
    rows, columns = np.nonzero(mouth)
    centre = again.landmarks[list(tp.OUTER_LIPS)].mean(axis=0)
    assert np.hypot(columns.mean() - centre[0], rows.mean() - centre[1]) < 4
    near = again.around_mouth(48)
    assert near.rgb.shape == (48, 48, 3)
    middle = near.landmarks[list(tp.OUTER_LIPS)].mean(axis=0)
    assert np.abs(middle - 24).max() <= 0.5
    x, y = np.round(centre - 24).astype(int)
    assert np.array_equal(near.labels, again.labels[y : y + 48, x : x + 48])


def test_learner_sees_labels_where_the_picture_has_them(taught: Path) -> None:
    stored = np.load(taught)
    points = stored["landmarks"][0].astype(float)
    for task in (HEAD, MOUTH):
        rng = np.random.default_rng(0)
        crop, seen, shares = learner_view(
            task,
            stored["rgb"][0],
            stored["labels"][0],
            points,
            crop_transform(points, task.crop),
            rng,
        )
        assert crop.shape == (task.crop.size,) * 2 + (3,) and crop.dtype == np.uint8
        channels = crop_input(crop, seen, task.rings)
        assert channels.shape[0] == task.inputs
        lips = channels[-2 if task is MOUTH else 4] > 0.5
        assert shares.shape == (task.crop.size,) * 2 + (len(task.classes),)
        assert np.allclose(shares.sum(axis=-1), 1, atol=1e-5)
        mouth = [k for k, names in enumerate(task.classes) if "skin" not in names and k]
        found = shares[..., mouth if task is MOUTH else 4].reshape(*lips.shape, -1).sum(-1) > 0.5
        assert (lips & found).sum() > 0.4 * (lips | found).sum()


def test_drawn_glasses_are_the_last_class(taught: Path) -> None:
    stored = np.load(taught)
    points = stored["landmarks"][0].astype(float)
    transform = crop_transform(points, GLASSES.crop)
    covered = []
    for seed in range(12):
        rng = np.random.default_rng(seed)
        view = (stored["rgb"][0], stored["labels"][0], points, transform, rng)
        crop, _, shares = learner_view(GLASSES, *view)
        assert crop.shape == (128, 128, 3) and shares.shape == (128, 128, 2)
        assert np.allclose(shares.sum(axis=-1), 1, atol=1e-5)
        covered.append(float(shares[..., 1].mean()))
    assert 2 < sum(share == 0 for share in covered) < 10  # some faces wear none
    assert max(covered) < 0.15  # frames, not lenses


def test_strips_of_less_than_a_pixel_are_taught_as_shares(taught: Path) -> None:
    stored = np.load(taught)
    points = stored["landmarks"][0].astype(float)
    labels = np.full_like(stored["labels"][0], LABEL["skin"])
    labels[::2] = LABEL["teeth"]
    views = (stored["rgb"][0], labels, points, crop_transform(points, MOUTH.crop) * 0.5)
    shares = learner_view(MOUTH, *views, np.random.default_rng(0))[2]
    teeth = list(MOUTH.classes).index(("teeth",))
    middle = shares[20:-20, 20:-20, teeth]
    assert abs(middle.mean() - 0.5) < 0.05 and ((middle > 0.05) & (middle < 0.95)).mean() > 0.3


def test_soft_loss_is_least_at_the_shares() -> None:
    generator = torch.Generator().manual_seed(0)
    shares = torch.softmax(torch.randn(2, 3, 4, 4, generator=generator), dim=1)
    balance = torch.ones(3)
    least = soft_loss(shares.log(), shares, balance)
    for _ in range(5):
        other = shares.log() + 0.3 * torch.randn(shares.shape, generator=generator)
        assert soft_loss(other, shares, balance) > least
    hard = torch.nn.functional.one_hot(shares.argmax(dim=1), 3).permute(0, 3, 1, 2).float()
    assert soft_loss(hard * 50, hard, balance) < 1e-3


def test_sharp_way_back_keeps_a_strip_of_a_pixel() -> None:
    transform = np.array([[1.5, 0.0, 0.0], [0.0, 1.5, 0.0]])
    cover = np.zeros((64, 64), np.float32)
    cover[20] = 1  # a row of the frame
    crop = cut(cover, transform, 96)
    chances = np.stack([1 - crop, crop], axis=-1).clip(0, 1)
    sharp, soft = (f(chances, transform, (64, 64)) for f in (put_back_sharply, put_back))
    assert np.allclose(sharp.sum(axis=-1), 1, atol=1e-5)
    assert np.array_equal(sharp[8:-8, 8:-8].argmax(axis=-1), cover[8:-8, 8:-8])
    assert sharp[20, 32, 1] > soft[20, 32, 1]


def test_training_is_the_same_twice(taught: Path, tmp_path: Path) -> None:
    for name in ("a", "b"):
        train_network(
            lessons=[taught],
            weights=tmp_path / name,
            task="mouth_parts",
            steps=2,
            batch=4,
            seed=3,
            threads=1,
        )
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


@pytest.mark.parametrize("name", sorted(WEIGHTS))
def test_packaged_network_finds_the_parts_of_a_new_actor(name: str, taught: Path) -> None:
    stored = np.load(taught)
    task = TASKS[name]
    path = DATA / f"{name}.safetensors"
    assert path.stat().st_size < 2_000_000
    assert hashlib.sha256(path.read_bytes()).hexdigest() == WEIGHTS[name]
    reader, seen = PartReader(task), (stored["rgb"][0], stored["landmarks"][0].astype(float))
    chances = reader.read(*seen).full((128, 128))
    assert chances.shape == (128, 128, len(task.classes))
    assert np.allclose(chances.sum(axis=-1), 1, atol=1e-4)
    last = len(task.classes) - 1
    some = reader.read(*seen, wanted=(0, last)).full((128, 128))
    assert np.allclose(some, chances[..., [0, last]], atol=1e-5)
    found = chances.argmax(axis=-1)
    truth = task.class_of_label()[stored["labels"][0]]
    low, high = stored["landmarks"][0][:468].min(axis=0), stored["landmarks"][0][:468].max(axis=0)
    face = (slice(int(low[1]), int(high[1])), slice(int(low[0]), int(high[0])))
    assert (found == truth)[face].mean() > 0.9
