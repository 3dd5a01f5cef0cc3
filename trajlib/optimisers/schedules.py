"""Learning rates that change along training: functions of the number of steps done, t = 0, 1, ...

>>> from trajlib import schedules
>>> schedules.step(0.1, every=100, factor=0.5)([0, 99, 100, 250])
array([0.1  , 0.1  , 0.05 , 0.025])
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from .. import _validate

__all__ = ["Schedule", "array", "constant", "cosine", "exponential", "one_cycle", "step", "warm_up"]


@dataclass(frozen=True)
class Schedule:
    """A learning rate for each step, told for steps 0 to ``len(values)`` - 1 by a table and from there on by a rule.

    Call it with step numbers, an int or an array of them; it gives the rates as float64. Schedules are equal where they were made by equal
    calls.

    Attributes
    ----------
    kind : str
        The function of this module that made it.
    arguments : tuple
        What that was given.
    """

    kind: str
    arguments: tuple
    _rates: Any = field(repr=False, compare=False)

    def __call__(self, t) -> np.ndarray:
        t = np.asarray(t)
        if t.dtype.kind not in "iu" or (t < 0).any():
            raise ValueError(f"t must be numbers of steps, integers >= 0, got {_validate.shown(t)}")
        with np.errstate(all="ignore"):
            rates = np.asarray(self._rates(t), dtype=np.float64)
        if not (np.isfinite(rates) & (rates >= 0)).all():
            raise ValueError(f"the schedule {self} gives a rate that is negative or not finite")
        return rates


def constant(lr: float) -> Schedule:
    """The same rate at all steps: what a number does too."""
    lr = _validate.positive("lr", lr)
    return Schedule("constant", (lr,), lambda t: np.full(t.shape, lr))


def step(lr: float, every: int, factor: float = 0.1) -> Schedule:
    """lr * factor\\ :sup:`n` after n times ``every`` steps (torch's StepLR)."""
    lr, every, factor = (
        _validate.positive("lr", lr),
        _validate.count("every", every, 1),
        _validate.positive("factor", factor),
    )
    return Schedule("step", (lr, every, factor), lambda t: lr * _powers(factor, t // every))


def exponential(lr: float, factor: float) -> Schedule:
    """lr * factor\\ :sup:`t` (torch's ExponentialLR)."""
    lr, factor = _validate.positive("lr", lr), _validate.positive("factor", factor)
    return Schedule("exponential", (lr, factor), lambda t: lr * _powers(factor, t))


def cosine(lr: float, steps: int, end: float = 0.0) -> Schedule:
    """From ``lr`` to ``end`` over ``steps`` steps along half a cosine, and ``end`` from there on (torch's CosineAnnealingLR).

    References
    ----------
    I. Loshchilov, F. Hutter, arXiv 1608.03983.
    """
    lr, steps = _validate.positive("lr", lr), _validate.count("steps", steps, 1)
    end = _validate.positive("end", end, zero=True)
    return Schedule("cosine", (lr, steps, end), lambda t: _between(lr, end, np.minimum(t / steps, 1.0)))


def warm_up(lr: float | Schedule, steps: int, start: float = 0.0) -> Schedule:
    """A straight line from ``start`` to the rate of ``lr`` at step ``steps``; then ``lr``, a number or a schedule whose step 0 is there."""
    after = lr if isinstance(lr, Schedule) else constant(lr)
    steps, start = _validate.count("steps", steps, 1), _validate.positive("start", start, zero=True)
    top = float(after(0))

    def rates(t):
        return np.where(
            t < steps, start + (top - start) * (np.minimum(t, steps) / steps), after(np.maximum(t - steps, 0))
        )

    return Schedule("warm_up", (lr, steps, start), rates)


def one_cycle(
    lr: float, steps: int, *, warm: float = 0.3, start_factor: float = 1 / 25, end_factor: float = 1e-4
) -> Schedule:
    """From lr * start_factor up to ``lr`` over the share ``warm`` of ``steps``, then down to lr * start_factor * end_factor at the last
    step, along half cosines; that value from there on (torch's OneCycleLR).

    References
    ----------
    L. N. Smith, N. Topin, arXiv 1708.07120.
    """
    lr, steps = _validate.positive("lr", lr), _validate.count("steps", steps, 2)
    share = _validate.positive("warm", warm)
    if share >= 1:
        raise ValueError(f"warm must be a share of the steps below 1, got {_validate.shown(warm)}")
    low, last = lr * _validate.positive("start_factor", start_factor), _validate.positive("end_factor", end_factor)
    top = share * steps - 1.0

    def rates(t):
        up = _between(low, lr, np.clip(t / top, 0.0, 1.0)) if top > 0 else np.full(t.shape, lr)
        down = _between(lr, low * last, np.clip((t - top) / (steps - 1.0 - top), 0.0, 1.0))
        return np.where(t <= top, up, down)

    return Schedule("one_cycle", (lr, steps, share, start_factor, last), rates)


def array(values) -> Schedule:
    """``values[t]`` at step t, and the last of them from there on."""
    table = _validate.finite("values", _validate.numbers_of("values", values))
    if table.ndim != 1 or not len(table) or (table < 0).any():
        raise ValueError(f"values must be a row of rates >= 0, got {_validate.shown(values)}")
    table = table.copy()
    return Schedule("array", (tuple(table.tolist()),), lambda t: table[np.minimum(t, len(table) - 1)])


def _between(a: float, b: float, share):
    """From a to b along half a cosine."""
    return b + (a - b) * (0.5 * (1.0 + _cosine(share)))


_SINE = np.multiply.accumulate([1.0, *(-1.0 / (2 * n * (2 * n + 1)) for n in range(1, 12))])
"""Coefficients of sin(x) / x in powers of x^2."""


def _cosine(share):
    """cos(pi * share) for shares from 0 to 1, by a polynomial: a library's cosine has other last digits on other machines."""
    x = np.pi * (np.asarray(share) - 0.5)
    value = np.full(x.shape, _SINE[-1])
    for c in _SINE[-2::-1]:
        value = value * (x * x) + c
    return -(x * value)


def _powers(factor: float, n):
    """factor ** n by repeated products, which have the same bits everywhere."""
    table = np.multiply.accumulate(np.concatenate([[1.0], np.full(int(np.max(n, initial=0)), factor)]))
    return table[n]
