"""The torch engine: batched matrix products on any device. Importing this imports no torch; what is in ``run`` does."""

from __future__ import annotations

import importlib
from typing import Any

from ...models.activations import ACTIVATIONS
from .. import RECORDS, Engine, Plan, problem_of


def __getattr__(name: str):
    if name.startswith("__"):
        raise AttributeError(name)
    return getattr(importlib.import_module(f"{__name__}.run"), name)


def _refuses(what: Any, device: str | None, dtype: str) -> str | None:
    if problem_of(what) is None:
        return f"engine='torch' trains perceptrons, and {type(what).__name__} is another map; use engine='generic' or 'auto'"
    if not _knows(problem_of(what)):
        return (
            "engine='torch' takes plain gradient descent of a network with one hidden layer; use engine='cpu' or 'auto'"
        )
    return None


def _suits(what: Any, device: str | None, dtype: str) -> bool:
    problem = problem_of(what)
    return problem is not None and _knows(problem)


def _knows(problem) -> bool:
    return problem.plain and not ACTIVATIONS[problem.activation].from_input


def _start(what: Any, plan: Plan):
    from .run import TorchRun

    kept = ("steps", "every", "snapshot", "record", "device", "dtype", "tangent", "interval", "orthonormal")
    return TorchRun(problem_of(what), plan.reference, plan.copies, **{name: getattr(plan, name) for name in kept})


ENGINE = Engine(frozenset(RECORDS) - {"gradient_norm", "product"}, _refuses, _suits, _start)
