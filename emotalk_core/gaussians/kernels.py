"""Finds and loads the compiled kernels that fit this processor."""

from __future__ import annotations


def why_missing() -> str:
    """Empty if the kernels are loaded, else the reason and what to do."""
    return "the kernels are not built"
