"""Long times: where the flow of a diagonal network ends, how fast it gets there, and the closed forms at both ends of the range.

A static problem in two unknowns: each coordinate sees its own signal through noise, theta* + tau Z, and shrinks it. Averages over Z are
integrals over the shrunken value instead, which is explicit: nothing is sampled, and no equation is solved for each Z.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np

from .. import _validate
from ..results import Result
from .model import LARGEST, SMALLEST, Setting

__all__ = ["LongTime", "basis_pursuit", "long_time", "minimum_norm", "spectrum_edge"]

POINTS, REACH = 4_001, 10.0
"""Nodes of a trapezoidal rule, and standard deviations that it covers."""


@dataclass(frozen=True, eq=False)
class LongTime(Result, axes={"": "excess_risk training_error tau shrinkage rate reaches"}):
    """What :func:`long_time` and its limits return.

    Attributes
    ----------
    excess_risk : float
        Mean of (theta - theta*)², over coordinates.
    training_error : float
        Mean square of X theta - y, over samples.
    tau : float
        Standard deviation of the effective noise of a coordinate.
    shrinkage : float
        kappa of theta + (kappa / 2) asinh(theta / alpha²) = theta* + tau Z, or the threshold where the limit is a soft threshold.
    rate : float
        mu of training error ~ exp(-2 mu t), per unit time; nan where the training error does not decay to zero exponentially.
    reaches : str
        In words, what the flow goes to.
    """

    excess_risk: float
    training_error: float
    tau: float
    shrinkage: float
    rate: float = field(default=math.nan)
    reaches: str = ""


def long_time(
    *, aspect_ratio: float = 0.5, init_scale: float = 0.3, noise: float = 0.1, sparsity: float = 0.1, weight_decay: float = 0.0
) -> LongTime:  # fmt: skip
    """Where the gradient flow of a diagonal linear network ends as t goes to infinity.

    Parameters
    ----------
    aspect_ratio, init_scale, noise, sparsity, weight_decay : float
        As in :func:`~trajlib.meanfield.solver.dmft`.

    Returns
    -------
    LongTime
        Without weight decay and with fewer samples than inputs, the interpolator that the initialisation selects; with more, least
        squares. With weight decay the LASSO, minimum of \\|X theta - y\\|² / 2 + weight_decay \\|theta\\|_1, whatever the initialisation.

    Raises
    ------
    TypeError, ValueError
        If a number is out of range; at aspect_ratio 1 without weight decay, where the excess risk has no limit.

    References
    ----------
    The model is that of Nishiyama, Imaizumi, arXiv 2510.01930; the equations are a reconstruction, by the replica-symmetric (approximate
    message passing) argument for separable convex penalties: M. Bayati, A. Montanari, IEEE Trans. Inf. Theory 58 (2012) 1997.

    Examples
    --------
    >>> end = long_time(aspect_ratio=0.5, init_scale=0.3)
    >>> f"{end.excess_risk:.4f}", f"{end.rate:.4f}"
    ('0.1895', '0.0349')
    """
    model = Setting(aspect_ratio, init_scale, noise, sparsity, weight_decay)
    if model.weight_decay > 0:
        return _soft_threshold(model, model.weight_decay, "LASSO")
    delta, variance = model.aspect_ratio, model.noise**2
    if delta > 1:
        risk = variance / (delta - 1)
        tau = math.sqrt((variance + risk) / delta)
        return LongTime(risk, variance * (1 - 1 / delta), tau, 0.0, reaches="least squares")
    _below_one(delta)
    return _interpolator(model)


def minimum_norm(*, aspect_ratio: float = 0.5, noise: float = 0.1) -> LongTime:
    """The limit of a large initialisation: the interpolator of least Euclidean norm, in closed form.

    Parameters
    ----------
    aspect_ratio : float
        Samples per input, below 1.
    noise : float
        Standard deviation of the noise of the targets.

    Returns
    -------
    LongTime
        Excess risk 1 - delta + sigma² delta / (1 - delta), for signals of mean square 1, sparse or not.

    Raises
    ------
    ValueError
        If aspect_ratio is not below 1.

    References
    ----------
    T. Hastie, A. Montanari, S. Rosset, R. Tibshirani, Ann. Statist. 50 (2022) 949.

    Examples
    --------
    >>> minimum_norm(aspect_ratio=0.5, noise=0.0).excess_risk
    0.5
    """
    model = Setting(aspect_ratio=aspect_ratio, noise=noise)
    delta = _below_one(model.aspect_ratio)
    risk = 1 - delta + model.noise**2 * delta / (1 - delta)
    tau = math.sqrt((model.noise**2 + risk) / delta)
    return LongTime(risk, 0.0, tau, math.inf, reaches="least Euclidean norm")


def basis_pursuit(*, aspect_ratio: float = 0.5, noise: float = 0.1, sparsity: float = 0.1) -> LongTime:
    """The limit of a small initialisation: the interpolator of least l1 norm.

    Parameters
    ----------
    aspect_ratio, noise, sparsity : float
        As in :func:`long_time`; aspect_ratio below 1.

    Returns
    -------
    LongTime
        Excess risk 0 where l1 minimisation finds theta* exactly (no noise, and few enough coordinates that are not zero).

    Raises
    ------
    ValueError
        If aspect_ratio is not below 1.

    References
    ----------
    D. Donoho, A. Maleki, A. Montanari, Proc. Natl. Acad. Sci. 106 (2009) 18914.

    Examples
    --------
    >>> basis_pursuit(aspect_ratio=0.5, noise=0.0, sparsity=0.1).excess_risk  # recovered exactly
    0.0
    """
    model = Setting(aspect_ratio=aspect_ratio, noise=noise, sparsity=sparsity)
    _below_one(model.aspect_ratio)
    return _soft_threshold(model, 0.0, "least l1 norm")


def spectrum_edge(rates: np.ndarray, weights: np.ndarray, aspect_ratio: float, *, side: str = "left") -> float:
    """An edge of the spectrum of X D X', for X (n, d) with entries of variance 1/d and a diagonal D, as n and d grow.

    Parameters
    ----------
    rates : ndarray (m,), float64
        Values of D, positive.
    weights : ndarray (m,), float64
        Their probabilities, which sum to 1.
    aspect_ratio : float
        n / d (delta); below 1 for the left edge, which is 0 otherwise.
    side : {"left", "right"}
        Which edge.

    Returns
    -------
    float
        Left: max over c > 0 of c (E[D / (c + delta D)] - 1). Right: min over c > delta max D of c (E[D / (c - delta D)] + 1).

    Raises
    ------
    TypeError, ValueError
        If an array is not float64 or does not fit, or a number is out of range.

    References
    ----------
    V. Marchenko, L. Pastur, Math. USSR Sb. 1 (1967) 457; J. Silverstein, S.-I. Choi, J. Multivariate Anal. 54 (1995) 295.

    Examples
    --------
    >>> one = np.ones(1)
    >>> edge = spectrum_edge(one, one, 0.25)  # Marchenko-Pastur: (1 - sqrt(delta))²
    >>> round(edge, 9)
    0.25
    """
    rates, weights = _validate.float64("rates", rates), _validate.float64("weights", weights)
    if rates.ndim != 1 or rates.size == 0 or rates.shape != weights.shape:
        raise ValueError(f"rates and weights must have one shape (m,), got {rates.shape}, {weights.shape}")
    if not ((rates >= SMALLEST) & (rates <= LARGEST)).all():
        raise ValueError(
            f"rates must be positive, between {SMALLEST:g} and {LARGEST:g}, got {rates.min()} to {rates.max()}"
        )
    if not ((weights >= 0).all() and abs(weights.sum() - 1) < 1e-3):
        raise ValueError(
            f"weights must be probabilities that sum to 1, got a sum of {_validate.shown(float(weights.sum()))}"
        )
    delta = _validate.positive("aspect_ratio", aspect_ratio)
    if _validate.choice("side", side, ("left", "right")) == "left":
        _below_one(delta)
        mean = float(weights @ rates)

        def value(s):
            c = mean * math.exp(s)
            return -c * (float(weights @ (rates / (c + delta * rates))) - 1.0)

        return -_minimum(value, math.log(float(rates.min()) / mean) - 40.0, 10.0)
    top = delta * float(rates.max())

    def value_above(s):
        c = top * (1.0 + math.exp(s))
        return c * (float(weights @ (rates / (c - delta * rates))) + 1.0)

    return _minimum(value_above, -20.0, 20.0)


def _below_one(delta: float) -> float:
    if delta >= 1:
        raise ValueError(f"aspect_ratio must be below 1 (fewer samples than inputs, or weight decay), got {delta}")
    return delta


def _minimum(value, low: float, high: float) -> float:
    """Least value of a function with one valley: a grid to find it, then Brent's method."""
    from scipy.optimize import minimize_scalar

    grid = np.linspace(low, high, 200)
    best = int(np.argmin([value(s) for s in grid]))
    bounds = (grid[max(best - 1, 0)], grid[min(best + 1, len(grid) - 1)])
    return float(minimize_scalar(value, bounds=bounds, method="bounded", options={"xatol": 1e-12}).fun)


def _atoms(model: Setting) -> list[tuple[float, float]]:
    """Values of theta* with their probabilities, up to the sign, by which nothing changes."""
    return [(p, value) for p, value in ((1.0 - model.sparsity, 0.0), (model.sparsity, model.signal)) if p > 0]


def _interpolator(model: Setting) -> LongTime:
    """theta + (kappa / 2) asinh(theta / alpha²) = theta* + tau Z, E[d theta / d(tau Z)] = delta, tau² = (sigma² + risk) / delta."""
    from scipy.optimize import brentq

    delta, a, variance = model.aspect_ratio, model.init_scale**2, model.noise**2

    def averages(tau: float, kappa: float, which: str) -> float:
        return float(sum((w * f).sum() for w, f in _shrunken(model, tau, kappa, which)))

    def solve(tau: float) -> tuple[float, float]:
        """kappa, and the excess risk."""

        def excess(s):
            return averages(tau, a * math.exp(s), "slope") - delta

        high = 1.0
        while excess(high) > 0:
            high += 2.0
        low = 0.0
        while excess(low) < 0:
            low -= 2.0
        kappa = a * math.exp(brentq(excess, low, high, xtol=1e-12))
        return kappa, averages(tau, kappa, "risk")

    def gap(s):
        tau = math.exp(s)
        return (variance + solve(tau)[1]) / delta / tau**2 - 1.0

    top = 0.5 * math.log((variance + 1.0) / delta / (1.0 - delta)) + 1.0
    low = top - 1.0
    while gap(low) < 0:
        low -= 1.0
    tau = math.exp(brentq(gap, low, top, xtol=1e-12))
    kappa, risk = solve(tau)
    parts = _shrunken(model, tau, kappa, "rates")
    weights, rates = (np.concatenate(arrays) for arrays in zip(*parts, strict=True))
    keep = weights > 0
    rate = spectrum_edge(rates[keep], weights[keep] / weights.sum(), delta)
    return LongTime(risk, 0.0, tau, kappa, rate, "the interpolator that the initialisation selects")


def _shrunken(model: Setting, tau: float, kappa: float, which: str) -> list[tuple[np.ndarray, np.ndarray]]:
    """For each atom: probabilities of nodes in s, where theta = a sinh s, and the values there of what is to be averaged.

    theta* + tau Z = a sinh s + kappa s / 2 rises with s, so that the density of s is known.
    """
    a = model.init_scale**2
    parts = []
    for p, star in _atoms(model):
        ends = [_invert(star + sign * REACH * tau, a, kappa) for sign in (-1.0, 1.0)]
        s, h = np.linspace(ends[0], ends[1], POINTS, retstep=True)
        theta, size = a * np.sinh(s), a * np.cosh(s)
        z = (theta + 0.5 * kappa * s - star) / tau
        weight = p * h * np.exp(-0.5 * z * z) / math.sqrt(2 * math.pi) * (size + 0.5 * kappa) / tau
        if which == "slope":
            parts.append((weight, size / (size + 0.5 * kappa)))
        else:
            parts.append((weight, (theta - star) ** 2 if which == "risk" else 2.0 * size))
    return parts


def _invert(x: float, a: float, kappa: float) -> float:
    """s with a sinh s + kappa s / 2 = x."""
    from scipy.optimize import brentq

    high = 1.000001 * math.asinh(abs(x) / a)
    return math.copysign(brentq(lambda s: a * math.sinh(s) + 0.5 * kappa * s - abs(x), 0.0, high) if high else 0.0, x)


def _soft_threshold(model: Setting, decay: float, reaches: str) -> LongTime:
    """State evolution of soft thresholding at chi * tau; delta - P(active) = decay / threshold."""
    from scipy.optimize import brentq

    delta, variance = model.aspect_ratio, model.noise**2

    def solve(tau: float) -> tuple[float, float, float]:
        """Threshold, probability of being active and excess risk at this effective noise."""

        def excess(s):
            zeta = tau * math.exp(s)
            return zeta * (delta - _active(model, tau, zeta)[0]) - decay

        low, high = -60.0, 0.0
        while excess(high) <= 0:
            high += 1.0
        if excess(low) > 0:  # more samples than inputs, hardly any decay: no threshold to speak of
            return 0.0, *_active(model, tau, 0.0)
        zeta = tau * math.exp(_last_root(excess, low, high))
        return zeta, *_active(model, tau, zeta)

    def gap(s):
        tau = math.exp(s)
        return (variance + solve(tau)[2]) / delta / tau**2 - 1.0

    high = 0.5 * math.log((variance + 1.0) / delta) + 1.0
    while gap(high) > 0:
        high += 1.0
    low = high - 1.0
    while gap(low) < 0:
        low -= 1.0
        if low < -25.0:  # theta* is found exactly
            return LongTime(0.0, 0.0, 0.0, 0.0, reaches=reaches)
    tau = math.exp(brentq(gap, low, low + 1.0, xtol=1e-13))
    zeta, active, risk = solve(tau)
    return LongTime(risk, (1.0 - active / delta) ** 2 * delta * tau**2 if decay else 0.0, tau, zeta, reaches=reaches)


def _last_root(f, low: float, high: float) -> float:
    """The largest root below ``high``, where f is positive: the branch on which the threshold rises with the decay."""
    from scipy.optimize import brentq

    grid = np.linspace(low, high, 400)
    last = max(i for i in range(len(grid) - 1) if f(grid[i]) <= 0)
    return brentq(f, grid[last], grid[last + 1], xtol=1e-14)


def _active(model: Setting, tau: float, zeta: float) -> tuple[float, float]:
    """Probability that the soft threshold lets theta* + tau Z through, and E(theta - theta*)²."""
    active = risk = 0.0
    for p, star in _atoms(model):
        for sign in (1.0, -1.0):  # above the threshold, below its negative
            edge = (zeta - sign * star) / tau
            upper = 0.5 * math.erfc(edge / math.sqrt(2))
            density = math.exp(-0.5 * edge * edge) / math.sqrt(2 * math.pi)
            chi = zeta / tau
            active += p * upper
            # E[(Z - chi)²; Z > edge]
            risk += p * tau**2 * ((1.0 + chi * chi) * upper + (edge - 2.0 * chi) * density)
        inside = 1.0 - sum(0.5 * math.erfc((zeta - sign * star) / tau / math.sqrt(2)) for sign in (1.0, -1.0))
        risk += p * star**2 * max(inside, 0.0)
    return active, risk
