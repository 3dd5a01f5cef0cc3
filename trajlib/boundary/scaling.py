"""Where a double-logarithmic plot is straight: the one rule by which the estimators here find their scaling range."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

__all__ = ["Straight", "straight"]


class Straight(NamedTuple):
    """A range of points, ``start`` to ``stop`` - 1, and the slope of the line through them."""

    start: int
    stop: int
    slope: float


def straight(
    x: np.ndarray, y: np.ndarray, error: np.ndarray, *, tolerance: float, least: float, off: float = 0.0
) -> Straight | None:
    """The longest range of points on a line; of equally long ones, that with the smallest deviation.

    Points are on a line where every slope between neighbours is within ``tolerance``, and two of its standard errors, of the slope by
    least squares, weighted by 1 / (error\\ :sup:`2` + off\\ :sup:`2`) where there are errors.

    Parameters
    ----------
    x, y, error : ndarray (k,)
        Increasing logarithms, logarithms, and standard errors of the latter, all zero or all positive.
    tolerance : float
        Of a slope.
    least : float
        Range of x that is long enough.
    off : float
        How far a point may be off the line by nature: those that are known best do not decide alone.

    Returns
    -------
    Straight or None
        None where no range is.

    Examples
    --------
    >>> x = np.arange(8.0)
    >>> straight(x, np.maximum(0.5 * x, 2.0), np.zeros(8), tolerance=0.01, least=3.0)
    Straight(start=0, stop=5, slope=0.0)
    >>> straight(x, x**2, np.zeros(8), tolerance=0.01, least=3.0) is None
    True
    """
    weight = np.ones(len(x)) if not error.any() else 1.0 / (error**2 + off**2)
    steps = np.diff(x)
    with np.errstate(divide="ignore", invalid="ignore"):
        slopes, allowed = np.diff(y) / steps, tolerance + 2.0 * np.sqrt(error[1:] ** 2 + error[:-1] ** 2) / steps
    best: tuple[float, float, Straight] | None = None
    for start in range(len(x)):
        for stop in range(start + 3, len(x) + 1):
            length = x[stop - 1] - x[start]
            if length < least * (1.0 - 1e-12):
                continue
            some = slice(start, stop)
            w, dx = weight[some], x[some] - np.average(x[some], weights=weight[some])
            slope = float((w * dx * y[some]).sum() / (w * dx * dx).sum())
            beside = np.abs(slopes[start : stop - 1] - slope)
            if not (beside <= allowed[start : stop - 1]).all():
                continue
            rank = (round(length, 9), -float(beside.max()))
            if best is None or rank > best[:2]:
                best = (*rank, Straight(start, stop, slope))
    return None if best is None else best[2]
