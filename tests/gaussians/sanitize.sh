#!/usr/bin/env bash
# The engine's tests on kernels built with the address and undefined-behaviour sanitizers.
# usage: tests/gaussians/sanitize.sh [pytest arguments]   (from the repository root; PYTHON=.venv/bin/python)
set -euo pipefail
python=$(realpath --no-symlinks "${PYTHON:-.venv/bin/python}")
build=build/sanitize
mkdir -p build
cmake -S . -B "$build" -DCMAKE_BUILD_TYPE=RelWithDebInfo -DEMOTALK_SANITIZE=ON \
  -DPython_EXECUTABLE="$python" >"$build.log" 2>&1 || { cat "$build.log"; exit 1; }
cmake --build "$build" -j "$(nproc)" >>"$build.log" 2>&1 || { cat "$build.log"; exit 1; }

compiler=$(sed -n 's/^CMAKE_CXX_COMPILER:[A-Z]*=//p' "$build/CMakeCache.txt")
libraries=$("$compiler" -print-file-name=libasan.so):$("$compiler" -print-file-name=libubsan.so)
libraries+=:$("$compiler" -print-file-name=libstdc++.so.6)
# Leaks are not looked for: Python frees little at its end. Errors stop the run.
export EMOTALK_KERNEL_DIR="$PWD/$build" LD_PRELOAD="$libraries" OMP_NUM_THREADS=1
export ASAN_OPTIONS=detect_leaks=0:halt_on_error=1 UBSAN_OPTIONS=print_stacktrace=1:halt_on_error=1
[ $# -gt 0 ] || set -- tests/gaussians tests/avatar/test_live.py
"$python" -m pytest -q -p no:cacheprovider --timeout=1200 "$@"
