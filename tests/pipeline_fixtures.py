"""Session fixture of the whole-pipeline tests: one true run of the demo at preset smoke."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.pipeline_tools import copy_checkout, snakemake

TARGETS = ("results/demo/metrics.csv", "results/demo/report.html")
SMOKE = ("--configfile", "presets/smoke.yaml")


@pytest.fixture(scope="session")
def smoke_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of a finished run of the true command on the digital actor."""
    folder = copy_checkout(tmp_path_factory.mktemp("smoke"))
    snakemake(folder, "--cores", "2", *TARGETS, *SMOKE, timeout=1200)
    return folder
