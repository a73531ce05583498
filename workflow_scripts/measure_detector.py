"""Rebuild emotalk_core/perception/tracking/data/<detector>.npz from rendered people."""

from pathlib import Path

from emotalk_core.perception.tracking.measure_detector import measure_detector

measure_detector(detector=snakemake.wildcards.detector, output=Path(snakemake.output.model))
