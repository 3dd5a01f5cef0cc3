"""Powers of two that keep squares and sums representable. They are exact: numbers that need none keep every bit of their result."""

from __future__ import annotations

import numpy as np

ORDINARY = 400
"""Numbers between 2**-400 and 2**400 (1e-120 and 1e120) need no scaling: a million of their squares have a sum."""


def exponent(x: np.ndarray, axis: int = -1) -> np.ndarray:
    """e such that the largest of x 2**-e along an axis is between 1/2 and 1, where x is not ordinary; 0 where it is, or not finite."""
    largest = np.abs(x).max(axis=axis, initial=0.0)
    e = np.frexp(largest)[1]
    return np.where(np.isfinite(largest) & (np.abs(e) > ORDINARY), e, 0)


def norm(x: np.ndarray) -> np.ndarray:
    """Euclidean norm along the last axis, also where squares overflow or vanish; nan and inf as NumPy gives them."""
    e = exponent(x)
    with np.errstate(over="ignore", invalid="ignore"):
        plain = np.linalg.norm(x, axis=-1)
        if not e.any():
            return plain
        return np.where(e == 0, plain, np.ldexp(np.linalg.norm(np.ldexp(x, -e[..., None]), axis=-1), e))


def mean(x: np.ndarray, axis: int = -1) -> np.ndarray:
    """Mean along an axis, also where the sum overflows or the mean of the smallest numbers would vanish."""
    e = exponent(x, axis)
    with np.errstate(over="ignore", invalid="ignore"):
        plain = x.mean(axis=axis)
        if not e.any():
            return plain
        return np.where(e == 0, plain, np.ldexp(np.ldexp(x, -np.expand_dims(e, axis)).mean(axis=axis), e))
