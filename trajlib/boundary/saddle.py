"""Chaotic saddles: how fast orbits leave, how fast they part while they stay, and the dimension that follows from the two.

A saddle is a set that is chaotic and that almost no orbit stays on. What a picture of outcomes shows as a fractal boundary are the initial
conditions, or parameters, whose orbits never leave it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from .. import _validate
from ..dynamics.protocol import initial
from ..engines import ctrl_c_waits
from ..progress import Interrupted, progress_bar
from ..results import Result
from ..stability.lyapunov import lyapunov_spectrum

__all__ = [
    "EscapeRate",
    "SaddleDimension",
    "SaddleExponent",
    "escape_rate",
    "kantz_grassberger",
    "lifetimes",
    "saddle_exponent",
]

EXITS = 20
"""Orbits that leave in an interval of steps, at least, that is compared with the others."""
LEVEL = 0.01
"""Where the orbits leave at one rate, it is missed (begins later) in so many cases."""
FEWEST = 30
"""Orbits that an average takes at least."""


@dataclass(frozen=True, eq=False)
class EscapeRate(Result, axes={"": "rate standard_error start orbits resolved", "step": "survivors"}):
    """What :func:`escape_rate` returns.

    Attributes
    ----------
    rate : float
        kappa of (orbits that are left after t steps) ~ exp(-kappa t), per step; nan where no range of steps has one.
    standard_error : float
        Binomial; nan likewise.
    start : int
        Step from which on orbits leave at this rate; -1 likewise.
    orbits : int
        Orbits that are left then; 0 likewise.
    resolved : bool
        Whether from ``start`` on the rate is constant within the scatter while at least two in three orbits leave.
    survivors : ndarray (steps + 1,), int
        Orbits that are left after 0, 1, ... steps.
    """

    rate: float
    standard_error: float
    start: int
    orbits: int
    resolved: bool
    survivors: np.ndarray = field(repr=False)


@dataclass(frozen=True, eq=False)
class SaddleExponent(
    Result,
    axes={"vector": "exponent=exponents standard_error", "": "orbits resolved", "vector half": "halves"},
):
    """What :func:`saddle_exponent` returns, for the k largest exponents.

    Attributes
    ----------
    exponents : ndarray (k,)
        Lyapunov exponents on the saddle, per step, largest first: averages over the orbits; nan where not ``resolved``.
    standard_error : ndarray (k,)
        From the scatter of the orbits, which are independent, and half of what the halves differ by.
    halves : ndarray (k, 2)
        Averages over the first and the second half of the steps.
    orbits : int
        How many orbits.
    resolved : bool
        Whether there are 30 orbits, and the halves agree within four standard errors of their difference: near the ends of its
        stay an orbit is on the way to the saddle, or from it.
    """

    exponents: np.ndarray
    standard_error: np.ndarray
    halves: np.ndarray = field(repr=False)
    orbits: int
    resolved: bool


@dataclass(frozen=True, eq=False)
class SaddleDimension(Result, axes={"": "dimension standard_error rate exponent resolved"}):
    """What :func:`kantz_grassberger` returns.

    Attributes
    ----------
    dimension : float
        D - kappa / lambda; nan where not ``resolved``.
    standard_error : float
        From those of the two; nan likewise.
    rate, exponent : float
        kappa and lambda.
    resolved : bool
        Whether both are, no second exponent is positive, and kappa is not larger than lambda.
    """

    dimension: float
    standard_error: float
    rate: float
    exponent: float
    resolved: bool


def lifetimes(
    gd, points: np.ndarray, inside: Callable[[np.ndarray], np.ndarray], steps: int, *, progress: bool | None = None
) -> np.ndarray:
    """How long orbits stay in a region: sprinkle points over it, iterate, and see when each is out for the first time.

    Parameters
    ----------
    gd : GradientDescent, or any map with ``step`` or ``__call__``
        The map.
    points : ndarray (n, p), float64
        Where the orbits begin.
    inside : callable
        ``inside(states)``, (m, p) to (m,) bool: whether a state is in the region, which holds the saddle and no attractor.
    steps : int
        Steps, >= 1.
    progress : bool, optional
        As in :func:`~trajlib.ensembles.train`.

    Returns
    -------
    ndarray (n,), int
        Steps after which an orbit is out for the first time, from 0; -1 where it is still inside after ``steps``.

    Raises
    ------
    TypeError, ValueError
        If an argument has the wrong type, shape or range.
    Interrupted
        On Ctrl-C, with the lifetimes so far: -1 where an orbit was still inside.

    References
    ----------
    H. Kantz, P. Grassberger, Physica D 17 (1985) 75; Y.-C. Lai, T. Tél, Transient Chaos (Springer, 2011), section 1.2.

    Examples
    --------
    >>> tent = lambda x: 3.0 * np.minimum(x, 1.0 - x)
    >>> lifetimes(tent, np.array([[0.5], [0.2], [0.25]]), lambda x: x[:, 0] >= 0, steps=50)
    array([ 2,  3, -1])
    """
    gd, z = initial(gd, _validate.float64("points", points))
    steps = _validate.count("steps", steps, 1)
    left_at = np.full(len(z), -1)
    rows = np.arange(len(z))
    bar = progress_bar(progress, steps, "lifetimes")
    try:
        with ctrl_c_waits() as pressed:
            for t in range(steps + 1):
                stays = np.asarray(inside(z))
                if stays.shape != (len(z),) or stays.dtype != bool:
                    raise ValueError(
                        f"inside must give a bool for each of {len(z)} states, got {stays.dtype} of shape {stays.shape}"
                    )
                left_at[rows[~stays]] = t
                rows, z = rows[stays], z[stays]
                if t == steps or not len(z):
                    break
                if pressed:
                    raise Interrupted(left_at, f"after {t} of {steps} steps")
                with np.errstate(all="ignore"):
                    z = gd.step(z, t)
                if bar is not None:
                    bar.update()
    finally:
        if bar is not None:
            bar.close()
    return left_at


def escape_rate(left_at: np.ndarray, steps: int) -> EscapeRate:
    """The rate at which orbits leave, from their lifetimes, once they leave at one rate.

    The shares of the orbits that leave in the intervals from a step on (as many steps each as let 20 leave) are compared with one
    share by chi\\ :sup:`2`; the first step from which they agree (p above 0.01) is where the rate begins.

    Parameters
    ----------
    left_at : ndarray (n,), int
        As :func:`lifetimes` gives it.
    steps : int
        Steps after which an orbit with -1 was still inside.

    Returns
    -------
    EscapeRate

    Raises
    ------
    TypeError, ValueError
        If an argument has the wrong type, shape or range.

    Examples
    --------
    >>> left = np.random.default_rng(0).geometric(0.25, 10_000)
    >>> found = escape_rate(np.where(left > 30, -1, left), steps=30)
    >>> found.resolved, round(found.rate, 2), round(float(-np.log(0.75)), 2)
    (True, 0.29, 0.29)
    """
    from scipy.stats import chi2

    steps = _validate.count("steps", steps, 1)
    left_at = np.asarray(_validate.unmasked("left_at", left_at))
    if left_at.ndim != 1 or left_at.dtype.kind not in "iu":
        raise TypeError(f"left_at must be a row of integers, one an orbit, got {_validate.shown(left_at)}")
    if ((left_at < -1) | (left_at > steps)).any():
        raise ValueError(f"left_at must be from 0 to steps = {steps}, or -1, got {left_at.min()} to {left_at.max()}")
    exits = np.bincount(left_at[left_at >= 0], minlength=steps + 1)
    survivors = len(left_at) - np.cumsum(exits)
    before = survivors + exits  # at risk in the step that ends at t
    for start in range(steps):
        out, risk = _intervals(exits[start + 1 :], before[start + 1 :])
        if len(out) < 3 or survivors[start] < 3 * survivors[-1]:
            break
        share = out.sum() / risk.sum()
        scatter = ((out - risk * share) ** 2 / (risk * share * (1.0 - share))).sum() if share < 1 else 0.0
        if chi2.sf(scatter, len(out) - 1) > LEVEL:
            error = float(np.sqrt(share / ((1.0 - share) * risk.sum()))) if share < 1 else np.nan
            return EscapeRate(float(-np.log1p(-share)), error, start, int(survivors[start]), True, survivors)
    return EscapeRate(np.nan, np.nan, -1, 0, False, survivors)


def _intervals(exits: np.ndarray, risk: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Exits and orbit-steps at risk, in intervals with at least ``EXITS`` exits; what is left at the end goes to the last one."""
    out: list[int] = []
    at: list[int] = []
    begin, total = 0, 0
    for i, number in enumerate(exits):
        total += number
        if total >= EXITS:
            out.append(total)
            at.append(int(risk[begin : i + 1].sum()))
            begin, total = i + 1, 0
    if out:
        out[-1] += total
        at[-1] += int(risk[begin:].sum())
    return np.array(out), np.array(at)


def saddle_exponent(
    gd, points: np.ndarray, steps: int, *, transient: int, tail: int, k: int | None = None, seed: int = 0,
    threads: int | None = None, progress: bool | None = None,
) -> SaddleExponent:  # fmt: skip
    """Lyapunov exponents on a saddle, from orbits that stay near it for so many steps.

    The first ``transient`` steps, in which orbits come near the saddle along its stable directions and vectors align, and the last
    ``tail``, in which they are about to leave along the unstable ones, are left out.

    Parameters
    ----------
    gd : GradientDescent, or any map with ``step`` or ``__call__``, and ``jvp`` or ``jacobian``
        The map.
    points : ndarray (n, p), float64
        Where orbits begin that stay: ``points[lifetimes(...) < 0]``.
    steps : int
        Steps that they are known to stay.
    transient, tail : int
        Steps at the beginning and at the end; at least four must be left between.
    k : int, optional
        Exponents; by default two, which says whether there is one unstable direction, of a map of one variable one.
    seed : int
        Of the vectors.
    threads, progress
        As in :func:`~trajlib.ensembles.train`.

    Returns
    -------
    SaddleExponent

    Raises
    ------
    TypeError, ValueError
        If an argument has the wrong type, shape or range.
    Interrupted
        On Ctrl-C.

    References
    ----------
    The sprinkler method: H. Kantz, P. Grassberger, Physica D 17 (1985) 75; Y.-C. Lai, T. Tél, Transient Chaos (Springer, 2011).
    """
    points = _validate.float64("points", points)
    if points.ndim != 2 or not len(points):
        raise ValueError(f"points must have shape (n, p) with n >= 1: no orbit stays, or got shape {points.shape}")
    steps, transient, tail = (
        _validate.count(name, value) for name, value in (("steps", steps), ("transient", transient), ("tail", tail))
    )
    if steps - transient - tail < 4:
        raise ValueError(f"steps - transient - tail must be at least 4, got {steps} - {transient} - {tail}")
    k = min(2, points.shape[1]) if k is None else _validate.count("k", k, 1)
    spectrum = lyapunov_spectrum(
        gd, points, steps - transient - tail, k=k, transient=transient, blocks=4, seed=seed, threads=threads,
        progress=progress,
    )  # fmt: skip
    each = spectrum.growth.reshape(len(points), k, 2, 2).mean(axis=-1)  # (n, k, halves)
    n = len(each)
    if n < 2:
        nan = np.full(k, np.nan)
        return SaddleExponent(nan, nan, each.mean(axis=0), n, False)
    apart = each[..., 1] - each[..., 0]
    agree = np.abs(apart.mean(axis=0)) <= 4 * apart.std(axis=0, ddof=1) / np.sqrt(n) + 1e-12
    error = np.hypot(each.mean(axis=-1).std(axis=0, ddof=1) / np.sqrt(n), 0.5 * apart.mean(axis=0))
    resolved = bool(n >= FEWEST and agree.all())
    mean = each.mean(axis=(0, 2))
    return SaddleExponent(mean if resolved else np.full(k, np.nan), error, each.mean(axis=0), n, resolved)


def kantz_grassberger(rate: EscapeRate, exponent: SaddleExponent, *, dimensions: int = 1) -> SaddleDimension:
    """The dimension of the points whose orbits stay on a saddle with one unstable direction: D = dimensions - kappa / lambda.

    It is the information dimension of the natural measure, at most the box-counting dimension.

    Parameters
    ----------
    rate : EscapeRate
        kappa.
    exponent : SaddleExponent
        lambda, the first exponent.
    dimensions : int
        Of the space that is looked at: 1 along the unstable direction, 2 in a picture.

    Returns
    -------
    SaddleDimension

    Raises
    ------
    TypeError, ValueError
        If an argument has the wrong type or range.

    References
    ----------
    H. Kantz, P. Grassberger, Physica D 17 (1985) 75.
    """
    if not isinstance(rate, EscapeRate) or not isinstance(exponent, SaddleExponent):
        raise TypeError(
            "rate and exponent must be what escape_rate and saddle_exponent return, got "
            f"{type(rate).__name__} and {type(exponent).__name__}"
        )
    dimensions = _validate.count("dimensions", dimensions, 1)
    kappa, of_kappa = rate.rate, rate.standard_error
    first, of_first = float(exponent.exponents[0]), float(exponent.standard_error[0])
    second = exponent.exponents[1:] - 2 * exponent.standard_error[1:]
    if not (rate.resolved and exponent.resolved and first > 0 and kappa <= first and not (second > 0).any()):
        return SaddleDimension(np.nan, np.nan, kappa, first, False)
    ratio = kappa / first
    error = ratio * float(np.hypot(of_kappa / kappa, of_first / first))
    return SaddleDimension(dimensions - ratio, error, kappa, first, True)
