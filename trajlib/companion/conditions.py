"""The conditions that a claim is checked by: a measured value, the range where the claim has it, and whether the measurement can say."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from ..results import Result

__all__ = ["Check", "Condition", "Share", "at_least", "at_most", "between", "fraction", "reaches", "share"]


@dataclass(frozen=True)
class Condition(Result, axes={"": "holds decided value low high"}):
    """Whether a measured value lies where a claim has it, and whether the measurement can say.

    Attributes
    ----------
    holds : bool
        The value lies between low and high, these included.
    decided : bool
        Its interval of confidence does not hold either of them: another seed would say the same.
    value : float, optional
        What was measured; nan where there was nothing to measure, None where it is no number.
    low, high : float
        Where the claim has it; infinite where it sets no limit.
    """

    holds: bool
    decided: bool
    value: float | None = None
    low: float = -np.inf
    high: float = np.inf

    def __bool__(self) -> bool:
        return self.holds

    @property
    def testable(self) -> bool:
        """Whether there was anything to measure."""
        return self.value is None or not np.isnan(self.value)


Share = Condition
"""Its former name."""


class Check(NamedTuple):
    """What checking a claim has given: the numbers in words, and each condition by its name."""

    measured: str
    conditions: dict[str, bool | Condition]


def _wilson(holds: np.ndarray) -> tuple[int, int, float, float]:
    """Count, size and 95 % interval of a share (E. B. Wilson, J. Am. Stat. Assoc. 22 (1927) 209)."""
    k, n, z = int(np.sum(holds)), int(np.size(holds)), 1.959964
    centre = (k / n + z * z / (2 * n)) / (1 + z * z / n)
    half = z * np.sqrt(k / n * (1 - k / n) / n + z * z / (4 * n * n)) / (1 + z * z / n)
    return k, n, max(centre - half, 0.0), min(centre + half, 1.0)


def fraction(holds: np.ndarray) -> str:
    """How many of an ensemble fulfil something, in words, with a 95 % Wilson interval.

    Parameters
    ----------
    holds : ndarray (n,), bool
        One entry a member; of an empty ensemble nothing can be said.

    Returns
    -------
    str

    Examples
    --------
    >>> fraction(np.array([True] * 90 + [False] * 10))
    '90 of 100 (83-94 %)'
    """
    if np.size(holds) == 0:
        return "0 of 0"
    k, n, low, high = _wilson(holds)
    return f"{k:,} of {n:,} ({100 * low:.0f}-{100 * high:.0f} %)"


def share(holds: np.ndarray, at_least: float = 0.9) -> Condition:
    """Whether something holds in at least a given share of an ensemble: the condition for "typically", or for "most" with 0.5.

    Parameters
    ----------
    holds : ndarray (n,), bool
        One entry a member; of an empty ensemble nothing can be said.
    at_least : float
        The share asked for.

    Returns
    -------
    Condition

    Examples
    --------
    >>> share(np.array([True] * 99 + [False]))
    Condition(holds=True, decided=True, value=0.99, low=0.9, high=1.0)
    """
    if np.size(holds) == 0:
        return _condition(np.nan, at_least, 1.0)
    k, n, low, high = _wilson(holds)
    return Condition(k >= at_least * n, not low < at_least < high, k / n, at_least, 1.0)


def between(value: float, low: float, high: float, error: float = 0.0) -> Condition:
    """Whether a value lies between two limits.

    Parameters
    ----------
    value : float
        What was measured; nan where there was nothing to measure.
    low, high : float
        The limits, which belong to the range.
    error : float
        Half the width of the value's 95 % interval.

    Returns
    -------
    Condition

    Raises
    ------
    ValueError
        If low is not below high, or an error is negative.

    Examples
    --------
    >>> between(0.347, 0.30, 0.36, error=0.02).decided
    False
    """
    if not low < high:
        raise ValueError(f"low must be below high, got {low} and {high}")
    if not error >= 0.0:
        raise ValueError(f"error must be 0 or more, got {error}")
    return _condition(value, low, high, error)


def at_least(value: float, limit: float, error: float = 0.0) -> Condition:
    """Whether a value is at least a limit; see :func:`between`."""
    return between(value, limit, np.inf, error)


def at_most(value: float, limit: float, error: float = 0.0) -> Condition:
    """Whether a value is at most a limit; see :func:`between`."""
    return between(value, -np.inf, limit, error)


def _condition(value: float, low: float, high: float, error: float = 0.0) -> Condition:
    value = float(value)
    sure = all(not abs(value - limit) < error for limit in (low, high) if np.isfinite(limit))
    return Condition(low <= value <= high, sure and not np.isnan(value), value, low, high)


def reaches(value: np.ndarray, lower: np.ndarray, upper: np.ndarray, at_least: float) -> Condition:
    """Whether every one of some estimates reaches a threshold, and whether their intervals are narrow enough to say.

    Parameters
    ----------
    value, lower, upper : ndarray (...)
        Estimates, and the ends of their confidence intervals.
    at_least : float
        The threshold.

    Returns
    -------
    Condition
        Decided if all intervals lie above the threshold, or one lies below it.

    Examples
    --------
    >>> reaches(np.array([0.9, 0.72]), np.array([0.88, 0.69]), np.array([0.92, 0.75]), 0.7)
    Condition(holds=True, decided=False, value=0.72, low=0.7, high=inf)
    """
    holds = bool(np.all(np.asarray(value) >= at_least))
    sure = np.all(np.asarray(lower) >= at_least) if holds else np.any(np.asarray(upper) < at_least)
    return Condition(holds, bool(sure), float(np.min(value)), at_least)
