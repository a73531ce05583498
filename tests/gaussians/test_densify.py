"""Densification: hand-made choices, gsplat's own operations, moments, a training that grows."""

from __future__ import annotations

import copy
import math
from dataclasses import replace

import pytest
import torch

from emotalk_core.gaussians import densify
from emotalk_core.gaussians.conventions import RasterInfo
from emotalk_core.gaussians.densify import Choice, Rules
from emotalk_core.gaussians.rasterize import rasterize, rasterize_with_info
from emotalk_core.gaussians.self_test import example_scene
from emotalk_core.geometry.rotations import quats_to_rotmats
from emotalk_core.training.optimiser import NamedAdam
from emotalk_core.types.gaussians import GaussianSet
from tests.gaussians.scenes import random_scene, to_kind


def seeded() -> torch.Generator:
    return torch.Generator().manual_seed(0)


def masks(count: int, **rows: list[int]) -> Choice:
    made = {name: torch.zeros(count, dtype=torch.bool) for name in ("clone", "split", "prune")}
    for name, indices in rows.items():
        made[name][indices] = True
    return Choice(**made)


def test_rules_choose_by_gradient_size_and_opacity() -> None:
    gaussians = to_kind(random_scene(6), "cpu", torch.float32).gaussians
    scales = torch.full((6, 3), math.log(0.001))
    scales[1] = math.log(0.02)
    opacities = torch.tensor([0.0, 0.0, -9.0, 0.0, 0.0, 0.0])
    gaussians = replace(gaussians, scales=scales, opacities=opacities)
    info = RasterInfo(
        radii=torch.tensor([[3, 2], [5, 4], [1, 1], [0, 0], [90, 3], [1, 1]], dtype=torch.int32),
        means2d=torch.zeros(6, 2),
    )
    probe = densify.new_probe(gaussians)
    probe.grad = torch.tensor([[3e-3, 4e-3], [1.0, 0], [1.0, 0], [1.0, 0], [1.0, 0], [0, 1e-5]])
    statistics = densify.observe(densify.new_statistics(6), probe, info)
    assert statistics.mean_gradient[0].item() == pytest.approx(5e-3)
    assert statistics.mean_gradient[3].item() == 0.0  # not drawn
    choice = densify.choose(gaussians, statistics, Rules(grow_gradient=1e-3, prune_radius=50.0))
    assert choice.clone.nonzero()[:, 0].tolist() == [0]
    assert choice.split.nonzero()[:, 0].tolist() == [1]
    assert choice.prune.nonzero()[:, 0].tolist() == [2, 4]
    tight = Rules(grow_gradient=1e-3, prune_radius=50.0, max_count=5)
    choice = densify.choose(gaussians, statistics, tight)  # four stay: room for the strongest
    assert not choice.clone.any() and choice.split.nonzero()[:, 0].tolist() == [1]


def test_rows_come_in_the_documented_order() -> None:
    gaussians = random_scene(5).gaussians
    grown, rows = densify.grow(gaussians, masks(5, clone=[1], split=[3], prune=[0]), seeded())
    assert rows.source.tolist() == [1, 2, 4, 1, 3, 3]
    assert rows.fresh.tolist() == [False, False, False, True, True, True]
    for name, tensor in gaussians.tensors().items():
        kept = slice(None) if name not in ("means", "scales") else slice(0, 4)
        assert torch.equal(getattr(grown, name)[kept], tensor[rows.source][kept]), name
    assert torch.allclose(grown.scales[4:], gaussians.scales[[3, 3]] - math.log(1.6))
    assert not torch.equal(grown.means[4], grown.means[5])
    with pytest.raises(ValueError, match="choice"):
        densify.grow(gaussians, masks(5, clone=[1], prune=[1]), seeded())


def test_halves_are_distributed_like_the_gaussian_they_replace() -> None:
    one = random_scene(1).gaussians
    many = GaussianSet(**{k: v.repeat(4000, *[1] * (v.ndim - 1)) for k, v in one.tensors().items()})
    everything = masks(4000, split=list(range(4000)))
    grown, _ = densify.grow(many, everything, seeded())
    offsets = grown.means - one.means
    factor = quats_to_rotmats(one.quats)[0] * one.scales[0].exp()
    wanted = factor @ factor.T
    got = offsets.T @ offsets / len(offsets)
    assert float((got - wanted).norm() / wanted.norm()) < 0.05


def test_equal_to_gsplat_operations() -> None:
    ops = pytest.importorskip("gsplat.strategy.ops")
    gaussians = to_kind(random_scene(9), "cpu", torch.float32).gaussians
    params = {k: torch.nn.Parameter(v.detach().clone()) for k, v in gaussians.tensors().items()}
    adams = {k: torch.optim.Adam([p]) for k, p in params.items()}
    for name, p in params.items():
        p.grad = torch.ones_like(p) * len(name)
        adams[name].step()
    moments = {k: copy.deepcopy(dict(adams[k].state[p])) for k, p in params.items()}
    after_step = GaussianSet(**{k: p.detach().clone() for k, p in params.items()})
    mask = torch.zeros(9, dtype=torch.bool)
    mask[[2, 5]] = True
    ops.duplicate(params, adams, {}, mask)
    ops.remove(params, adams, {}, torch.cat([~mask, torch.zeros(2, dtype=torch.bool)]))
    choice = Choice(clone=mask, split=torch.zeros_like(mask), prune=~mask)
    grown, rows = densify.grow(after_step, choice, seeded())
    for name, tensor in grown.tensors().items():
        assert torch.equal(tensor, params[name].detach()), name
        carried = densify.carry(moments[name], rows)
        theirs = adams[name].state[params[name]]
        assert torch.equal(carried["exp_avg"], theirs["exp_avg"])
        assert carried["step"] == theirs["step"]


def test_a_training_that_grows_goes_on_with_its_moments_and_fits_better() -> None:
    target_set, camera = example_scene(300, 48, seed=1)
    background = torch.zeros(3, dtype=torch.float64)
    with torch.no_grad():
        target = rasterize(target_set, camera, background, backend="torch").rgb.float()
    camera = replace(camera, K=camera.K.float(), viewmat=camera.viewmat.float())
    start = to_kind(random_scene(40, seed=8), "cpu", torch.float32).gaussians
    parameters = {k: torch.nn.Parameter(v.detach()) for k, v in start.tensors().items()}
    adam = NamedAdam(parameters, dict.fromkeys(parameters, 0.01), set())
    gaussians = GaussianSet(**parameters)
    statistics = densify.new_statistics(len(gaussians))
    losses, counts = [], []
    for step in range(1, 61):
        probe = densify.new_probe(gaussians)
        output, info = rasterize_with_info(
            gaussians, camera, background.float(), means2d_probe=probe
        )
        loss = (output.rgb - target).abs().mean()
        loss.backward()
        statistics = densify.observe(statistics, probe, info)
        adam.step(dict.fromkeys(parameters, 1.0))
        losses.append(loss.item())
        if step % 20 == 0:
            rules = Rules(grow_gradient=1e-5, max_count=100)
            choice = densify.choose(gaussians, statistics, rules)
            grown, rows = densify.grow(gaussians, choice, seeded())
            for name, tensor in grown.tensors().items():
                parameters[name] = torch.nn.Parameter(tensor.clone())
                adam.replace_rows(name, parameters[name], rows.source, rows.fresh)
            gaussians = GaussianSet(**parameters)
            statistics = densify.new_statistics(len(gaussians))
            moment = adam.tensors()["means/exp_avg"]
            assert moment.shape == gaussians.means.shape
            assert float(moment[rows.fresh].abs().sum()) == 0.0
        counts.append(len(gaussians))
    assert max(counts) == 100 and len(gaussians) > 40
    assert losses[-1] < 0.6 * losses[0]


def test_missing_backward_is_named() -> None:
    gaussians = random_scene(10).gaussians
    info = RasterInfo(radii=torch.ones(10, 2, dtype=torch.int32), means2d=torch.zeros(10, 2))
    with pytest.raises(ValueError, match=r"probe\.grad"):
        densify.observe(densify.new_statistics(10), densify.new_probe(gaussians), info)
