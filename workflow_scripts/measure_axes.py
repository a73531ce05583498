"""Rebuild emotalk_core/perception/tracking/data/axes.safetensors from rendered people."""

from pathlib import Path

from emotalk_core.perception.tracking.measure_axes import measure_axes

measure_axes(output=Path(snakemake.output.weights))
