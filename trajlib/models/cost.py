"""The costs: what training makes small, as sums over the samples of functions of the outputs."""

from __future__ import annotations

import numpy as np

__all__ = ["COSTS", "residual", "total_cost"]

COSTS = ("cross_entropy", "half_squared_error")


def residual(cost: str, outputs: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """Derivative of one sample's cost by its outputs, (..., samples, outputs)."""
    if cost == "half_squared_error":
        return outputs - targets
    from scipy.special import softmax

    with np.errstate(over="ignore", invalid="ignore"):
        return softmax(outputs, axis=-1) - targets


def total_cost(cost: str, outputs: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """Sum of the samples' costs, (...), from outputs (..., samples, outputs)."""
    with np.errstate(over="ignore", invalid="ignore"):
        if cost == "half_squared_error":
            return 0.5 * ((outputs - targets) ** 2).sum(axis=(-1, -2))
        from scipy.special import logsumexp

        return (logsumexp(outputs, axis=-1) - (outputs * targets).sum(axis=-1)).sum(axis=-1)
