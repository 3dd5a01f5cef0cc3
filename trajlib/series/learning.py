"""How long learning takes, and at which learning rate what begins: times with censoring, onsets, the fastest rate.

A run that never gets there within its steps is right-censored: it says "later than this", and no mean over the others may leave it out.
Rates are on a grid, so whatever is said of one is an interval; networks are resampled all rates together, for they are the same at each.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from scipy.stats import CensoredData, ecdf

from .. import _validate
from ..results import Result

__all__ = ["BestOf", "FastestRate", "LearningTimes", "RateRatio", "ThresholdRate", "best_of", "fastest_rate", "learning_times",
           "rate_ratio", "threshold_rate", "time_to_threshold"]  # fmt: skip

LASTING = 3
"""Rates in a row at which something has to hold for a rate to count as its onset."""


@dataclass(frozen=True, eq=False)
class LearningTimes(Result, axes={"...": "median lower upper share"}, lead=("rate",)):
    """What :func:`learning_times` returns; arrays have the leading shape (...) of the times.

    Attributes
    ----------
    median : ndarray (...)
        Kaplan-Meier median in steps, inf where at least half of the curve is never reached.
    lower, upper : ndarray (...)
        Its interval, from where the pointwise bounds of the curve cross one half; upper is inf where that bound never does.
    share : ndarray (...)
        Networks that have learned, as a fraction.
    """

    median: np.ndarray = field(repr=False)
    lower: np.ndarray = field(repr=False)
    upper: np.ndarray = field(repr=False)
    share: np.ndarray = field(repr=False)


@dataclass(frozen=True, eq=False)
class ThresholdRate(
    Result, axes={"": "value below above lower upper missing", "rate": "share"}, labels={"rate": "rates"}
):
    """What :func:`threshold_rate` returns.

    Attributes
    ----------
    value : float
        Rate at which the share crosses the level, by a straight line in ln(rate) between ``below`` and ``above``; nan where none does.
    below, above : float
        Neighbouring rates of the grid between which that is; ``below`` is 0 where it holds from the lowest rate on.
    lower, upper : float
        Ends of the 95 % interval: quantiles of ``below`` and of ``above`` over resampled networks.
    missing : float
        Share of the resampled ensembles in which no rate does.
    rates, share : ndarray (r,)
        The grid, and in which share of the networks it holds.
    """

    value: float
    below: float
    above: float
    lower: float
    upper: float
    missing: float
    rates: np.ndarray = field(repr=False)
    share: np.ndarray = field(repr=False)


@dataclass(frozen=True, eq=False)
class FastestRate(
    Result, axes={"": "value first last lower upper missing", "rate": "median"}, labels={"rate": "rates"}
):
    """What :func:`fastest_rate` returns.

    Attributes
    ----------
    value : float
        Rate of the least median time; of several, the geometric mean of ``first`` and ``last``. nan where no rate has a finite median.
    first, last : float
        Lowest and highest rate that have the least median: more than one rate where several are equally fast.
    lower, upper : float
        Ends of the 95 % interval: quantiles of ``first`` and of ``last`` over resampled networks.
    missing : float
        Share of the resampled ensembles in which no rate has a finite median.
    rates, median : ndarray (r,)
        The grid, and the median times in steps.
    """

    value: float
    first: float
    last: float
    lower: float
    upper: float
    missing: float
    rates: np.ndarray = field(repr=False)
    median: np.ndarray = field(repr=False)


@dataclass(frozen=True, eq=False)
class RateRatio(Result, axes={"": "value least most lower upper missing"}):
    """What :func:`rate_ratio` returns: the fastest rate over the onset of something.

    Attributes
    ----------
    value : float
        Ratio of the two values; nan where one of them is missing.
    least, most : float
        What the grid allows: ``first`` over ``above``, and ``last`` over ``below``.
    lower, upper : float
        Ends of the 95 % interval: quantiles of the two over resampled networks, the same ones in both rates.
    missing : float
        Share of the resampled ensembles in which one of them is missing.
    """

    value: float
    least: float
    most: float
    lower: float
    upper: float
    missing: float


@dataclass(frozen=True, eq=False)
class BestOf(Result, axes={"": "copies draws gain lower upper"}):
    """What :func:`best_of` returns.

    Attributes
    ----------
    copies, draws : float
        Median time in steps until the first of N copies of one network has learned, and the first of N independent ones.
    gain : float
        (draws + 1) / (copies + 1), since both may be 0: above 1 where copies do better than luck, below where they
        differ less than strangers.
    lower, upper : float
        Ends of the gain's 95 % interval, by a bootstrap over networks.
    """

    copies: float
    draws: float
    gain: float
    lower: float
    upper: float


def time_to_threshold(accuracy: np.ndarray, threshold: float, *, hold: int = 20) -> np.ndarray:
    """First step from which an accuracy stays at or above a threshold for some steps; -1 where it does not within the run (right-censored).

    Parameters
    ----------
    accuracy : ndarray (..., steps + 1)
        One value a step, entry 0 before the first one. nan is below any threshold.
    threshold : float
        What has to be reached.
    hold : int
        Steps that it has to stay there, the first among them; a run can be seen to do so only up to step ``steps + 1 - hold``.

    Returns
    -------
    ndarray (...), int
        Steps; censored runs are known not to have learned before step ``steps + 2 - hold``.

    Raises
    ------
    TypeError, ValueError
        If an argument has the wrong type or range, or the run is shorter than ``hold``.

    References
    ----------
    The time that arXiv 2506.08523 minimises; what counts as reached is not told there, and is chosen here.

    Examples
    --------
    >>> accuracy = np.array([[0.2, 0.9, 0.4, 0.9, 0.9, 0.9], [0.2, 0.3, 0.4, 0.5, 0.9, 0.9]])
    >>> time_to_threshold(accuracy, 0.9, hold=3)
    array([ 3, -1])
    """
    accuracy = np.asarray(accuracy)
    threshold, hold = _validate.real("threshold", threshold), _validate.count("hold", hold, 1)
    if accuracy.ndim < 1 or accuracy.shape[-1] < hold:
        raise ValueError(f"accuracy must have shape (..., at least hold = {hold}), got {accuracy.shape}")
    with np.errstate(invalid="ignore"):
        there = accuracy >= threshold
    counted = np.cumsum(there, axis=-1)
    before = np.concatenate([np.zeros((*counted.shape[:-1], 1), dtype=counted.dtype), counted[..., :-hold]], axis=-1)
    stays = counted[..., hold - 1 :] - before == hold
    return np.where(stays.any(axis=-1), stays.argmax(axis=-1), -1)


def learning_times(time: np.ndarray, horizon: int | np.ndarray, *, level: float = 0.95) -> LearningTimes:
    """Median times with their intervals, by Kaplan and Meier.

    Parameters
    ----------
    time : ndarray (..., n), int
        Steps, -1 where a run is censored, as :func:`time_to_threshold` gives them.
    horizon : int or ndarray (..., n)
        Step up to which a censored run is known not to have learned.
    level : float
        Of the intervals.

    Returns
    -------
    LearningTimes

    Raises
    ------
    TypeError, ValueError
        If an argument has the wrong type or range.

    References
    ----------
    E. L. Kaplan, P. Meier, J. Am. Stat. Assoc. 53 (1958) 457; the interval: R. Brookmeyer, J. Crowley, Biometrics 38 (1982) 29, with the
    log-log bounds of ``scipy.stats.ecdf``, which makes the curve.

    Examples
    --------
    >>> found = learning_times(np.array([1, 2, 3, -1, -1]), horizon=100)
    >>> float(found.median), float(found.lower), float(found.upper), float(found.share)
    (3.0, 1.0, inf, 0.6)
    """
    time, horizon = _times(time, horizon)
    rows, ends = time.reshape(-1, time.shape[-1]), horizon.reshape(-1, time.shape[-1])
    found = np.array([_median(row, end, level) for row, end in zip(rows, ends, strict=True)]).reshape(-1, 3)
    median, lower, upper = (column.reshape(time.shape[:-1]) for column in found.T)
    return LearningTimes(median=median, lower=lower, upper=upper, share=(time >= 0).mean(axis=-1))


def _times(time: np.ndarray, horizon: int | np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    time = np.asarray(time)
    if not np.issubdtype(time.dtype, np.integer) or time.ndim < 1 or time.shape[-1] == 0:
        raise ValueError(f"time must hold integers, (..., n) with n >= 1, got {time.dtype} of shape {time.shape}")
    horizon = np.broadcast_to(np.asarray(horizon), time.shape)
    if (time < -1).any() or (horizon < 0).any():
        raise ValueError("time must be 0 or more, or -1 where a run is censored, and horizon 0 or more")
    return time.astype(np.int64), horizon.astype(np.int64)


def _median(time: np.ndarray, horizon: np.ndarray, level: float) -> tuple[float, float, float]:
    """Kaplan-Meier median of times (n,) and the ends of its interval."""
    learned = time >= 0
    if not learned.any():
        return np.inf, float(horizon.min()), np.inf
    curve = ecdf(CensoredData.right_censored(np.where(learned, time, horizon), ~learned)).sf
    ends = []
    with np.errstate(divide="ignore", invalid="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # where the curve is 1 or 0, bounds are nan
        bounds = curve.confidence_interval(level, method="log-log")
    for bound in (bounds.low, bounds.high):
        known = np.where(np.isnan(bound.probabilities), curve.probabilities, bound.probabilities)
        ends.append(_first_at_most_half(curve.quantiles, known))
    return _first_at_most_half(curve.quantiles, curve.probabilities), ends[0], ends[1]


def _first_at_most_half(at: np.ndarray, curve: np.ndarray) -> float:
    low = curve <= 0.5 + 1e-12
    return float(at[low.argmax()]) if low.any() else np.inf


def _medians(time: np.ndarray, horizon: np.ndarray) -> np.ndarray:
    """Kaplan-Meier medians (...) of times (..., n). Where all are censored after the last that learned, an order statistic is the same."""
    learned = time >= 0
    if not learned.any() or horizon[~learned].min(initial=np.iinfo(np.int64).max) >= time.max():
        values = np.sort(np.where(learned, time, np.inf), axis=-1)
        return values[..., (time.shape[-1] + 1) // 2 - 1]
    rows = zip(time.reshape(-1, time.shape[-1]), horizon.reshape(-1, time.shape[-1]), strict=True)
    return np.array([_median(row, end, 0.95)[0] for row, end in rows]).reshape(time.shape[:-1])


def threshold_rate(
    rates: np.ndarray,
    holds: np.ndarray,
    *,
    share: float = 0.5,
    lasting: int = LASTING,
    draws: int = 1000,
    seed: int = 0,
) -> ThresholdRate:
    """Smallest rate from which on something holds for more than a share of the networks: the onset of chaos, or of failure to learn.

    Parameters
    ----------
    rates : ndarray (r,)
        Learning rates, increasing.
    holds : ndarray (r, n), bool
        Whether it holds for each network, the same networks at all rates: say, whether its exponent over the run is positive.
    share : float
        It has to hold for more than this.
    lasting : int
        At so many rates in a row, or at all that are left; a single rate that chance has put above is no onset.
    draws, seed : int
        Of the bootstrap over networks; 0 draws for no interval.

    Returns
    -------
    ThresholdRate

    Raises
    ------
    TypeError, ValueError
        If an argument has the wrong type, shape or range.

    Examples
    --------
    >>> exponent = np.array([[-0.1] * 9, [-0.1] * 6 + [0.1] * 3, [0.1] * 9, [0.2] * 9])
    >>> onset = threshold_rate(np.array([0.25, 0.5, 1.0, 2.0]), exponent > 0)
    >>> onset.below, onset.above, round(onset.value, 3)
    (0.5, 1.0, 0.595)
    """
    rates, holds = _grid(rates, holds)
    draws, lasting = _validate.count("draws", draws), _validate.count("lasting", lasting, 1)
    shares = holds.mean(axis=1)
    value, below, above = (float(column[0]) for column in _crossing(rates, shares[:, None], share, lasting))
    low, high, missing = _interval(
        holds, lambda some: _crossing(rates, some.mean(axis=1), share, lasting)[1:], draws, seed
    )
    return ThresholdRate(value, below, above, low, high, missing, rates, shares)


def _crossing(rates: np.ndarray, shares: np.ndarray, share: float, lasting: int) -> tuple[np.ndarray, ...]:
    """For columns of shares (r, b): where each crosses the level for good, and the rates below and above that, (b,)."""
    above = shares > share
    padded = np.concatenate([above, np.ones((lasting - 1, above.shape[1]), dtype=bool)])
    stays = np.all([padded[i : i + len(rates)] for i in range(lasting)], axis=0)
    there, first = stays.any(axis=0), stays.argmax(axis=0)
    column = np.arange(shares.shape[1])
    before = np.maximum(first - 1, 0)
    with np.errstate(divide="ignore", invalid="ignore"):
        part = (share - shares[before, column]) / (shares[first, column] - shares[before, column])
        between = rates[before] * (rates[first] / rates[before]) ** np.clip(part, 0.0, 1.0)
    value = np.where(first == 0, rates[0], between)
    below = np.where(first == 0, 0.0, rates[before])
    return tuple(np.where(there, a, np.nan) for a in (value, below, rates[first]))


def fastest_rate(
    rates: np.ndarray, time: np.ndarray, horizon: int | np.ndarray, *, draws: int = 1000, seed: int = 0
) -> FastestRate:
    """The rate of the least median time to learn; rates that are equally fast give an interval.

    Parameters
    ----------
    rates : ndarray (r,)
        Learning rates, increasing.
    time : ndarray (r, n), int
        Steps, -1 where a run is censored; the same networks at all rates.
    horizon : int or ndarray (r, n)
        Step up to which a censored run is known not to have learned.
    draws, seed : int
        Of the bootstrap over networks; 0 draws for no interval.

    Returns
    -------
    FastestRate

    Raises
    ------
    TypeError, ValueError
        If an argument has the wrong type, shape or range.

    Examples
    --------
    >>> time = np.repeat([[40], [20], [20], [-1]], 9, axis=1)
    >>> best = fastest_rate(np.array([0.25, 0.5, 1.0, 2.0]), time, horizon=100)
    >>> best.first, best.last, round(best.value, 3), best.median
    (0.5, 1.0, 0.707, array([40., 20., 20., inf]))
    """
    time, horizon = _times(time, horizon)
    rates, time = _grid(rates, time)
    draws = _validate.count("draws", draws)
    median = _medians(time, horizon)
    value, first, last = (float(column[0]) for column in _least(rates, median[:, None]))
    both = np.stack([time, horizon], axis=-1)
    low, high, missing = _interval(both, lambda some: _least(rates, _medians_of(some))[1:], draws, seed)
    return FastestRate(value, first, last, low, high, missing, rates, median)


def _medians_of(some: np.ndarray) -> np.ndarray:
    """Medians (r, b) of times and horizons (r, n, b, 2) of resampled networks."""
    some = np.moveaxis(some, 1, -2)
    return _medians(some[..., 0], some[..., 1])


def _least(rates: np.ndarray, median: np.ndarray) -> tuple[np.ndarray, ...]:
    """For columns of median times (r, b): the rate of the least, and the first and last that have it, (b,)."""
    least = median.min(axis=0)
    equal = median == least
    first, last = rates[equal.argmax(axis=0)], rates[len(rates) - 1 - equal[::-1].argmax(axis=0)]
    return tuple(np.where(np.isfinite(least), a, np.nan) for a in (np.sqrt(first * last), first, last))


def rate_ratio(
    rates: np.ndarray, time: np.ndarray, horizon: int | np.ndarray, holds: np.ndarray, *, share: float = 0.5,
    lasting: int = LASTING, draws: int = 1000, seed: int = 0,
) -> RateRatio:  # fmt: skip
    """The fastest rate over the onset of something, such as chaos: :func:`fastest_rate` over :func:`threshold_rate`, with one bootstrap.

    Parameters
    ----------
    rates, time, horizon, holds, share, lasting, draws, seed
        As in these two; networks are resampled once for both, all rates together.

    Returns
    -------
    RateRatio

    Examples
    --------
    >>> rates, time = np.array([0.25, 0.5, 1.0, 2.0]), np.repeat([[40], [30], [20], [25]], 9, axis=1)
    >>> chaotic = np.repeat([[False], [True], [True], [True]], 9, axis=1)
    >>> ratio = rate_ratio(rates, time, 100, chaotic)
    >>> ratio.least, ratio.most, round(ratio.value, 3)
    (2.0, 4.0, 2.828)
    """
    time, horizon = _times(time, horizon)
    rates, holds = _grid(rates, holds)
    rates, time = _grid(rates, time)
    draws, lasting = _validate.count("draws", draws), _validate.count("lasting", lasting, 1)
    onset, below, above = (float(a[0]) for a in _crossing(rates, holds.mean(axis=1)[:, None], share, lasting))
    value, first, last = (float(a[0]) for a in _least(rates, _medians(time, horizon)[:, None]))
    all_three = np.stack([time, horizon, holds], axis=-1)

    def ends(some: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        _, low, high = _crossing(rates, some[..., 2].mean(axis=1), share, lasting)
        _, fast, slow = _least(rates, _medians_of(some[..., :2]))
        with np.errstate(divide="ignore"):
            return fast / high, slow / low

    low, high, missing = _interval(all_three, ends, draws, seed)
    with np.errstate(divide="ignore"):
        return RateRatio(value / onset, first / above, float(np.float64(last) / below), low, high, missing)


def _grid(rates: np.ndarray, table: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Rates (r,) and a table (r, n) of the networks there, checked."""
    rates, table = np.asarray(rates, dtype=np.float64), np.asarray(table)
    if rates.ndim != 1 or not len(rates) or not (rates > 0).all() or (np.diff(rates) <= 0).any():
        raise ValueError(f"rates must be positive and increasing, got {_validate.shown(rates)}")
    if table.ndim != 2 or len(table) != len(rates) or table.shape[1] == 0:
        raise ValueError(f"there must be networks at each rate, ({len(rates)}, n), got shape {table.shape}")
    return rates, table


def _interval(
    table: np.ndarray, ends: Callable[[np.ndarray], tuple[np.ndarray, ...]], draws: int, seed: int
) -> tuple[float, float, float]:
    """2.5 % quantile of the lower and 97.5 % quantile of the upper end over resampled networks (axis 1); share without any."""
    if draws == 0:
        return np.nan, np.nan, np.nan
    rng, n, found = np.random.Generator(np.random.PCG64(_validate.count("seed", seed))), table.shape[1], []
    for size in [50] * (draws // 50) + [draws % 50] * (draws % 50 > 0):
        found.append(ends(table[:, rng.integers(0, n, (n, size))]))
    low, high = np.concatenate([np.array(pair) for pair in found], axis=1)
    known = ~np.isnan(low)
    if not known.any():
        return np.nan, np.nan, 1.0
    lower = np.quantile(low[known], 0.025, method="inverted_cdf")
    upper = np.quantile(high[known], 0.975, method="inverted_cdf")
    return float(lower), float(upper), float(1 - known.mean())


def best_of(time: np.ndarray, horizon: int, n: int, *, draws: int = 1000, seed: int = 0) -> BestOf:
    """Is the best of N slightly moved copies of a network more than the luck of N independent draws?

    Parameters
    ----------
    time : ndarray (networks, m), int
        Steps that a network and its copies took, -1 where a run is censored.
    horizon : int
        Step up to which all runs were watched.
    n : int
        N, from 1 to m.
    draws, seed : int
        Of the bootstrap over networks.

    Returns
    -------
    BestOf
        Medians of the first of N: over all choices of N of the m copies of each network, and over networks drawn at random.

    Raises
    ------
    TypeError, ValueError
        If an argument has the wrong type or range.

    Examples
    --------
    >>> same = best_of(np.repeat([[10], [20], [30], [40]], 5, axis=1), horizon=100, n=5)
    >>> same.copies, same.draws
    (20.0, 10.0)
    """
    time, _ = _times(time, horizon)
    if time.ndim != 2:
        raise ValueError(f"time must have shape (networks, m), got {time.shape}")
    n = _validate.count("n", n, 1, time.shape[1])
    at = np.arange(int(horizon) + 1)
    ordered = np.sort(np.where(time >= 0, time, np.iinfo(np.int64).max), axis=1)
    left = time.shape[1] - np.array([np.searchsorted(row, at, side="right") for row in ordered])  # copies still at it
    none = np.ones(left.shape)
    for i in range(n):  # of n different ones of the m, none has learned
        none *= np.maximum(left - i, 0) / (time.shape[1] - i)
    alone = left / time.shape[1]

    def medians(rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        curves = none[rows].mean(axis=-2), alone[rows].mean(axis=-2) ** n
        below = [
            np.concatenate([curve <= 0.5 + 1e-12, np.ones((*curve.shape[:-1], 1), dtype=bool)], -1) for curve in curves
        ]
        found = [one.argmax(axis=-1).astype(float) for one in below]
        return tuple(np.where(one == len(at), np.inf, one) for one in found)  # type: ignore[return-value]

    rng, size = np.random.Generator(np.random.PCG64(_validate.count("seed", seed))), len(time)
    copies, luck = (float(one) for one in medians(np.arange(size)))
    gains = []
    with np.errstate(invalid="ignore", divide="ignore"):
        for _ in range(_validate.count("draws", draws)):
            some, other = medians(rng.integers(0, size, size))
            gains.append((other + 1) / (some + 1))
        known = np.array([g for g in gains if np.isfinite(g)])
        gain = float((np.float64(luck) + 1) / (np.float64(copies) + 1))
    low, high = np.quantile(known, [0.025, 0.975]) if len(known) else (np.nan, np.nan)
    return BestOf(copies, luck, gain, float(low), float(high))
