"""The skew-lognormal law: maximum likelihood, its distance from the sample, and tests by parametric bootstrap.

ln x is skew-normal. Two places of its likelihood are awkward and are dealt with explicitly: α = 0, where it is stationary
whatever the data, and α = ±∞, where it may keep growing.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np

from .. import _validate
from ..results import Result

__all__ = ["SkewLognormal", "SkewLognormalTest", "fit_skew_lognormal", "skew_lognormal_test"]

LARGEST_ALPHA = 1e3  # beyond it the law is a half-normal one for any sample that fits into memory
LIMIT = float(np.arcsinh(LARGEST_ALPHA))
OBSERVED = 1e-9  # smallest eigenvalue of the information per point at which standard errors mean anything


@dataclass(frozen=True, eq=False)
class SkewLognormal(
    Result,
    axes={
        "": "xi omega alpha n log_likelihood log_likelihood_ratio p_value ks at_boundary",
        "coefficient": "standard_error",
    },
):
    """Law of x where ln x is skew-normal, f(x) = 2 / (ω x) φ(u) Φ(α u) with u = (ln x - ξ) / ω; α = 0 is the lognormal law.

    Attributes
    ----------
    xi, omega, alpha : float
        Location, scale and shape of ln x.
    standard_error : ndarray (3,)
        Of ξ, ω and α from the observed information; nan at the boundary. Near α = 0 the information is singular and they
        are far too large or meaningless: use the likelihood ratio there.
    n : int
        Number of points fitted.
    log_likelihood, log_likelihood_ratio : float
        Of x under the fit; twice its excess over the best lognormal law.
    p_value : float
        Of the likelihood ratio against α = 0 from χ² with one degree of freedom; see :func:`skew_lognormal_test`.
    ks : float
        Kolmogorov-Smirnov distance between the sample and the fit.
    at_boundary : bool
        The likelihood grows up to α = ±∞ (a half-normal law), as happens in small samples: α is then the limit ±1000 of the search.
    """

    xi: float
    omega: float
    alpha: float
    standard_error: np.ndarray = field(default_factory=lambda: np.full(3, np.nan), repr=False)
    n: int = 0
    log_likelihood: float = np.nan
    log_likelihood_ratio: float = np.nan
    p_value: float = np.nan
    ks: float = np.nan
    at_boundary: bool = False

    def pdf(self, x: np.ndarray) -> np.ndarray:
        """Density at x (...); zero for x <= 0."""
        x = _validate.numbers_of("x", x)
        inside = (x > 0) & (x < np.inf)
        y = np.where(inside, x, 1.0)
        density = np.exp(_log_density(np.log(y), self.xi, self.omega, self.alpha)) / y
        return np.where(inside, density, np.where(np.isnan(x), np.nan, 0.0))

    def cdf(self, x: np.ndarray) -> np.ndarray:
        """Distribution function at x (...)."""
        x = _validate.numbers_of("x", x)
        inside = (x > 0) & (x < np.inf)
        probability = _cdf(np.log(np.where(inside, x, 1.0)), self.xi, self.omega, self.alpha)
        return np.where(inside, probability, np.where(np.isnan(x), np.nan, np.where(x > 0, 1.0, 0.0)))

    def rvs(self, size: int | tuple[int, ...], *, seed: int) -> np.ndarray:
        """Independent draws of the given shape (PCG64)."""
        rng = np.random.Generator(np.random.PCG64(_validate.count("seed", seed)))
        size = tuple(_validate.count("size", each) for each in (size if isinstance(size, tuple) else (size,)))
        _validate.fit_in_memory("the draws", math.prod(size), "draw fewer")
        return np.exp(_draw(rng, size, self.xi, self.omega, self.alpha))


@dataclass(frozen=True, eq=False)
class SkewLognormalTest(
    Result,
    axes={
        "": "fit lr_p_value ks_p_value",
        "replicate": "lr_null ks_null",
    },
):
    """What :func:`skew_lognormal_test` returns: the fit, bootstrap p-values, and the replicates (replicates,) behind them.

    ``lr_p_value`` small: not lognormal. ``ks_p_value`` small: not skew-lognormal.
    """

    fit: SkewLognormal
    lr_p_value: float
    ks_p_value: float
    lr_null: np.ndarray = field(repr=False)
    ks_null: np.ndarray = field(repr=False)


def fit_skew_lognormal(x: np.ndarray) -> SkewLognormal:
    """Maximum likelihood of a skew-lognormal law.

    Parameters
    ----------
    x : ndarray
        At least ten positive numbers, of any shape, taken as independent.

    Returns
    -------
    SkewLognormal
        The best of several Newton searches (from the moments of ln x, from the other sign, from near a half-normal law);
        α = 0 exactly where none beats the lognormal law.

    Raises
    ------
    TypeError, ValueError
        If x is not float64, not finite, not positive, all equal, or fewer than ten numbers.

    Notes
    -----
    At α = 0 the information matrix of (ξ, ω, α) is singular and α converges as n^(-1/6) only. The likelihood ratio is still
    χ² with one degree of freedom in the limit, since the degeneracy is of odd order, but not exactly so in a finite sample.

    References
    ----------
    Azzalini, Scand. J. Statist. 12, 171 (1985): the skew-normal law. Rotnitzky, Cox, Bottai, Robins, Bernoulli 6, 243
    (2000): likelihood ratio where the information is singular.

    Examples
    --------
    >>> x = SkewLognormal(xi=0.5, omega=1.2, alpha=-3.0).rvs(4000, seed=0)
    >>> fit = fit_skew_lognormal(x)
    >>> (np.abs([fit.xi - 0.5, fit.omega - 1.2, fit.alpha + 3.0]) < 3 * fit.standard_error).all()
    np.True_
    """
    from scipy.special import chdtrc

    y = _logarithms(x)
    place, scale = y.mean(), y.std()
    u = (y - place) / scale
    xi, omega, alpha, value, normal = _maximise(u)
    ratio = max(2 * (value - normal), 0.0)
    boundary = abs(alpha) > 0.99 * LARGEST_ALPHA
    information = _derivatives(u, xi, omega, alpha)[1]
    error = np.full(3, np.nan)
    if not boundary and _regular(information, len(u)):
        error = np.sqrt(np.diag(np.linalg.inv(information))) * (scale, scale, 1.0)
    return SkewLognormal(
        float(place + scale * xi), float(scale * omega), float(alpha), error, len(y),
        float(value - len(y) * np.log(scale) - y.sum()), float(ratio), float(chdtrc(1, ratio)),
        _ks(u, xi, omega, alpha), boundary,
    )  # fmt: skip


def skew_lognormal_test(x: np.ndarray, *, replicates: int = 200, seed: int = 0) -> SkewLognormalTest:
    """Is x lognormal, and is it skew-lognormal? Parametric bootstrap, with a new fit to each replicate.

    Parameters
    ----------
    x : ndarray
        As in :func:`fit_skew_lognormal`; the replicates are independent draws, so x has to be.
    replicates, seed : int
        Samples of the size of x from either hypothesis, and their seed (PCG64).

    Returns
    -------
    SkewLognormalTest
        p = (1 + replicates at least as extreme) / (1 + replicates), of the likelihood ratio under the lognormal law and of
        the Kolmogorov-Smirnov distance under the fitted skew-lognormal law.

    Raises
    ------
    TypeError, ValueError
        As :func:`fit_skew_lognormal`.

    References
    ----------
    Stute, Gonzáles Manteiga, Presedo Quindimil, Metrika 40, 243 (1993): bootstrap of tests with estimated parameters.
    """
    fit = fit_skew_lognormal(x)
    rng = np.random.Generator(np.random.PCG64(_validate.count("seed", seed)))
    _validate.fit_in_memory("the replicates", 2 * _validate.count("replicates", replicates, 1), "take fewer")
    lr, ks = np.empty((2, replicates))
    for i in range(len(lr)):
        value, normal = _maximise(_standard(rng.standard_normal(fit.n)))[3:]
        lr[i] = max(2 * (value - normal), 0.0)
        u = _standard(_draw(rng, fit.n, 0.0, 1.0, fit.alpha))
        ks[i] = _ks(u, *_maximise(u)[:3])
    p = [
        float((1 + (null >= seen).sum()) / (1 + len(null)))
        for null, seen in ((lr, fit.log_likelihood_ratio), (ks, fit.ks))
    ]
    return SkewLognormalTest(fit, p[0], p[1], lr, ks)


def _logarithms(x: np.ndarray) -> np.ndarray:
    x = _validate.finite("x", _validate.float64("x", x)).ravel()
    if len(x) < 10 or (x <= 0).any():
        raise ValueError(
            f"x must be at least 10 positive numbers, got {len(x)}, {int((x <= 0).sum())} of them not positive"
        )
    y = np.log(x)
    if y.std() <= 1e-12 * max(1.0, float(np.abs(y).max())):
        raise ValueError(f"x must not be constant, got {len(x)} times {x[0]}")
    return y


def _standard(y: np.ndarray) -> np.ndarray:
    return (y - y.mean()) / y.std()


def _log_density(y, xi, omega, alpha):
    from scipy.special import log_ndtr

    u = (y - xi) / omega
    return np.log(2 / omega) - 0.5 * np.log(2 * np.pi) - 0.5 * u * u + log_ndtr(alpha * u)


def _cdf(y, xi, omega, alpha):
    from scipy.special import ndtr, owens_t

    u = (y - xi) / omega
    return np.clip(ndtr(u) - 2 * owens_t(u, alpha), 0.0, 1.0)


def _mills(z):
    """φ(z) / Φ(z), without overflow or cancellation."""
    from scipy.special import erfcx

    return np.sqrt(2 / np.pi) / erfcx(-z / np.sqrt(2))


def _draw(rng, size, xi, omega, alpha):
    delta = alpha / np.sqrt(1 + alpha**2)
    return xi + omega * (delta * np.abs(rng.standard_normal(size)) + np.sqrt(1 - delta**2) * rng.standard_normal(size))


def _ks(u, xi, omega, alpha) -> float:
    distribution, n = _cdf(np.sort(u), xi, omega, alpha), len(u)
    return float(max((np.arange(1, n + 1) / n - distribution).max(), (distribution - np.arange(n) / n).max()))


def _half_normal(u: np.ndarray) -> float:
    """Log-likelihood in the limit α = ∞, at its best place and scale."""
    scale = np.sqrt(np.mean((u - u.min()) ** 2))
    return float(len(u) * (np.log(2 / scale) - 0.5 * np.log(2 * np.pi) - 0.5))


def _maximise(u: np.ndarray) -> tuple[float, float, float, float, float]:
    """ξ, ω, α, the log-likelihood and that of the normal law, for u of mean 0 and variance 1.

    No search starts at α = 0: the gradient vanishes at the normal law.
    """
    normal = -len(u) * (0.5 * float(np.log(2 * np.pi)) + 0.5)
    best = 0.0, 1.0, 0.0, normal
    third = float(np.mean(u**3))
    sign, cube = (1.0 if third >= 0 else -1.0), np.cbrt(min(abs(third), 0.99) * 2 / (4 - np.pi)) ** 2
    moments = min(max(float(np.sqrt(np.pi / 2 * cube / (1 + cube))), 0.3), 0.98)
    for delta in (sign * moments, -sign * 0.6, sign * 0.9995):
        omega = 1 / np.sqrt(1 - 2 * delta**2 / np.pi)  # mean 0 and variance 1 at this shape
        start = -omega * delta * np.sqrt(2 / np.pi), np.log(omega), np.arcsinh(delta / np.sqrt(1 - delta**2))
        best = max(best, _climb(u, np.array(start)), key=lambda found: found[3])
    for side in (1.0, -1.0):  # where the half-normal limit is better, there is a way up to it
        if _half_normal(side * u) > best[3]:
            edge = side * (side * u).min()
            start = edge - 1e-3 * side, 0.5 * np.log(np.mean((u - edge) ** 2)), side * (LIMIT - 1)
            best = max(best, _climb(u, np.array(start)), key=lambda found: found[3])
    return *best, normal


def _climb(u: np.ndarray, theta: np.ndarray) -> tuple[float, float, float, float]:
    """Newton ascent in θ = (ξ, ln ω, arsinh α), |α| bounded: ξ, ω, α and the log-likelihood where it ends.

    Directions of the wrong curvature are climbed too; steps are limited, and halved until they gain. A general optimiser
    leaves digits that depend on its path; here the gradient is zero to rounding at the end.
    """
    n = len(u)
    value = _likelihood(u, theta)
    for _ in range(200):
        scale, alpha, stretch = np.exp(theta[1]), np.sinh(theta[2]), np.cosh(theta[2])
        gradient, information = _derivatives(u, theta[0], scale, alpha)
        outer = np.array([1.0, scale, stretch])
        information = outer[:, None] * information * outer - np.diag([0.0, scale * gradient[1], alpha * gradient[2]])
        gradient = outer * gradient
        if abs(theta[2]) >= LIMIT and gradient[2] * theta[2] > 0:  # stay on the bound
            gradient[2] = information[2, :2] = information[:2, 2] = 0.0
        size, axes = np.linalg.eigh(information)
        step = axes @ (axes.T @ gradient / np.maximum(np.abs(size), 1e-10 * n))
        gain = gradient @ step
        step *= min(1.0, 1.0 / np.abs(step).max(initial=1e-300))
        for _ in range(40):
            new = theta + step
            new[2] = np.clip(new[2], -LIMIT, LIMIT)
            trial = _likelihood(u, new)
            if trial > value or gain < 1e-11 * n:  # so close to the top the values differ by rounding
                break
            step /= 2
        else:
            break
        theta, value = new, trial
        if gain < 1e-18 * n or np.abs(step).max() < 1e-14:
            break
    return float(theta[0]), float(np.exp(theta[1])), float(np.sinh(theta[2])), value


def _likelihood(u: np.ndarray, theta: np.ndarray) -> float:
    return float(_log_density(u, theta[0], np.exp(theta[1]), np.sinh(theta[2])).sum())


def _derivatives(u, xi, omega, alpha) -> tuple[np.ndarray, np.ndarray]:
    """Gradient (3,) of the log-likelihood and observed information (3, 3) in ξ, ω, α."""
    v = (u - xi) / omega
    mills = _mills(alpha * v)
    bend = -mills * (alpha * v + mills)
    gradient = np.array([(v - alpha * mills).sum() / omega, (v * v - alpha * v * mills - 1).sum() / omega, v @ mills])
    xx = ((alpha**2 * bend - 1) / omega**2).sum()
    xo = ((alpha * mills - 2 * v + alpha**2 * v * bend) / omega**2).sum()
    oo = ((1 - 3 * v**2 + 2 * alpha * v * mills + alpha**2 * v**2 * bend) / omega**2).sum()
    xa, oa = -(mills + alpha * v * bend).sum() / omega, -(v * mills + alpha * v**2 * bend).sum() / omega
    return gradient, -np.array([[xx, xo, xa], [xo, oo, oa], [xa, oa, (v**2 * bend).sum()]])


def _regular(information: np.ndarray, n: int) -> bool:
    """Finite and positive definite beyond rounding."""
    return bool(np.isfinite(information).all() and np.linalg.eigvalsh(information)[0] > OBSERVED * n)
