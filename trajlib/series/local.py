"""Chaos from one series of numbers: autocorrelation against shuffles, and local exponents after Kantz.

A straight line through ln(divergence) can be significant for noise too: neighbours part in one step, then diffuse. So every
local exponent also says whether exponential growth could be told from that (``resolved``).
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from functools import cache

import numpy as np

from .. import _scale, _validate
from ..results import Result

__all__ = ["Autocorrelation", "LocalExponents", "autocorrelation", "local_exponents"]

CHUNK = 1 << 18  # numbers in a block of shuffles: bounded memory, whatever their count
ALPHA = 0.05  # level of the t-test of the slope (the paper's)
SMALL = 3_000_000  # candidates times steps, a few ms: below, threads cost more than they gain
ROOM = 0.1
"""A fitted stretch must begin below this share of the distance between random points: a decade to grow in. Linear noise of
autocorrelation φ at lag 1 begins at (1 - φ²)^½ of it."""
JUMP = 0.5
"""The step before the fit may add at most this share of the growth along it. Exponential growth adds about 1 / (horizon - 1),
times the fluctuation of the local rate; noise does nearly all of its growth there."""


@dataclass(frozen=True, eq=False)
class Autocorrelation(
    Result, axes={"... lag": "value=values low high significant"}, lead=("series",), labels={"lag": "lags"}
):
    """What :func:`autocorrelation` returns.

    Attributes
    ----------
    lags : ndarray (L + 1,), int
        0, 1, ..., L steps.
    values : ndarray (..., L + 1)
        Autocorrelation, 1 at lag 0; nan for a constant series and for one with nan or inf.
    low, high : ndarray (..., L + 1)
        Band that holds the stated share of the shuffled series at each lag.
    """

    lags: np.ndarray = field(repr=False)
    values: np.ndarray = field(repr=False)
    low: np.ndarray = field(repr=False)
    high: np.ndarray = field(repr=False)

    @property
    def significant(self) -> np.ndarray:
        """Outside the band, (..., L + 1), bool. Pointwise: of the lags of white noise, 1 - level are outside by chance."""
        return (self.values < self.low) | (self.values > self.high)


def autocorrelation(
    series: np.ndarray, max_lag: int, *, shuffles: int = 1000, level: float = 0.95, seed: int = 0
) -> Autocorrelation:
    """Autocorrelation of each series, with the band that shuffled copies of it stay in.

    The biased estimator: sum over t of (x(t) - m)(x(t + l) - m), divided by its value at lag 0, with m the mean of the
    whole series. Every series of a batch gets the same shuffles as it would alone.

    Parameters
    ----------
    series : ndarray (..., n)
        At consecutive steps.
    max_lag : int
        L, in steps; below n.
    shuffles : int
        Random permutations that make the band.
    level : float
        Share of the shuffles inside the band, between 0 and 1.
    seed : int

    Returns
    -------
    Autocorrelation

    Raises
    ------
    TypeError, ValueError
        If the series are not float64 or not longer than ``max_lag``, or the shuffles are too few for the level.

    References
    ----------
    Danovski, Soriano, Lacasa, arXiv 2404.05782, section 4.2, figure 10.

    Examples
    --------
    >>> square = np.tile([1.0, -1.0], 100)
    >>> found = autocorrelation(square, 2)
    >>> found.values, found.significant
    (array([ 1.   , -0.995,  0.99 ]), array([False,  True,  True]))
    """
    series = _validate.float64("series", series)
    max_lag, shuffles = _validate.count("max_lag", max_lag), _validate.count("shuffles", shuffles, 1)
    level, seed = _validate.positive("level", level), _validate.count("seed", seed)
    if not level < 1 or shuffles * (1 - level) < 2 - 1e-9:
        raise ValueError(f"level must be at most 1 - 2 / shuffles = {1 - 2 / shuffles:.6g}, got {level}")
    if series.ndim == 0 or series.shape[-1] <= max_lag:
        raise ValueError(f"series must have shape (..., more than max_lag = {max_lag} steps), got {series.shape}")
    _validate.fit_in_memory("the band of the shuffles", shuffles * (max_lag + 1), "take fewer shuffles or lags")
    rows = series.reshape(-1, series.shape[-1])
    found = np.full((3, len(rows), max_lag + 1), np.nan)
    tail, chunk = 100 * (1 - level) / 2, max(1, CHUNK // rows.shape[1])
    for i, row in enumerate(rows):
        if not np.isfinite(row).all() or row.max() == row.min():
            continue
        row = np.ldexp(row, -_scale.exponent(row))  # sums and differences neither overflow nor lose digits
        rng, band = np.random.default_rng(seed), np.empty((shuffles, max_lag + 1))
        for first in range(0, shuffles, chunk):
            part = band[first : first + chunk]
            part[:] = _correlate(rng.permuted(np.tile(row, (len(part), 1)), axis=1), max_lag)
        found[0, i] = _correlate(row[None], max_lag)[0]
        found[1:, i] = np.percentile(band, (tail, 100 - tail), axis=0)
    return Autocorrelation(np.arange(max_lag + 1), *found.reshape(3, *series.shape[:-1], max_lag + 1))


def _correlate(rows: np.ndarray, max_lag: int) -> np.ndarray:
    """Autocorrelation of rows (m, n) up to a lag, by FFT; padded, so that nothing wraps around."""
    rows = rows - rows.mean(axis=1, keepdims=True)
    rows = rows / np.abs(rows).max(axis=1, keepdims=True)  # squares neither overflow nor underflow
    size = 1 << (rows.shape[1] + max_lag - 1).bit_length()
    spectrum = np.fft.rfft(rows, size, axis=1)
    sums = np.fft.irfft(spectrum.real**2 + spectrum.imag**2, size, axis=1)[:, : max_lag + 1]
    return sums / sums[:, :1]


@dataclass(frozen=True, eq=False)
class LocalExponents(
    Result,
    axes={
        "reference": "rate standard_error p_value r2 stop neighbours start_value resolved significant positive chaotic",
        "reference horizon": "divergence",
        "horizon": "curve",
        "": "level",
    },
    labels={"reference": "references"},
):
    """What :func:`local_exponents` returns, for m reference points and horizon H.

    Attributes
    ----------
    references : ndarray (m,), int
        Index of each reference point in the series (of the last component, where there are delay vectors).
    rate : ndarray (m,)
        Local exponent Λ per step; nan with too few neighbours, or where they are identical to the reference.
    standard_error, p_value, r2 : ndarray (m,)
        Of the fit, as ordinary least squares gives them: standard error of the rate per step, two-sided t-test of rate 0,
        coefficient of determination. Residuals along one stretch are correlated, so the p-value is nominal.
    stop : ndarray (m,), int
        Steps 1 <= k < stop were fitted; -1 where there is no fit.
    neighbours : ndarray (m,), int
        How many neighbours the reference has, enough or not.
    divergence : ndarray (m, H + 1)
        Mean over the neighbours of \\|x(j + k) - x(i + k)\\|, k = 0, ..., H; nan without neighbours.
    start_value : ndarray (m,)
        The series at the reference points.
    resolved : ndarray (m,), bool
        Exponential growth can be told from noise and from a steady drift apart; see :func:`local_exponents`.
    level : float
        Mean distance between two points of the series, over all pairs: where a chaotic divergence ends up.
    """

    references: np.ndarray = field(repr=False)
    rate: np.ndarray = field(repr=False)
    standard_error: np.ndarray = field(repr=False)
    p_value: np.ndarray = field(repr=False)
    r2: np.ndarray = field(repr=False)
    stop: np.ndarray = field(repr=False)
    neighbours: np.ndarray = field(repr=False)
    divergence: np.ndarray = field(repr=False)
    start_value: np.ndarray = field(repr=False)
    resolved: np.ndarray = field(repr=False)
    level: float

    @property
    def significant(self) -> np.ndarray:
        """The t-test rejects rate 0: p <= 0.05, (m,), bool."""
        return self.p_value <= ALPHA

    @property
    def positive(self) -> np.ndarray:
        """Significant and growing, (m,), bool: the paper's criterion. Linear noise passes it too."""
        return self.significant & (self.rate > 0)

    @property
    def chaotic(self) -> np.ndarray:
        """Positive and resolved, (m,), bool."""
        return self.positive & self.resolved

    @property
    def curve(self) -> np.ndarray:
        """Kantz's S(k), (H + 1,): mean of ln(divergence) over the points with a fit and no zero. Its slope is the exponent."""
        usable = np.isfinite(self.rate) & (self.divergence > 0).all(axis=1)
        if not usable.any():
            return np.full(self.divergence.shape[1], np.nan)
        return np.log(self.divergence[usable]).mean(axis=0)


def local_exponents(
    series: np.ndarray,
    *,
    radius: float,
    horizon: int = 10,
    references: int | np.ndarray = 1000,
    theiler: int = 0,
    dimension: int = 1,
    delay: int = 1,
    window: tuple[int, int] | None = None,
    min_neighbours: int = 1,
    seed: int = 0,
) -> LocalExponents:
    """Local exponents of a scalar series: how fast the neighbours of each reference point move away from it.

    The variant of Kantz: all neighbours within a radius are averaged, ln of their mean distance is fitted against time, one
    line a reference point. Step 0 is not fitted. ``resolved`` asks of that line, beyond its significance, that

    1. it begins (step 1) below a tenth of ``level``, the distance of random points: there is room to grow;
    2. the step before it, 0 to 1, adds to ln(divergence) at most half of what the line adds. Noise jumps there, whatever the
       radius, and so do neighbours in the value that are none in the state (``dimension`` too small);
    3. along it the divergence grows by more than the ratio of its last step to its first. That is what a steady drift apart
       reaches, as of two orbits of slightly different frequency; diffusion reaches the root of it.

    All three are needed: noise of short memory fails 1 and 2, a random walk 2 or (coarse radius) 3, regular motion 3. Of points on
    AR(1) noise, φ 0 to 0.99, below 0.1 % pass, of a random walk below 0.5 %; up to 90 % are ``positive``. The price: rates
    below ln(horizon) / (horizon - 1), 0.26 per step at horizon 10, are never resolved.

    Parameters
    ----------
    series : ndarray (n,)
        At consecutive steps.
    radius : float
        Neighbours are closer than this in the maximum norm, in units of the series.
    horizon : int
        H, steps to follow; at least 3.
    references : int or ndarray (m,) of int
        How many random points, all different, in increasing order; or the indices themselves.
    theiler : int
        Neighbours are more than this many steps away in time: 0 excludes the point itself only (the authors' way).
    dimension, delay : int
        Delay vectors (x(i - (dimension - 1) delay), ..., x(i)) decide who is a neighbour; distances are those of x alone.
    window : (int, int), optional
        Instead of steps 1 ... H, fit steps 1 ... end, with the end between these two, inclusive, of the largest R².
    min_neighbours : int
        No fit with fewer.
    seed : int

    Returns
    -------
    LocalExponents

    Raises
    ------
    TypeError, ValueError
        If the series is not finite float64 or too short, a reference has no past or future, or an option is out of range.

    References
    ----------
    H. Kantz, Phys. Lett. A 185 (1994) 77; J. Theiler, Phys. Rev. A 34 (1986) 2427; Danovski, Soriano, Lacasa,
    arXiv 2404.05782, section 4.2, figure 11 (radius, step 0 left out, t-test, windows 5 to 25).

    Examples
    --------
    >>> x = [0.1234]
    >>> for _ in range(4999):
    ...     x.append(4 * x[-1] * (1 - x[-1]))
    >>> local = local_exponents(np.array(x), radius=1e-3)
    >>> print(f"{np.diff(local.curve[1:7]).mean():.1f} {local.chaotic.mean():.1f}")
    0.7 1.0
    """
    from scipy.special import stdtr

    series = _validate.float64("series", series)
    if series.ndim != 1:
        raise ValueError(f"series must have shape (n,), one series, got {series.shape}")
    _validate.finite("series", series)
    radius = _validate.positive("radius", radius)
    horizon, theiler = _validate.count("horizon", horizon, 3), _validate.count("theiler", theiler)
    dimension, delay = _validate.count("dimension", dimension, 1), _validate.count("delay", delay, 1)
    min_neighbours = _validate.count("min_neighbours", min_neighbours, 1)
    ends = _ends(window, horizon)
    first, last = (dimension - 1) * delay, len(series) - 1 - horizon
    if last <= first:
        raise ValueError(f"series must have at least {first + horizon + 2} steps for this horizon, got {len(series)}")
    chosen = _choose(references, first, last, seed)
    if power := int(_scale.exponent(series)):  # differences and sums of the largest numbers overflow
        scaled = local_exponents(
            np.ldexp(series, -power), radius=float(np.ldexp(radius, -power)), horizon=horizon, references=chosen,
            theiler=theiler, dimension=dimension, delay=delay, window=window, min_neighbours=min_neighbours,
        )  # fmt: skip
        with np.errstate(over="ignore"):
            back = {"divergence": np.ldexp(scaled.divergence, power), "level": float(np.ldexp(scaled.level, power))}
        return replace(scaled, **back, start_value=series[chosen])
    divergence, found = _follow(series, chosen, (first, last), radius, theiler, dimension, delay)
    grown = divergence[:, 1 : ends[-1] + 1]
    usable = (found >= min_neighbours) & (grown > 0).all(axis=1)
    y = np.log(np.where(usable[:, None], grown, 1.0))
    with np.errstate(divide="ignore", invalid="ignore"):  # where the distance stays, the slope is rounding
        rounding = 8 * np.finfo(float).eps * np.abs(series).max() / grown.min(axis=1, keepdims=True)
    y = np.where(np.ptp(y, axis=1, keepdims=True) <= rounding, y[:, :1], y)
    fits = np.array([_lines(y[:, :end]) for end in ends])  # (ends, 3, m)
    best = fits[:, 2].argmax(axis=0)
    rate, error, r2 = np.where(usable, fits[best, :, np.arange(len(chosen))].T, np.nan)
    end, n = np.array(ends)[best], len(series)
    level = float(((4.0 * np.arange(n) - 2 * (n - 1)) * np.sort(series - series.mean())).sum() / (n * (n - 1)))
    with np.errstate(divide="ignore", invalid="ignore"):
        p_value = np.where(rate == 0, 1.0, 2 * stdtr(end - 2, -np.abs(rate / error)))
        jump, growth = np.log(divergence[:, 1] / divergence[:, 0]), rate * (end - 1)
    resolved = (divergence[:, 1] < ROOM * level) & (jump <= JUMP * growth) & (growth > np.log(end))
    stop = np.where(usable, end + 1, -1)
    return LocalExponents(chosen, rate, error, p_value, r2, stop, found, divergence, series[chosen], resolved, level)


def _ends(window: tuple[int, int] | None, horizon: int) -> range:
    """Last steps of the windows to try."""
    if window is None:
        return range(horizon, horizon + 1)
    if not isinstance(window, tuple | list) or len(window) != 2:
        raise TypeError(f"window must be None or two ends such as (5, 25), got {_validate.shown(window)}")
    low, high = (_validate.count("each end of window", end, 3) for end in window)
    if not low <= high <= horizon:
        raise ValueError(f"window must be (low, high) with low <= high <= horizon = {horizon}, got {tuple(window)}")
    return range(low, high + 1)


def _choose(references: int | np.ndarray, first: int, last: int, seed: int) -> np.ndarray:
    """Indices of the reference points, all between first and last."""
    seed = _validate.count("seed", seed)
    if not isinstance(references, np.ndarray | list | tuple):
        wanted, available = _validate.count("references", references, 1), last + 1 - first
        if wanted > available:
            raise ValueError(f"references must be at most {available}, the points with past and future, got {wanted}")
        return first + np.sort(np.random.default_rng(seed).choice(available, wanted, replace=False))
    chosen = np.asarray(_validate.unmasked("references", references))
    if chosen.ndim != 1 or len(chosen) == 0 or not np.issubdtype(chosen.dtype, np.integer):
        raise TypeError(f"references must be a count or integers (m,), got {chosen.dtype} of shape {chosen.shape}")
    bad = (chosen < first) | (chosen > last)
    if bad.any():
        raise ValueError(f"references must lie in {first} ... {last}, to have past and future, got {chosen[bad][0]}")
    return chosen.astype(np.int64)


def _lines(y: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Slope, its standard error and R² of straight lines through y (m, k) at steps 1 ... k; R² of a constant is 0."""
    steps = y.shape[1]
    t, y = np.arange(steps) - (steps - 1) / 2, y - y.mean(axis=1, keepdims=True)
    slope = (y * t).sum(axis=1) / (t @ t)
    rest, total = ((y - slope[:, None] * t) ** 2).sum(axis=1), (y * y).sum(axis=1)
    r2 = np.where(total > 0, 1 - rest / np.where(total > 0, total, 1.0), 0.0)
    return slope, np.sqrt(rest / (steps - 2) / (t @ t)), r2


def _follow(series, chosen, ends, radius, theiler, dimension, delay) -> tuple[np.ndarray, np.ndarray]:
    """Divergence (m, H + 1) and number of neighbours (m,); neither depends on how the reference points are shared out."""
    from ..engines import n_threads

    steps = len(series) - ends[1]
    candidates = series[ends[0] : ends[1] + 1]
    order = np.argsort(candidates)
    if (np.diff(candidates[order]) == 0).any():  # the quicker sort leaves ties in an order of its own
        order = np.argsort(candidates, kind="stable")
    values = candidates[order]
    reach = radius + 1e-15 * (np.abs(series[chosen]) + radius)  # rounding of the ends; the exact test is the kernel's
    low, high = np.searchsorted(values, [series[chosen] - reach, series[chosen] + reach])
    sums, neighbours = np.empty((len(chosen), -(-steps // 4) * 4)), np.empty(len(chosen), dtype=np.int64)
    fixed = np.append(series, np.zeros(3)), ends[0] + order, values, radius, theiler, dimension, delay
    each, kernel, threads = (chosen, low, high, sums, neighbours), _compiled(), n_threads(None)
    threads = threads if (high - low).sum() * steps > SMALL else 1
    cuts = np.linspace(0, len(chosen), 4 * threads + 1).astype(int)
    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(lambda a, b: kernel(*fixed, *(array[a:b] for array in each)), cuts[:-1], cuts[1:]))
    with np.errstate(invalid="ignore"):
        return sums[:, :steps] / neighbours[:, None], neighbours


@cache
def _compiled():
    """The kernel as machine code, from the disk cache where an earlier process left it."""
    from ..engines.machine_code import compiled

    signature = "(f8[::1], i8[::1], f8[::1], f8, i8, i8, i8, i8[::1], i8[::1], i8[::1], f8[:, ::1], i8[::1])"
    return compiled(_diverge, signature, nogil=True)


def _diverge(x, order, values, radius, theiler, dimension, delay, references, low, high, divergence, neighbours):
    """Compiled by Numba. Candidates are a stretch of the sorted values; sums run in that order, four steps k side by side."""
    near = np.empty(len(order), np.int64)
    for a in range(len(references)):
        i = references[a]
        found = 0
        for s in range(low[a], high[a]):
            j = order[s]
            accept = (abs(i - j) > theiler) & (abs(values[s] - x[i]) < radius)
            for c in range(1, dimension):
                accept &= abs(x[j - c * delay] - x[i - c * delay]) < radius
            near[found] = j
            found += accept
        neighbours[a] = found
        for k in range(0, divergence.shape[1], 4):
            x0, x1, x2, x3 = x[i + k], x[i + k + 1], x[i + k + 2], x[i + k + 3]
            s0 = s1 = s2 = s3 = 0.0
            for s in range(found):
                j = near[s] + k
                s0 += abs(x[j] - x0)
                s1 += abs(x[j + 1] - x1)
                s2 += abs(x[j + 2] - x2)
                s3 += abs(x[j + 3] - x3)
            divergence[a, k], divergence[a, k + 1], divergence[a, k + 2], divergence[a, k + 3] = s0, s1, s2, s3
