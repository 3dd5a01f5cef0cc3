"""Periodic stretches of a series: the period of a motion, and the switching between laminar and irregular phases.

Both compare x(t + n) with x(t) within a tolerance: a laminar phase may drift, slowly enough, as far as it likes.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from .. import _validate
from ..results import Result

__all__ = ["PhaseStatistics", "Phases", "detect_period", "phases"]

PERIODS = 4
"""Shortest laminar stretch, in periods, where none is given: three returns in a row."""


def detect_period(series: np.ndarray, *, max_period: int = 16, tolerance: float) -> np.ndarray:
    """The period of each series: the smallest n >= 1 with \\|x(t + n) - x(t)\\| <= tolerance throughout, 0 where there is none.

    Period 1 is a constant. A tolerance above the spread of the values finds period 1 in anything.

    Parameters
    ----------
    series : ndarray (..., steps)
        At least 2 ``max_period`` steps, so that every period is seen twice. A series with nan or inf has no period.
    max_period : int
        Longest period to try, in steps.
    tolerance : float
        In units of the series; 0 asks for exact repetition.

    Returns
    -------
    ndarray (...), int

    Raises
    ------
    TypeError, ValueError
        If the series are not float64 or too short, or an option is out of range.

    References
    ----------
    Danovski, Soriano, Lacasa, arXiv 2404.05782, section 4.2 (period-3-like motion); the definition is ours.

    Examples
    --------
    >>> detect_period(np.tile([[1.0, 2.0, 3.0], [1.0, 1.0, 1.0]], 20), tolerance=1e-9)
    array([3, 1])
    """
    series = _validate.float64("series", series)
    max_period = _validate.count("max_period", max_period, 1)
    tolerance = _validate.positive("tolerance", tolerance, zero=True)
    if series.ndim == 0 or series.shape[-1] < 2 * max_period:
        raise ValueError(
            f"series must have shape (..., at least 2 * max_period = {2 * max_period} steps), got {series.shape}"
        )
    rows = series.reshape(-1, series.shape[-1])
    period = np.zeros(len(rows), dtype=np.int64)
    left = np.flatnonzero(np.isfinite(rows).all(axis=1))
    for n in range(1, max_period + 1):
        with np.errstate(over="ignore"):
            returns = (np.abs(rows[left, n:] - rows[left, :-n]) <= tolerance).all(axis=1)
        period[left[returns]] = n
        left = left[~returns]
    return period.reshape(series.shape[:-1])


@dataclass(frozen=True)
class PhaseStatistics(Result, axes={"": "count complete mean median longest"}):
    """Lengths in steps of the phases of one kind; those cut off by the ends of the series count with what is seen of them.

    Attributes
    ----------
    count : int
        Number of phases.
    complete : int
        Of them, those that neither the start nor the end of the series cuts off.
    mean, median : float
        nan where there is no phase.
    longest : int
        0 where there is no phase.
    """

    count: int
    complete: int
    mean: float
    median: float
    longest: int


@dataclass(frozen=True, eq=False)
class Phases(Result, axes={"phase": "start stop laminar length=lengths complete"}):
    """What :func:`phases` returns: k phases in the order of time, which tile the series.

    Attributes
    ----------
    start, stop : ndarray (k,), int
        A phase is start <= t < stop. start[0] is 0, stop[-1] the length of the series, and each phase starts where the last stops.
    laminar : ndarray (k,), bool
        Laminar or irregular. Two laminar phases may touch: a jump from one orbit to another.
    """

    start: np.ndarray = field(repr=False)
    stop: np.ndarray = field(repr=False)
    laminar: np.ndarray = field(repr=False)

    @property
    def lengths(self) -> np.ndarray:
        """Length of each phase in steps, (k,); the first and the last are cut off, so at least this long."""
        return self.stop - self.start

    @property
    def complete(self) -> np.ndarray:
        """Neither begins with the series nor ends with it, (k,), bool."""
        return (self.start > 0) & (self.stop < self.stop[-1])

    @property
    def laminar_lengths(self) -> np.ndarray:
        """Steps of the laminar phases."""
        return self.lengths[self.laminar]

    @property
    def irregular_lengths(self) -> np.ndarray:
        """Steps of the irregular phases."""
        return self.lengths[~self.laminar]

    @property
    def laminar_fraction(self) -> float:
        """Share of the steps that are in laminar phases."""
        return float(self.laminar_lengths.sum() / self.stop[-1])

    @property
    def statistics(self) -> dict[str, PhaseStatistics]:
        """Lengths in numbers, under "laminar" and "irregular"."""
        kinds = {"laminar": self.laminar, "irregular": ~self.laminar}
        return {name: _summary(self.lengths[kind], self.complete[kind]) for name, kind in kinds.items()}


def _summary(lengths: np.ndarray, complete: np.ndarray) -> PhaseStatistics:
    """Statistics of some lengths, none too."""
    if len(lengths) == 0:
        return PhaseStatistics(0, 0, float("nan"), float("nan"), 0)
    mean, median = float(lengths.mean()), float(np.median(lengths))
    return PhaseStatistics(len(lengths), int(complete.sum()), mean, median, int(lengths.max()))


def phases(series: np.ndarray, *, period: int, tolerance: float, min_length: int | None = None) -> Phases:
    """Cut one series into laminar phases, in which it returns to itself after each period, and irregular ones between them.

    A laminar phase a <= t < b is a longest stretch in which \\|x(t + period) - x(t)\\| <= tolerance for every pair inside it, and has
    at least ``min_length`` steps. Where two overlap (by less than a period, at a slip), the earlier one keeps the steps, and the
    later one is laminar if what it is left with is long enough. Everything else is irregular.

    Parameters
    ----------
    series : ndarray (n,)
        At consecutive steps.
    period : int
        In steps; a motion of a divisor of it, a constant among them, is laminar too.
    tolerance : float
        Change allowed over one period, in units of the series. It bounds the speed of a drift, not its extent.
    min_length : int, optional
        Steps of the shortest laminar phase, at least two periods (over shorter ones an outlier would slip in); by default four.

    Returns
    -------
    Phases

    Raises
    ------
    TypeError, ValueError
        If the series is not finite float64 or shorter than ``min_length``, or an option is out of range.

    References
    ----------
    Danovski, Soriano, Lacasa, arXiv 2404.05782, section 4.2 (figures 9 and 12); the definition is ours.

    Examples
    --------
    >>> x = np.tile([0.2, 0.5, 0.9], 20)
    >>> x[30:41] = np.sqrt(np.arange(11))
    >>> found = phases(x, period=3, tolerance=1e-6)
    >>> found.start, found.stop, found.laminar
    (array([ 0, 30, 41]), array([30, 41, 60]), array([ True, False,  True]))
    """
    series = _validate.float64("series", series)
    if series.ndim != 1:
        raise ValueError(f"series must have shape (n,), one series, got {series.shape}")
    period = _validate.count("period", period, 1)
    tolerance = _validate.positive("tolerance", tolerance, zero=True)
    shortest = PERIODS * period if min_length is None else _validate.count("min_length", min_length, 2 * period)
    if len(series) < shortest:
        raise ValueError(f"series must have at least min_length = {shortest} steps, got {len(series)}")
    _validate.finite("series", series)
    with np.errstate(over="ignore"):
        returns = np.abs(series[period:] - series[:-period]) <= tolerance
    edges = np.flatnonzero(np.diff(returns, prepend=False, append=False))
    begins, ends = edges[::2], edges[1::2] + period  # the last pair reaches one period further
    wide = ends - begins >= shortest
    cuts = [0]  # where each phase starts
    kinds: list[bool] = []
    for begin, end in zip(begins[wide].tolist(), ends[wide].tolist(), strict=True):
        begin = max(begin, cuts[-1])
        if end - begin < shortest:
            continue
        if begin > cuts[-1]:
            cuts.append(begin)
            kinds.append(False)
        cuts.append(end)
        kinds.append(True)
    if cuts[-1] < len(series):
        cuts.append(len(series))
        kinds.append(False)
    bounds = np.array(cuts, dtype=np.int64)
    return Phases(start=bounds[:-1], stop=bounds[1:], laminar=np.array(kinds, dtype=bool))
