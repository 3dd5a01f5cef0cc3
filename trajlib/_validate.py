"""Checks of arguments: each error says what was given, what is allowed and what to do."""

from __future__ import annotations

import math
import numbers
from collections.abc import Iterable

import numpy as np


def positive(name: str, value, *, zero: bool = False) -> float:
    """A finite real number, positive (or zero where allowed)."""
    allowed = "a finite number >= 0" if zero else "a positive finite number"
    if isinstance(value, bool) or not isinstance(value, numbers.Real):
        raise TypeError(f"{name} must be {allowed}, got {value!r}")
    number = float(value)
    if not math.isfinite(number) or number < 0 or (number == 0 and not zero):
        raise ValueError(f"{name} must be {allowed}, got {value!r}")
    return number


def count(name: str, value, minimum: int = 0) -> int:
    """An integer >= minimum."""
    if isinstance(value, bool | np.bool_) or not isinstance(value, numbers.Integral):
        raise TypeError(f"{name} must be an integer >= {minimum}, got {value!r}")
    if value < minimum:
        raise ValueError(f"{name} must be an integer >= {minimum}, got {value!r}")
    return int(value)


def threads(value) -> int | None:
    """A number of threads, or None for all cores."""
    return None if value is None else count("threads", value, 1)


def choice(name: str, value, allowed: Iterable[str]) -> str:
    """One of a few words."""
    allowed = tuple(allowed)
    if value not in allowed:
        raise ValueError(f"{name} must be one of {', '.join(map(repr, allowed))}, got {value!r}")
    return value


def float64(name: str, value) -> np.ndarray:
    """An array that is float64 already: nothing is converted in silence."""
    if not isinstance(value, np.ndarray):
        raise TypeError(
            f"{name} must be a numpy array of float64, got {type(value).__name__}; use np.asarray(..., dtype=float)"
        )
    if value.dtype != np.float64:
        raise TypeError(
            f"{name} must be float64, got {value.dtype}; convert with .astype(np.float64) if that is what you mean"
        )
    return value


def finite(name: str, value: np.ndarray) -> np.ndarray:
    """An array without nan or inf."""
    bad = ~np.isfinite(value)
    if bad.any():
        where = tuple(int(i) for i in np.argwhere(bad)[0])
        raise ValueError(f"{name} must be finite, got {value[where]} at index {where} ({int(bad.sum())} such entries)")
    return value


def weights(w, n_parameters: int, *, name: str = "w") -> np.ndarray:
    """Flat weight vectors (..., n_parameters), float64; nan and inf are let through (a diverged state has a loss too)."""
    w = float64(name, w)
    if w.ndim == 0 or w.shape[-1] != n_parameters:
        raise ValueError(
            f"{name} must have shape (..., {n_parameters}), one flat weight vector a network, got {w.shape}"
        )
    return w


def rate(name: str, value) -> float | np.ndarray:
    """A positive finite number, or an array of such, which is copied and made read-only."""
    if not isinstance(value, np.ndarray):
        return positive(name, value)
    array = float64(name, value).copy()
    if array.size == 0 or not (np.isfinite(array) & (array > 0)).all():
        raise ValueError(
            f"{name} must be a positive finite number (or an array of such), got an array that is empty or has others"
        )
    array.flags.writeable = False
    return array


def fits(name: str, one: str, given: tuple[int, ...], lead: tuple[int, ...]) -> None:
    """One value, or as many as there are networks: an array that broadcasts to their leading axes and adds none."""
    try:
        fit = np.broadcast_shapes(given, lead) == lead
    except ValueError:
        fit = False
    if not fit:
        raise ValueError(f"{name} must be {one} or one a network, broadcasting to shape {lead}, got shape {given}")
