"""At which learning rate what begins: onsets, the fastest rate, and the ratio of the two, with intervals.

Rates are on a grid, so whatever is said of one is an interval; networks are resampled all rates together, for they are the same at each.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from .. import _validate
from ..results import Result
from .learning import medians, times

__all__ = ["FastestRate", "RateRatio", "ThresholdRate", "fastest_rate", "rate_ratio", "threshold_rate"]

LASTING = 3
"""Rates in a row at which something has to hold for a rate to count as its onset."""


@dataclass(frozen=True, eq=False)
class ThresholdRate(
    Result,
    axes={"": "value below above lower upper missing", "rate": "share", "end draw": "drawn"},
    labels={"rate": "rates"},
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
    drawn : ndarray (2, draws)
        ``below`` and ``above`` of each resampled ensemble.
    ensemble : tuple of int
        Networks and seed: results that agree in both, and in the draws, have resampled the same networks.
    """

    value: float
    below: float
    above: float
    lower: float
    upper: float
    missing: float
    rates: np.ndarray = field(repr=False)
    share: np.ndarray = field(repr=False)
    drawn: np.ndarray = field(repr=False)
    ensemble: tuple[int, int] = field(repr=False)


@dataclass(frozen=True, eq=False)
class FastestRate(
    Result,
    axes={"": "value first last lower upper missing", "rate": "median", "end draw": "drawn"},
    labels={"rate": "rates"},
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
    drawn : ndarray (2, draws)
        ``first`` and ``last`` of each resampled ensemble.
    ensemble : tuple of int
        Networks and seed: results that agree in both, and in the draws, have resampled the same networks.
    """

    value: float
    first: float
    last: float
    lower: float
    upper: float
    missing: float
    rates: np.ndarray = field(repr=False)
    median: np.ndarray = field(repr=False)
    drawn: np.ndarray = field(repr=False)
    ensemble: tuple[int, int] = field(repr=False)


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
    lasting = _validate.count("lasting", lasting, 1)
    shares = holds.mean(axis=1)
    value, below, above = (float(column[0]) for column in _crossing(rates, shares[:, None], share, lasting))
    n = holds.shape[1]

    def ends(rows: np.ndarray) -> tuple[np.ndarray, ...]:
        times_drawn = np.array([np.bincount(column, minlength=n) for column in rows.T], dtype=np.float64)
        return _crossing(rates, holds.astype(np.float64) @ times_drawn.T / n, share, lasting)[1:]

    drawn = _bootstrap(n, ends, draws, seed)
    return ThresholdRate(value, below, above, *_interval(drawn), rates, shares, drawn, (holds.shape[1], seed))


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
    time, horizon = times(time, horizon)
    rates, time = _grid(rates, time)
    median = medians(time, horizon)
    value, first, last = (float(column[0]) for column in _least(rates, median[:, None]))

    def ends(rows: np.ndarray) -> tuple[np.ndarray, ...]:
        return _least(rates, medians(time[:, rows.T], horizon[:, rows.T]))[1:]

    drawn = _bootstrap(time.shape[1], ends, draws, seed)
    return FastestRate(value, first, last, *_interval(drawn), rates, median, drawn, (time.shape[1], seed))


def _least(rates: np.ndarray, median: np.ndarray) -> tuple[np.ndarray, ...]:
    """For columns of median times (r, b): the rate of the least, and the first and last that have it, (b,)."""
    least = median.min(axis=0)
    equal = median == least
    first, last = rates[equal.argmax(axis=0)], rates[len(rates) - 1 - equal[::-1].argmax(axis=0)]
    return tuple(np.where(np.isfinite(least), a, np.nan) for a in (np.sqrt(first * last), first, last))


def rate_ratio(fastest: FastestRate, onset: ThresholdRate) -> RateRatio:
    """The fastest rate over the onset of something, such as chaos.

    Parameters
    ----------
    fastest : FastestRate
    onset : ThresholdRate
        Of the same networks, with the same draws and seed: so that each resampled ensemble has its own ratio.

    Returns
    -------
    RateRatio

    Raises
    ------
    ValueError
        If the two have not resampled the same networks.

    Examples
    --------
    >>> rates, time = np.array([0.25, 0.5, 1.0, 2.0]), np.repeat([[40], [30], [20], [25]], 9, axis=1)
    >>> chaotic = np.repeat([[False], [True], [True], [True]], 9, axis=1)
    >>> ratio = rate_ratio(fastest_rate(rates, time, 100), threshold_rate(rates, chaotic))
    >>> ratio.least, ratio.most, round(ratio.value, 3)
    (2.0, 4.0, 2.828)
    """
    ours, theirs = (fastest.drawn.shape[1], *fastest.ensemble), (onset.drawn.shape[1], *onset.ensemble)
    if ours != theirs:
        said = "{} draws of {} networks with seed {}".format
        raise ValueError(
            f"fastest and onset must come of the same resampled networks, got {said(*ours)} and {said(*theirs)}"
        )
    with np.errstate(divide="ignore"):
        drawn = fastest.drawn / onset.drawn[::-1]
        most = float(np.float64(fastest.last) / onset.below)
    return RateRatio(fastest.value / onset.value, fastest.first / onset.above, most, *_interval(drawn))


def _grid(rates: np.ndarray, table: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Rates (r,) and a table (r, n) of the networks there, checked."""
    rates, table = np.asarray(rates, dtype=np.float64), np.asarray(table)
    if rates.ndim != 1 or not len(rates) or not (rates > 0).all() or (np.diff(rates) <= 0).any():
        raise ValueError(f"rates must be positive and increasing, got {_validate.shown(rates)}")
    if table.ndim != 2 or len(table) != len(rates) or table.shape[1] == 0:
        raise ValueError(f"there must be networks at each rate, ({len(rates)}, n), got shape {table.shape}")
    return rates, table


def _bootstrap(n: int, ends: Callable[[np.ndarray], tuple[np.ndarray, ...]], draws: int, seed: int) -> np.ndarray:
    """Lower and upper end (2, draws) over resampled networks; ``ends`` takes their numbers, (n, some draws)."""
    draws, seed = _validate.count("draws", draws), _validate.count("seed", seed)
    rng, found = np.random.Generator(np.random.PCG64(seed)), [np.empty((2, 0))]
    for size in [50] * (draws // 50) + [draws % 50] * (draws % 50 > 0):
        found.append(np.array(ends(rng.integers(0, n, (n, size)))))
    return np.concatenate(found, axis=1)


def _interval(drawn: np.ndarray) -> tuple[float, float, float]:
    """2.5 % quantile of the lower ends and 97.5 % quantile of the upper ones (2, draws); share of the draws without any."""
    known = ~np.isnan(drawn[0])
    if not known.any():
        return np.nan, np.nan, 1.0 if known.size else np.nan
    low, high = drawn[:, known]
    return (
        float(np.quantile(low, 0.025, method="inverted_cdf")),
        float(np.quantile(high, 0.975, method="inverted_cdf")),
        float(1 - known.mean()),
    )
