"""The papers' exponent: a straight line fitted to ln d(t) in a window chosen from the data.

One fit a network, all windows of all networks at once from cumulative sums. The choice of window is the estimate's weak
point, so there are four rules to compare, and every fit says why it was or was not kept.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike

from .. import _scale, _validate
from ..results import Result

__all__ = ["RULES", "ExpansionFit", "expansion_rate"]

RULES = ("best_window", "from_start", "longest_window", "threshold")
STARTS = tuple(range(0, 101, 5))
WIDTHS = tuple(range(30, 101, 5))


@dataclass(frozen=True, eq=False)
class ExpansionFit(Result, axes={"...": "rate standard_error intercept r2 start stop kept reason"}, lead=("network",)):
    """What :func:`expansion_rate` returns; arrays have the leading shape (...) of the distances.

    Attributes
    ----------
    rate : ndarray (...)
        Slope of ln d(t) per step, the finite network Lyapunov exponent Λ; nan where no window could be fitted.
    standard_error : ndarray (...)
        Of the slope, as ordinary least squares gives it. Residuals along a trajectory are correlated: a lower bound.
    intercept : ndarray (...)
        ln d that the line gives at t = 0.
    r2 : ndarray (...)
        Coefficient of determination in the window.
    start, stop : ndarray (...), int
        The window is start <= t < stop; -1 where there is none.
    kept : ndarray (...), bool
        Passes the filter: R² and rate above their minima.
    reason : ndarray (...), str
        Why not: "no window", "low R2", "low rate"; "" where kept.
    """

    rate: np.ndarray = field(repr=False)
    standard_error: np.ndarray = field(repr=False)
    intercept: np.ndarray = field(repr=False)
    r2: np.ndarray = field(repr=False)
    start: np.ndarray = field(repr=False)
    stop: np.ndarray = field(repr=False)
    kept: np.ndarray = field(repr=False)
    reason: np.ndarray = field(repr=False)


def expansion_rate(
    distance: np.ndarray,
    *,
    rule: str = "best_window",
    widths: Sequence[int] = WIDTHS,
    window: tuple[ArrayLike, ArrayLike] | None = None,
    min_r2: float = 0.9,
    min_rate: float = 0.05,
) -> ExpansionFit:
    """Fit ln d(t) = ln d(0) + Λ t in a window, d being the mean over the copies.

    Parameters
    ----------
    distance : ndarray (..., m, r)
        Distances of m copies at r consecutive steps, as in ``diverge(...).distance``.
    rule : {"best_window", "from_start", "longest_window", "threshold"}
        ``best_window``: start in 0, 5, ..., 100 and width in 30, 35, ..., 100 with the largest R² (the paper's).
        ``from_start``: the same widths, start 0. ``longest_window``: the longest window,
        of any multiple of 5 steps from 30, whose R² exceeds ``min_r2``.
        ``threshold``: from the first d above 10 d(0) to the first above a tenth of the plateau (median of the last quarter).
    widths : sequence of int
        Other widths for ``best_window`` and ``from_start``, in steps, each at least 3. Where separations saturate within tens of
        steps, the paper's widths do not fit into the growth.
    window : (start, stop), optional
        One window start <= t < stop for all, or arrays of the leading shape (...) with one for each, in place of a rule: to fit
        two distances in the same window, pass the ``start`` and ``stop`` of the other's fit. Negative: no window.
    min_r2, min_rate : float
        The filter: fits with an R² or a rate (per step) not above these are not kept.

    Returns
    -------
    ExpansionFit

    Raises
    ------
    TypeError, ValueError
        If the rule is unknown, a width or window is out of range, or the distances are not float64, negative, or shorter than
        the narrowest window.

    References
    ----------
    Danovski, Soriano, Lacasa, arXiv 2404.05782, section 4.1, and the authors' code (windows and filter).

    Examples
    --------
    >>> t = np.arange(201)
    >>> fit = expansion_rate(np.minimum(1e-8 * np.exp(0.3 * t), 1.0)[None, None])
    >>> fit.rate.round(6), fit.kept
    (array([0.3]), array([ True]))
    """
    _validate.choice("rule", rule, RULES)
    distance = _validate.float64("distance", distance)
    for name, value in (("min_r2", min_r2), ("min_rate", min_rate)):
        _validate.real(name, value)
    if not isinstance(widths, Sequence | np.ndarray) or isinstance(widths, str) or np.shape(widths) == ():
        raise TypeError(f"widths must be a sequence of integers such as (30, 40), got {_validate.shown(widths)}")
    widths = tuple(_validate.count("widths", w, 3) for w in widths)
    if not widths:
        raise ValueError("widths must hold at least one width")
    least = 3 if window is not None or rule == "threshold" else min(WIDTHS if rule == "longest_window" else widths)
    if distance.ndim < 2 or distance.shape[-2] == 0 or distance.shape[-1] < least:
        raise ValueError(f"distance must have shape (..., copies, at least {least} steps), got {distance.shape}")
    if (distance < 0).any():
        raise ValueError("distance must not be negative")
    mean = _scale.mean(distance, axis=-2)
    lead, steps = mean.shape[:-1], mean.shape[-1]
    mean = mean.reshape(-1, steps)
    starts, stops = _windows(rule, mean, steps, widths) if window is None else _given(window, lead, steps)
    fits = _Lines(mean).fit(starts, stops)
    rate, error, intercept, r2 = fits
    with np.errstate(invalid="ignore"):
        width = stops - starts
        if rule == "longest_window":
            score = np.where(r2 > min_r2, width + np.clip(r2, 0, 1) / 2, np.clip(r2, -1, 1) - 2)
        else:
            score = r2
    score = np.where(np.isfinite(r2), score, -np.inf)
    best = score.argmax(axis=1)[:, None]
    rate, error, intercept, r2, start, stop, score = (
        np.take_along_axis(np.broadcast_to(a, r2.shape), best, axis=1)[:, 0]
        for a in (rate, error, intercept, r2, starts, stops, score)
    )
    none = ~np.isfinite(score)
    reason = np.where(
        none, "no window", np.where(~(r2 > min_r2), "low R2", np.where(~(rate > min_rate), "low rate", ""))
    )
    arrays = {
        "rate": np.where(none, np.nan, rate),
        "standard_error": np.where(none, np.nan, error),
        "intercept": np.where(none, np.nan, intercept),
        "r2": np.where(none, np.nan, r2),
        "start": np.where(none, -1, start),
        "stop": np.where(none, -1, stop),
        "kept": reason == "",
        "reason": reason,
    }
    return ExpansionFit(**{name: array.reshape(lead) for name, array in arrays.items()})


def _given(window, lead: tuple[int, ...], steps: int) -> tuple[np.ndarray, np.ndarray]:
    """The caller's windows, (networks, 1) each; an empty one where there is none."""
    try:
        start, stop = (np.broadcast_to(np.asarray(_validate.unmasked("window", side)), lead) for side in window)
    except (TypeError, ValueError):
        raise ValueError(
            f"window must be (start, stop), numbers or arrays of shape {lead}, got {_validate.shown(window)}"
        ) from None
    if not all(np.issubdtype(side.dtype, np.integer) for side in (start, stop)):
        raise TypeError(f"window must hold integers, got {start.dtype} and {stop.dtype}")
    wrong = (start >= 0) & ((stop < start) | (stop > steps))
    if wrong.any():
        raise ValueError(f"window must lie in 0 <= start <= stop <= {steps}, got {start[wrong][0]} to {stop[wrong][0]}")
    none = start < 0
    start, stop = (np.where(none, 0, side).reshape(-1, 1).astype(np.int64) for side in (start, stop))
    return start, stop


def _windows(rule: str, mean: np.ndarray, steps: int, widths: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
    """Starts and stops of the windows to try, (1, windows), or (networks, 1) where each network has its own."""
    if rule == "threshold":
        plateau = np.median(mean[:, -max(1, steps // 4) :], axis=1, keepdims=True)
        start = _first(mean > 10 * mean[:, :1])
        return start[:, None], _first(mean > plateau / 10)[:, None]
    first = [0] if rule == "from_start" else range(0, steps, 5) if rule == "longest_window" else STARTS
    width = range(WIDTHS[0], steps + 1, 5) if rule == "longest_window" else widths
    pairs = [(s, s + w) for s in first for w in width if s + w <= steps]
    starts, stops = np.array(pairs, dtype=np.int64).T
    return starts[None], stops[None]


def _first(condition: np.ndarray) -> np.ndarray:
    """First index along the last axis at which a condition holds; its length where it never does."""
    return np.where(condition.any(axis=1), condition.argmax(axis=1), condition.shape[1])


class _Lines:
    """Least squares of ln d against t on any windows, from cumulative sums."""

    def __init__(self, mean: np.ndarray):
        with np.errstate(divide="ignore", invalid="ignore"):
            y = np.log(mean)
        usable = np.isfinite(y)
        y = np.where(usable, y, 0.0)
        self._shift = y.sum(axis=1, keepdims=True) / np.maximum(usable.sum(axis=1, keepdims=True), 1)
        y = np.where(usable, y - self._shift, 0.0)
        self._middle = (mean.shape[1] - 1) / 2
        t = np.arange(mean.shape[1]) - self._middle  # centred: no cancellation in the sums
        self._flat = 1e-12 * (y * y).sum(axis=1, keepdims=True)  # below this the sums hold rounding only
        self._sums = [self._cumulative(a) for a in (y, y * y, t * y, ~usable, t[None], (t * t)[None])]

    @staticmethod
    def _cumulative(a: np.ndarray) -> np.ndarray:
        return np.concatenate([np.zeros((len(a), 1)), np.cumsum(a, axis=1)], axis=1)

    def fit(self, starts: np.ndarray, stops: np.ndarray):
        """Slope, its standard error, intercept at t = 0 and R² on start <= t < stop; nan where fewer than 3 points are usable."""
        shape = np.broadcast_shapes(starts.shape, (len(self._shift), 1))
        starts, stops = np.broadcast_to(starts, shape), np.broadcast_to(stops, shape)
        limited = np.maximum(starts, stops)
        y, yy, ty, bad, t, tt = (
            np.take_along_axis(np.broadcast_to(s, (shape[0], s.shape[1])), limited, axis=1)
            - np.take_along_axis(np.broadcast_to(s, (shape[0], s.shape[1])), starts, axis=1)
            for s in self._sums
        )
        n = (limited - starts).astype(float)
        with np.errstate(divide="ignore", invalid="ignore"):
            sxx, sxy, syy = tt - t * t / n, ty - t * y / n, yy - y * y / n
            slope = sxy / sxx
            rest = np.maximum(syy - slope * sxy, 0.0)
            error = np.sqrt(rest / (n - 2) / sxx)
            r2 = np.where(syy <= self._flat, 0.0, 1 - rest / syy)  # a constant has nothing to explain
            intercept = y / n - slope * (t / n + self._middle) + self._shift
        invalid = (bad > 0) | (n < 3)
        return tuple(np.where(invalid, np.nan, a) for a in (slope, error, intercept, r2))
