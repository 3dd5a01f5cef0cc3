"""The costs: what training makes small, as sums over the samples of functions of the outputs."""

from __future__ import annotations

import numpy as np

__all__ = ["COSTS", "divisor", "residual", "total_cost"]

COSTS = ("cross_entropy", "half_squared_error", "mean_squared_error")


def divisor(cost: str, samples: int, outputs: int) -> float:
    """What the sum of the samples' costs is divided by."""
    return {"cross_entropy": float(samples), "half_squared_error": 1.0, "mean_squared_error": 0.5 * samples * outputs}[
        cost
    ]


def residual(cost: str, outputs: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """Derivative of one sample's cost (half the squared distance, for squared errors) by its outputs, (..., samples, outputs)."""
    if cost != "cross_entropy":
        return outputs - targets
    from scipy.special import softmax

    with np.errstate(over="ignore", invalid="ignore"):
        return softmax(outputs, axis=-1) - targets


def total_cost(cost: str, outputs: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """Sum of the samples' costs, (...), from outputs (..., samples, outputs)."""
    with np.errstate(over="ignore", invalid="ignore"):
        if cost != "cross_entropy":
            return 0.5 * ((outputs - targets) ** 2).sum(axis=(-1, -2))
        from scipy.special import logsumexp

        return (logsumexp(outputs, axis=-1) - (outputs * targets).sum(axis=-1)).sum(axis=-1)
