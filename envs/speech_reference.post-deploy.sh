#!/bin/bash
# Snakemake runs this once, inside the new environment and in the folder of the run (the checkout).
set -euo pipefail
bash envs/core.post-deploy.sh
python -m pip install -q --disable-pip-version-check -c requirements/constraints.txt transformers==5.23.0
