"""The CUDA engine: the fused engine's step on an NVIDIA GPU, with the same bits. Importing this imports neither Numba nor a driver."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .. import FUSED_LIMIT, Engine, Plan, Size, problem_of
from ..fused import ENGINE as FUSED

if TYPE_CHECKING:
    from .run import CudaRun

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
    """Where a GPU is asked for."""
    return device is not None and _refuses(what, device, dtype) is None and _small(what) and _missing() is None


def _gains(what: Any, dtype: str, size: Size) -> bool:
    """Where there is one, and it is expected to be faster."""
    if _refuses(what, None, dtype) is not None or not _small(what) or _missing() is not None:
        return False
    from .cost import gains
    from .driver import open_device

    problem = problem_of(what)
    return problem is not None and gains(
        problem, size.networks, size.vectors, size.steps, size.threads, open_device(None)
    )


def _small(what: Any) -> bool:
    """Matrix products are faster on larger networks."""
    problem = problem_of(what)
    return problem is not None and problem.n_parameters <= FUSED_LIMIT


def _missing() -> str | None:
    from .driver import why_not

    return why_not()


def _start(what: Any, plan: Plan) -> CudaRun:
    from .run import CudaRun

    kept = ("steps", "every", "snapshot", "record", "tangent", "interval", "orthonormal", "start", "device")
    problem = problem_of(what)
    if problem is None:
        raise TypeError(f"{type(what).__name__} is no perceptron's training")
    return CudaRun(problem, plan.reference, plan.copies, **{name: getattr(plan, name) for name in kept})


ENGINE = Engine(FUSED.records, _refuses, _suits, _start, _gains)
