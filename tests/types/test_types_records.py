"""Records that travel between rooms: round trips, refusals, split, label masks, offsets."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from emotalk_core.errors import ArtifactError
from emotalk_core.types.camera import CameraPath
from emotalk_core.types.gaussians import GaussianOffsets, GaussianSet
from emotalk_core.types.manifest import Manifest, train_frames
from emotalk_core.types.metrics import METRIC_COLUMNS, MetricRow
from emotalk_core.types.regions import FACE, HEAD, LABEL, MOUTH, REGION_NAMES, TORSO, region_mask

FACTS = {
    "subject": "s",
    "source_name": "s.mp4",
    "source_sha256": "0",
    "width": 64,
    "height": 64,
    "n_frames": 110,
    "n_samples": 70_400,
    "crop": [0, 64, -3, 61],
    "av_offset_frames": 0.5,
    "av_offset_confidence": 0.3,
    "n_train": 100,
}


def test_manifest_round_trip_and_split() -> None:
    facts = Manifest.from_dict(FACTS)
    assert facts.crop == (0, 64, -3, 61) and facts.n_test == 10
    assert Manifest.from_dict(facts.to_dict()) == facts


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"n_train": 0}, "n_train"),
        ({"n_train": 110}, "n_train"),
        ({"format_version": 99}, "update emotalk"),
        ({"surprise": 1}, "surprise"),
    ],
)
def test_manifest_refusals(change: dict, message: str) -> None:
    with pytest.raises(ArtifactError, match=message):
        Manifest.from_dict({**FACTS, **change})


def test_manifest_without_crop_is_named() -> None:
    facts = {k: v for k, v in FACTS.items() if k != "crop"}
    with pytest.raises(ArtifactError, match="crop"):
        Manifest.from_dict(facts)


@given(st.integers(11, 100_000))
def test_split_is_ten_to_one_by_time(n_frames: int) -> None:
    n_train = train_frames(n_frames)
    assert 0 < n_train < n_frames
    assert abs(n_train - n_frames * 10 / 11) < 1


def test_camera_path_checks_its_shapes() -> None:
    path = CameraPath(4, 3, 25, np.zeros((2, 3, 3)), np.zeros((2, 4, 4)))
    assert CameraPath.from_dict(path.to_dict()).Ks.shape == (2, 3, 3)
    with pytest.raises(ArtifactError, match=r"viewmats \[T,4,4\]"):
        CameraPath(4, 3, 25, np.zeros((2, 3, 3)), np.zeros((3, 4, 4)))


def test_regions_unions() -> None:
    labels = np.arange(len(REGION_NAMES), dtype=np.uint8).reshape(3, 4)
    assert region_mask(labels, ("lips",)).sum() == 1
    assert region_mask(labels, ("lips",))[1, 0] and LABEL["lips"] == 4
    head, torso = region_mask(labels, HEAD), region_mask(labels, TORSO)
    assert not (head & torso).any()
    assert (head == (region_mask(labels, (*FACE, *MOUTH)) | region_mask(labels, ("hair",)))).all()
    assert (head | torso).sum() == len(REGION_NAMES) - 1  # all but the background


def test_metric_columns_are_the_rows_fields() -> None:
    assert set(METRIC_COLUMNS) == set(MetricRow.__dataclass_fields__)


def gaussians() -> GaussianSet:
    n = 5
    return GaussianSet(
        means=torch.rand(n, 3),
        quats=torch.rand(n, 4),
        scales=torch.rand(n, 3),
        opacities=torch.rand(n),
        sh_coeffs=torch.rand(n, 9, 3),
    )


def test_gaussians_know_size_and_degree_and_name_their_tensors() -> None:
    one = gaussians()
    assert len(one) == 5 and one.sh_degree == 2
    assert list(one.tensors()) == ["means", "quats", "scales", "opacities", "sh_coeffs"]
    assert one.to("cpu").tensors()["means"].equal(one.means)


def test_offsets_add_to_raw_parameters_and_nothing_else() -> None:
    one = gaussians()
    moved = one.deformed(GaussianOffsets(torch.ones(5, 3), scales=torch.full((5, 3), 0.5)))
    assert moved.means.equal(one.means + 1) and moved.scales.equal(one.scales + 0.5)
    assert moved.quats is one.quats and moved.sh_coeffs is one.sh_coeffs
    zero = one.deformed(GaussianOffsets(torch.zeros(5, 3)))
    assert zero.means.equal(one.means) and zero.scales is one.scales
