"""Distances between weight vectors, and how far a trajectory goes compared with how far it gets."""

from __future__ import annotations

import numpy as np

__all__ = ["displacement", "l1_distance", "path_length"]


def l1_distance(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Sum over the last axis of \\|a - b\\|: the papers' distance d between two networks.

    Parameters
    ----------
    a, b : ndarray (..., p)
        Weight vectors; leading axes broadcast.

    Returns
    -------
    ndarray (...)

    References
    ----------
    Danovski, Soriano, Lacasa, arXiv 2404.05782, equation of d(t).

    Examples
    --------
    >>> float(l1_distance(np.array([1.0, 2.0]), np.array([0.0, 4.0])))
    3.0
    """
    return np.abs(np.asarray(a) - np.asarray(b)).sum(axis=-1)


def displacement(weights: np.ndarray, *, axis: int = -2) -> np.ndarray:
    """How far each weight ends from where it began, \\|w(T) - w(0)\\|.

    Parameters
    ----------
    weights : ndarray (..., r, p)
        Recorded states, time along ``axis``; at least one.
    axis : int
        The time axis.

    Returns
    -------
    ndarray (..., p)
    """
    weights = _in_time(weights, axis)
    return np.abs(weights[-1] - weights[0])


def path_length(weights: np.ndarray, *, axis: int = -2) -> np.ndarray:
    """How far each weight travels, the sum over the steps of \\|w(t+1) - w(t)\\|.

    Parameters
    ----------
    weights : ndarray (..., r, p)
        Recorded states, time along ``axis``. States left out (``every`` > 1) make the path shorter, never longer.
    axis : int
        The time axis.

    Returns
    -------
    ndarray (..., p)
        Never below the displacement, up to rounding.
    """
    return np.abs(np.diff(_in_time(weights, axis), axis=0)).sum(axis=0)


def _in_time(weights: np.ndarray, axis: int) -> np.ndarray:
    weights = np.moveaxis(np.asarray(weights), axis, 0)
    if len(weights) == 0:
        raise ValueError(f"weights must hold at least one recorded state, got shape {weights.shape}")
    return weights
