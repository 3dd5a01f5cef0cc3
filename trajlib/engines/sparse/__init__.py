"""The sparse engine: wide networks on inputs that are mostly 0, such as images; the bits of the fused engine, on the CPU.

What it does not compute itself, tangent vectors above all, the torch engine does. Importing this imports no Numba.
"""

from __future__ import annotations

from typing import Any

from ...models.activations import ACTIVATIONS
from .. import FUSED_LIMIT, Engine, Plan, problem_of

__all__ = ["ENGINE"]

DENSITY = 0.35
"""Share of inputs that are not 0, at most: with more of them matrix products are faster."""
RECORDS = frozenset(
    {"loss", "norm", "weights", "distance", "snapshots", "accuracy", "test_accuracy", "test_loss"}
    | {f"copy_{name}" for name in ("loss", "weights", "accuracy", "test_accuracy", "test_loss")}
)
"""What it makes itself."""


def _refuses(what: Any, device: str | None, dtype: str) -> str | None:
    problem = problem_of(what)
    if problem is None or not problem.plain or problem.own_targets or ACTIVATIONS[problem.activation].from_input:
        return "engine='sparse' takes plain gradient descent of a network with one hidden layer; use engine='cpu' or 'auto'"
    if device not in (None, "cpu") or dtype != "float64":
        return f"engine='sparse' computes in float64 on the CPU, got device={device!r}, dtype={dtype!r}; use engine='torch'"
    return None


def _suits(what: Any, device: str | None, dtype: str) -> bool:
    problem = problem_of(what)
    return (
        problem is not None
        and problem.n_parameters > FUSED_LIMIT
        and device is None
        and _refuses(what, device, dtype) is None
        and _density(problem.x) <= DENSITY
    )


def _density(x) -> float:
    """Share of the first samples' inputs that are not 0."""
    return float((x[:1000] != 0).mean()) if x.size else 1.0


def _start(what: Any, plan: Plan):
    if plan.tangent or plan.record - RECORDS:
        from ..torch import ENGINE as TORCH

        return TORCH.start(what, plan)
    from .run import SparseRun

    kept = ("steps", "every", "snapshot", "record", "threads")
    return SparseRun(problem_of(what), plan.reference, plan.copies, **{name: getattr(plan, name) for name in kept})


ENGINE = Engine(RECORDS | {"growth", "triangle"}, _refuses, _suits, _start)
