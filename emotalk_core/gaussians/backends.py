"""Which engine backends this machine can run, which one a call gets, and a self-test."""

from __future__ import annotations

import importlib.util
import logging
from functools import cache

import torch

from emotalk_core.errors import BackendUnavailableError, explain
from emotalk_core.gaussians import kernels

logger = logging.getLogger(__name__)

NAMES = ("cuda", "cpu", "torch")


@cache
def _why_no_cuda() -> str:
    """Empty if gsplat can splat on a CUDA device, else the reason."""
    if not torch.cuda.is_available():
        return "no CUDA device is visible to torch"
    if importlib.util.find_spec("gsplat") is None:
        return "gsplat is not installed; run: pip install gsplat"
    from emotalk_core.gaussians.raster_cuda import why_gsplat_fails

    return why_gsplat_fails()


def compute_device(wanted: str) -> str:
    """Where torch computes: `auto` is CUDA where this machine has one, else the processor.

    Raises:
        BackendUnavailableError: CUDA was asked for by name and is not there.
    """
    there = torch.cuda.is_available()
    if wanted == "auto":
        return "cuda" if there else "cpu"
    if wanted == "cuda" and not there:
        raise BackendUnavailableError(
            explain("device", wanted, "torch sees no CUDA device here", "use auto or cpu")
        )
    return wanted


def available() -> dict[str, str]:
    """Backend name -> "" if it can run here, else the reason and what to do."""
    return {"cuda": _why_no_cuda(), "cpu": kernels.why_missing(), "torch": ""}


@cache
def _warn_once(reason: str) -> None:
    logger.warning("the compiled CPU kernels are not used (%s); torch is about 50x slower", reason)


def resolve(backend: str, device: torch.device, dtype: torch.dtype) -> str:
    """The backend a call runs on.

    "auto" follows the tensors: gsplat for CUDA tensors, the compiled kernels for float32 CPU
    tensors, torch for everything else (float64 is what the oracle is for) and, with one logged
    warning, where the faster backend is missing.

    Raises:
        ValueError: no backend of that name.
        BackendUnavailableError: it was asked for by name and cannot take these tensors.
    """
    if backend not in (*NAMES, "auto"):
        raise ValueError(f"backend={backend}: wanted auto or one of {', '.join(NAMES)}; correct it")
    if backend == "torch":
        return backend
    wanted = "cuda" if device.type == "cuda" else "cpu"
    reason = ""
    if backend == "auto" and dtype != torch.float32:
        return "torch"
    if dtype != torch.float32:
        reason = f"it computes in float32 and the tensors are {dtype}"
    elif backend not in ("auto", wanted):
        reason = f"the tensors are on {device}"
    else:
        reason = _why_no_cuda() if wanted == "cuda" else kernels.why_missing()
    if not reason:
        return wanted
    if backend == "auto":
        _warn_once(reason)
        return "torch"
    raise BackendUnavailableError(
        f"backend={backend}: cannot be used here: {reason}; use backend='auto' or 'torch'"
    )
