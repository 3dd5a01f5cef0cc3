"""The fused CPU engine: bit-reproducible, compiled by Numba for the sizes at hand. Importing this imports no Numba."""

from __future__ import annotations

from typing import Any

from .. import FUSED_LIMIT, Engine, Plan, problem_of

__all__ = ["ENGINE"]


def _refuses(what: Any, device: str | None, dtype: str) -> str | None:
    if problem_of(what) is None:
        return (
            f"engine='cpu' trains perceptrons, and {type(what).__name__} is another map; use engine='generic' or 'auto'"
        )
    if device not in (None, "cpu"):
        return f"engine='cpu' runs on the CPU only, got device={device!r}; use engine='torch'"
    if dtype != "float64":
        return f"engine='cpu' computes in float64 only, got dtype={dtype!r}; use engine='torch'"
    return None


def _suits(what: Any, device: str | None, dtype: str) -> bool:
    problem = problem_of(what)
    return problem is not None and device is None and dtype == "float64" and problem.n_parameters <= FUSED_LIMIT


def _start(what: Any, plan: Plan):
    from .cpu import FusedRun

    kept = ("steps", "every", "snapshot", "record", "threads", "tangent", "interval", "orthonormal", "start")
    return FusedRun(problem_of(what), plan.reference, plan.copies, **{name: getattr(plan, name) for name in kept})


ENGINE = Engine(
    frozenset(
        {
            "loss",
            "norm",
            "weights",
            "distance",
            "gradient",
            "product",
            "copy_loss",
            "copy_weights",
            "snapshots",
            "growth",
            "triangle",
        }
    ),
    _refuses,
    _suits,
    _start,
)
