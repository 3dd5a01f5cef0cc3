"""The CUDA engine: the fused engine's step on an NVIDIA GPU, with the same bits. Importing this imports neither Numba nor a driver."""

from __future__ import annotations

from typing import Any

from .. import Engine, Plan, problem_of

__all__ = ["ENGINE"]


def _refuses(what: Any, device: str | None, dtype: str) -> str | None:
    if problem_of(what) is None:
        return f"engine='cuda' trains perceptrons, and {type(what).__name__} is another map; use engine='generic' or 'auto'"
    if device is not None and not str(device).startswith("cuda"):
        return f"engine='cuda' runs on a GPU, got device={device!r}; use engine='cpu'"
    if dtype != "float64":
        return f"engine='cuda' computes in float64 only, got dtype={dtype!r}; use engine='torch'"
    return None


def _suits(what: Any, device: str | None, dtype: str) -> bool:
    return False


def _start(what: Any, plan: Plan):
    from .run import CudaRun

    kept = ("steps", "every", "snapshot", "record", "tangent", "interval", "orthonormal", "start", "device")
    return CudaRun(problem_of(what), plan.reference, plan.copies, **{name: getattr(plan, name) for name in kept})


ENGINE = Engine(
    frozenset(
        {"loss", "norm", "weights", "distance", "gradient", "product", "copy_loss", "copy_weights", "snapshots", "growth", "triangle"}
    ),
    _refuses,
    _suits,
    _start,
)
