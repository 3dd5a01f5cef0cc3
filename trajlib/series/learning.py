"""How long learning takes: times with censoring.

A run that never gets there within its steps is right-censored: it says "later than this", and no mean over the others may leave it out.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass, field

import numpy as np
from scipy.stats import CensoredData, ecdf

from .. import _validate
from ..results import Result

__all__ = ["BestOf", "LearningTimes", "best_of", "learning_times", "time_to_threshold"]


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
    time, horizon = times(time, horizon)
    rows, ends = time.reshape(-1, time.shape[-1]), horizon.reshape(-1, time.shape[-1])
    found = np.array([_median(row, end, level) for row, end in zip(rows, ends, strict=True)]).reshape(-1, 3)
    median, lower, upper = (column.reshape(time.shape[:-1]) for column in found.T)
    return LearningTimes(median=median, lower=lower, upper=upper, share=(time >= 0).mean(axis=-1))


def times(time: np.ndarray, horizon: int | np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Times (..., n) and the steps up to which censored runs were watched, checked and of one shape."""
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


def medians(time: np.ndarray, horizon: np.ndarray) -> np.ndarray:
    """Kaplan-Meier medians (...) of times (..., n). Where all are censored after the last that learned, an order statistic is the same."""
    learned = time >= 0
    if not learned.any() or horizon[~learned].min(initial=np.iinfo(np.int64).max) >= time.max():
        values = np.sort(np.where(learned, time, np.inf), axis=-1)
        return values[..., (time.shape[-1] + 1) // 2 - 1]
    rows = zip(time.reshape(-1, time.shape[-1]), horizon.reshape(-1, time.shape[-1]), strict=True)
    return np.array([_median(row, end, 0.95)[0] for row, end in rows]).reshape(time.shape[:-1])


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
    time, _ = times(time, horizon)
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

    def first_of(rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        curves = none[rows].mean(axis=-2), alone[rows].mean(axis=-2) ** n
        below = [
            np.concatenate([curve <= 0.5 + 1e-12, np.ones((*curve.shape[:-1], 1), dtype=bool)], -1) for curve in curves
        ]
        found = [one.argmax(axis=-1).astype(float) for one in below]
        return tuple(np.where(one == len(at), np.inf, one) for one in found)  # type: ignore[return-value]

    rng, size = np.random.Generator(np.random.PCG64(_validate.count("seed", seed))), len(time)
    copies, luck = (float(one) for one in first_of(np.arange(size)))
    gains = []
    with np.errstate(invalid="ignore", divide="ignore"):
        for _ in range(_validate.count("draws", draws)):
            some, other = first_of(rng.integers(0, size, size))
            gains.append((other + 1) / (some + 1))
        known = np.array([g for g in gains if np.isfinite(g)])
        gain = float((np.float64(luck) + 1) / (np.float64(copies) + 1))
    low, high = np.quantile(known, [0.025, 0.975]) if len(known) else (np.nan, np.nan)
    return BestOf(copies, luck, gain, float(low), float(high))
