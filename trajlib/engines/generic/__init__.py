"""The generic engine: any map, by calling it; compiled where its functions are Numba's. Importing this imports no Numba."""

from __future__ import annotations

from typing import Any

from .. import Engine, Plan, Problem

__all__ = ["ENGINE"]


def _refuses(what: Any, device: str | None, dtype: str) -> str | None:
    if isinstance(what, Problem):
        return "engine='generic' calls a map, and was given a Problem; give the map itself"
    where = getattr(what, "learner", None) if what.problem is None else None  # of a module, on its own device
    if where is not None and dtype == "float64" and device not in (None, str(where.device), where.device.type):
        return f"the module is on {str(where.device)!r}, got device={device!r}; give device= where the map is made, as in GradientDescent"
    if (where is None and device not in (None, "cpu")) or dtype != "float64":
        return (
            f"{type(what).__name__} runs on the CPU in float64 only, got device={device!r}, dtype={dtype!r}; leave them out"
            + ("" if what.problem is None else ", or use engine='torch'")
        )
    return None


def _suits(what: Any, device: str | None, dtype: str) -> bool:
    return not isinstance(what, Problem) and what.problem is None


def _start(what: Any, plan: Plan):
    if what.functions is not None:
        from .compiled import CompiledRun, Functions, compiles

        functions = Functions(*what.functions)
        if compiles(functions, plan.reference.shape[1]) is None:
            kept = ("steps", "every", "snapshot", "record", "threads", "tangent", "interval", "orthonormal", "start")
            return CompiledRun(functions, plan.reference, plan.copies, **{name: getattr(plan, name) for name in kept})
    from .called import CalledRun

    return CalledRun(what, plan)


ENGINE = Engine(
    frozenset({"norm", "weights", "copy_weights", "snapshots", "distance", "growth", "triangle"}),
    _refuses,
    _suits,
    _start,
)
