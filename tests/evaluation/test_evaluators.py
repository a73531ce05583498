"""Who measured: labels carry the sha256 of the weights, and pictures are read once."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest

from emotalk_core.evaluation.evaluators import (
    PACKAGED,
    Evaluator,
    digest_of,
    known_evaluators,
    short_label,
)
from emotalk_core.evaluation.metrics.registry import all_metrics
from emotalk_core.evaluation.readers import pixel_readers
from emotalk_core.perception.identity.packaged import weights_path

from .conftest import SIDE, PixelLandmarks, readers


def test_a_label_is_the_id_and_the_sha256_of_the_weight_file(tmp_path: Path) -> None:
    first, second = tmp_path / "a.bin", tmp_path / "b.bin"
    first.write_bytes(b"weights"), second.write_bytes(b"more")
    digest = hashlib.sha256(b"weights").hexdigest()
    assert Evaluator("net-1", "SyncNet", lambda: [first]).label == f"net-1@{digest}"
    assert Evaluator("formula-1").label == "formula-1"
    assert short_label(f"net-1@{digest}") == f"net-1@{digest[:12]}"
    both = digest + hashlib.sha256(b"more").hexdigest()
    assert digest_of((first, second)) == hashlib.sha256(both.encode()).hexdigest()


def test_every_packaged_network_says_its_weights_and_what_it_stands_for() -> None:
    for kind, evaluator in PACKAGED.items():
        if kind == "identity" and not _has_identity():
            continue
        formula = kind in ("image", "perceptual")
        assert ("@" in evaluator.label) != formula, kind
        assert evaluator.reference == (kind == "image")
        named = [(short_label(evaluator.label), evaluator.standing_for)]
        assert known_evaluators([evaluator.label]) == named
    reference = {"lpips", "syncnet"}
    assert {m.evaluator for m in all_metrics()} == set(PACKAGED) | {"sync"} | reference


def _has_identity() -> bool:
    try:
        weights_path()
    except Exception:
        return False
    return True


def test_a_picture_is_read_once(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []
    detect = PixelLandmarks.detect
    monkeypatch.setattr(
        PixelLandmarks, "detect", lambda self, frame: calls.append(1) or detect(self, frame)
    )
    people = readers()
    frame = np.full((SIDE, SIDE, 3), 4, np.uint8)
    assert people.read(frame) is people.read(frame.copy())
    assert people.read(frame, with_identity=True).identity is not None
    assert len(calls) == 2  # once without and once with the identity
    assert pixel_readers(people).read(frame) is None
    assert set(pixel_readers(people).evaluators) == {"image", "perceptual"}
