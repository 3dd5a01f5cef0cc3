"""Distances between weight vectors, and how far a trajectory goes compared with how far it gets."""

from __future__ import annotations

import numbers

import numpy as np

from .. import _validate

__all__ = ["displacement", "l1_distance", "path_length"]


def l1_distance(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Sum over the last axis of \\|a - b\\|: the papers' distance d between two networks.

    Parameters
    ----------
    a, b : ndarray (..., p), float64
        Weight vectors; leading axes broadcast. nan and inf are let through.

    Returns
    -------
    ndarray (...)

    Raises
    ------
    TypeError, ValueError
        If an array is not float64, or they do not fit together.

    References
    ----------
    Danovski, Soriano, Lacasa, arXiv 2404.05782, equation of d(t).

    Examples
    --------
    >>> float(l1_distance(np.array([1.0, 2.0]), np.array([0.0, 4.0])))
    3.0
    """
    a, b = _validate.float64("a", a), _validate.float64("b", b)
    try:
        np.broadcast_shapes(a.shape, b.shape)
    except ValueError:
        fit = False
    else:
        fit = a.ndim > 0 and b.ndim > 0 and a.shape[-1] == b.shape[-1]
    if not fit:
        raise ValueError(
            f"a and b must have shapes (..., p) that broadcast, with the same p, got {a.shape} and {b.shape}"
        )
    with np.errstate(over="ignore", invalid="ignore"):
        return np.abs(a - b).sum(axis=-1)


def displacement(weights: np.ndarray, *, axis: int = -2) -> np.ndarray:
    """How far each weight ends from where it began, \\|w(T) - w(0)\\|.

    Parameters
    ----------
    weights : ndarray (..., r, p), float64
        Recorded states, time along ``axis``; at least one. nan and inf are let through.
    axis : int
        The time axis.

    Returns
    -------
    ndarray (..., p)

    Raises
    ------
    TypeError, ValueError
        If the weights are not float64, have no such axis, or no record.
    """
    weights = _in_time(weights, axis)
    with np.errstate(over="ignore", invalid="ignore"):
        return np.abs(weights[-1] - weights[0])


def path_length(weights: np.ndarray, *, axis: int = -2) -> np.ndarray:
    """How far each weight travels, the sum over the steps of \\|w(t+1) - w(t)\\|.

    Parameters
    ----------
    weights : ndarray (..., r, p), float64
        Recorded states, time along ``axis``; at least one. States left out (``every`` > 1) make the path shorter, never longer.
    axis : int
        The time axis.

    Returns
    -------
    ndarray (..., p)
        Never below the displacement, up to rounding.

    Raises
    ------
    TypeError, ValueError
        As in :func:`displacement`.
    """
    with np.errstate(over="ignore", invalid="ignore"):
        return np.abs(np.diff(_in_time(weights, axis), axis=0)).sum(axis=0)


def _in_time(weights: np.ndarray, axis: int) -> np.ndarray:
    weights = _validate.float64("weights", weights)
    if isinstance(axis, bool) or not isinstance(axis, numbers.Integral):
        raise TypeError(f"axis must be an integer, got {_validate.shown(axis)}")
    if not -weights.ndim <= axis < weights.ndim:
        raise ValueError(f"weights must have a time axis {axis}, say (..., records, p), got shape {weights.shape}")
    weights = np.moveaxis(weights, int(axis), 0)
    if len(weights) == 0:
        raise ValueError(f"weights must hold at least one recorded state, got shape {weights.shape}")
    return weights
