"""PLY and checkpoint files: round trips, gsplat's bytes, foreign property orders, broken files."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from emotalk_core.errors import ArtifactError
from emotalk_core.gaussians.checkpoint import load_gaussians, save_gaussians
from emotalk_core.gaussians.ply import decode_ply, encode_ply, load_ply, save_ply
from emotalk_core.media.checkpoints import save_checkpoint
from emotalk_core.types.gaussians import GaussianSet
from tests.gaussians.scenes import random_scene, to_kind


def a_set(degree: int = 3, residuals: bool = True) -> GaussianSet:
    found = to_kind(random_scene(17), "cpu", torch.float32).gaussians
    found = GaussianSet(**{k: v.detach() for k, v in found.tensors().items()})
    if not residuals:
        found = replace(found, normal_residuals=None)
    return replace(found, sh_coeffs=found.sh_coeffs[:, : (degree + 1) ** 2].contiguous())


def same(a: GaussianSet, b: GaussianSet) -> bool:
    one, two = a.tensors(), b.tensors()
    return one.keys() == two.keys() and all(torch.equal(one[k], two[k]) for k in one)


@pytest.mark.parametrize("degree", [0, 1, 2, 3])
@pytest.mark.parametrize("residuals", [True, False])
def test_ply_round_trip(degree: int, residuals: bool, tmp_path: Path) -> None:
    gaussians = a_set(degree, residuals)
    save_ply(tmp_path / "a.ply", gaussians)
    assert same(load_ply(tmp_path / "a.ply"), gaussians)


def test_bytes_equal_the_export_of_gsplat() -> None:
    gsplat = pytest.importorskip("gsplat", reason="gsplat is not installed")
    g = a_set(3, residuals=False)
    theirs = gsplat.export_splats(
        g.means, g.scales, g.quats, g.opacities, g.sh_coeffs[:, :1], g.sh_coeffs[:, 1:], "ply"
    )
    assert encode_ply(g) == theirs


def test_the_order_of_the_reference_implementation_is_read_too() -> None:
    """3DGS writes nx, ny, nz after the position; viewers and we go by name."""
    gaussians = a_set(1, residuals=False)
    data = encode_ply(gaussians)
    head, body = data.split(b"end_header\n", 1)
    head = head.replace(b"property float z\n", b"property float z\nproperty float nx\n")
    table = torch.frombuffer(bytearray(body), dtype=torch.float32).reshape(17, -1)
    wide = torch.cat([table[:, :3], torch.full((17, 1), 9.0), table[:, 3:]], dim=1)
    assert same(decode_ply(head + b"end_header\n" + wide.numpy().tobytes()), gaussians)


def test_broken_ply_files_are_named(tmp_path: Path) -> None:
    data = encode_ply(a_set())
    cases = {
        "text.ply": b"hello",
        "cut.ply": data[:-4],
        "ascii.ply": data.replace(b"binary_little_endian", b"ascii"),
        "names.ply": data.replace(b"opacity", b"opaque"),
        "types.ply": data.replace(b"property float opacity", b"property uchar opacity"),
    }
    for name, content in cases.items():
        (tmp_path / name).write_bytes(content)
        with pytest.raises(ArtifactError, match=name):
            load_ply(tmp_path / name)
    with pytest.raises(ArtifactError, match="absent"):
        load_ply(tmp_path / "absent.ply")


def test_checkpoint_round_trip_and_foreign_tensors(tmp_path: Path) -> None:
    gaussians = a_set()
    save_gaussians(tmp_path / "g.safetensors", gaussians, {"step": 7})
    loaded, header = load_gaussians(tmp_path / "g.safetensors")
    assert same(loaded, gaussians) and header == {"step": 7}
    tensors = {**gaussians.tensors(), "colour": torch.zeros(1)}
    del tensors["means"]
    save_checkpoint(tmp_path / "x.safetensors", tensors, "gaussians", {})
    with pytest.raises(ArtifactError, match=r"means.*colour"):
        load_gaussians(tmp_path / "x.safetensors")
