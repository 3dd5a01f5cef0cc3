"""When copies of a network lose the memory of their reference: two characteristic times.

Two clocks run on the same copies: the time at which the separation of embedded trajectories stops growing, and the time at
which a scalar of the full network (its test accuracy) is no more correlated with the reference than shifted copies are.
The first has two rules: the paper's, by the slope, which a crossing of two trajectories can end far below the plateau; and one
by the plateau itself.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from .. import _scale, _validate
from .._blas import one_thread
from ..results import Result

__all__ = ["CharacteristicTime", "Decorrelation", "decorrelation_time", "embedding_time", "saturation_time"]


@dataclass(frozen=True, eq=False)
class CharacteristicTime(
    Result,
    axes={
        "... copy": "time largest_slope reason",
        "...": "mean",
    },
    lead=("network",),
):
    """What :func:`embedding_time` returns; (...) are the leading axes of the separations.

    Attributes
    ----------
    time : ndarray (...)
        Step at which the growth ends; nan where there is none.
    mean : ndarray
        Of the times that are not nan over the last leading axis, the copies; nan where there is none.
    largest_slope : ndarray (...)
        Largest growth rate of ln(separation) per step after the transient.
    reason : ndarray (...), str
        Why there is no time: "not finite", "no growth", "never saturates"; "" where there is one.
    """

    time: np.ndarray = field(repr=False)
    mean: np.ndarray = field(repr=False)
    largest_slope: np.ndarray = field(repr=False)
    reason: np.ndarray = field(repr=False)


@dataclass(frozen=True, eq=False)
class Decorrelation(
    Result,
    axes={
        "... copy": "time reason",
        "...": "mean",
        "... copy window": "r lower upper p_value decorrelated",
    },
    lead=("network",),
    labels={"window": "centres"},
):
    """What :func:`decorrelation_time` returns: (...) networks, m copies, n windows.

    Attributes
    ----------
    time : ndarray (..., m)
        Centre of the first decorrelated window, in steps (whole or half); nan where there is none.
    mean : ndarray (...)
        Of the times that are not nan over the copies; nan where there is none.
    reason : ndarray (..., m), str
        Why there is no time: "stays correlated", "undefined" (no window has a correlation); "" where there is one.
    centres : ndarray (n,)
        Centres of the windows, in steps.
    r, lower, upper, p_value : ndarray (..., m, n)
        Correlation in each window, its band and its two-sided p-value under the shifts; nan where undefined.
    decorrelated : ndarray (..., m, n), bool
        Inside the band, p above 1 - level and \\|r\\| below its maximum.
    """

    time: np.ndarray = field(repr=False)
    mean: np.ndarray = field(repr=False)
    reason: np.ndarray = field(repr=False)
    centres: np.ndarray = field(repr=False)
    r: np.ndarray = field(repr=False)
    lower: np.ndarray = field(repr=False)
    upper: np.ndarray = field(repr=False)
    p_value: np.ndarray = field(repr=False)
    decorrelated: np.ndarray = field(repr=False)


def embedding_time(
    dz: np.ndarray, *, transient: int = 10, fraction: float = 0.15, run: int = 8, floor: float = 1e-12
) -> CharacteristicTime:
    """Step at which an embedded separation stops growing.

    Parameters
    ----------
    dz : ndarray (..., T + 1)
        Separations \\|z_copy - z_reference\\| at successive steps, of one copy each (the paper's choice) or averaged over
        copies, where the crossings of two trajectories on a line no longer make spikes.
    transient : int
        First step that counts.
    fraction, run : float, int
        The growth ends at the first step from which ``run`` successive slopes are all below ``fraction`` of the largest.
    floor : float
        Added before the logarithm.

    Returns
    -------
    CharacteristicTime
        The slope is ``np.gradient`` of ln(dz + floor). A separation that never grows after the transient has no time
        (our choice). Whether the growth means anything is not asked: noise about a constant has a time too.

    Raises
    ------
    TypeError, ValueError
        If dz is not float64, is negative, or has fewer than transient + run steps.

    References
    ----------
    Jiménez-González, Soriano, Lacasa, arXiv 2606.30384; constants from the authors' public script.

    Examples
    --------
    >>> t = np.arange(201)
    >>> embedding_time(np.minimum(1e-8 * np.exp(0.2 * t), 1.0)[None]).time  # ln 1e8 / 0.2 = 92.1
    array([93.])
    """
    dz = _validate.float64("dz", dz)
    transient, run = _validate.count("transient", transient), _validate.count("run", run, 1)
    fraction, floor = _validate.positive("fraction", fraction), _validate.positive("floor", floor, zero=True)
    if dz.ndim == 0 or dz.shape[-1] < max(transient + run, 2):
        raise ValueError(f"dz must have shape (..., at least {max(transient + run, 2)} steps), got {dz.shape}")
    if (dz < 0).any():
        raise ValueError("dz must not be negative")
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        slope = np.gradient(np.log(dz + floor), axis=-1)[..., transient:]
        finite = np.isfinite(slope).all(axis=-1)
        largest = np.where(finite, slope.max(axis=-1), np.nan)
        below = np.lib.stride_tricks.sliding_window_view(slope < fraction * largest[..., None], run, axis=-1).all(-1)
    growing = finite & (largest > 0)
    found = growing & below.any(axis=-1)
    reason = np.where(found, "", np.where(growing, "never saturates", np.where(finite, "no growth", "not finite")))
    time = np.where(found, below.argmax(axis=-1) + transient, np.nan)
    return CharacteristicTime(time, _mean(time), largest, reason)


def saturation_time(
    dz: np.ndarray, *, fraction: float = 0.5, last: int = 50, growth: float = 1e3, steady: float = 2.0
) -> np.ndarray:
    """Step (...) at which the mean separation of copies first reaches a fraction of its plateau; nan where there is no plateau.

    Parameters
    ----------
    dz : ndarray (..., m, T + 1)
        Separations of m copies at successive steps, on the line or in all dimensions; their mean over the copies is looked at.
    fraction : float
        Of the plateau, between 0 and 1.
    last : int
        The plateau is the mean over this many last steps.
    growth : float
        A plateau below this multiple of the first mean separation is none.
    steady : float
        Nor is one whose later half is, on average, more than this multiple of the earlier one: the separation still grows.

    Raises
    ------
    TypeError, ValueError
        If dz is not float64, is negative, or has fewer than ``last`` steps; or if fraction is not below 1.

    Examples
    --------
    >>> t = np.arange(201)
    >>> saturation_time(np.minimum(1e-8 * np.exp(0.2 * t), 1.0)[None])  # ln(0.5e8) / 0.2 = 88.6
    array(89.)
    """
    dz = _validate.float64("dz", dz)
    last, growth, steady = (
        _validate.count("last", last, 2),
        _validate.positive("growth", growth),
        _validate.positive("steady", steady),
    )
    if _validate.positive("fraction", fraction) >= 1:
        raise ValueError(f"fraction must be below 1, got {fraction}")
    if dz.ndim < 2 or dz.shape[-2] == 0 or dz.shape[-1] < last:
        raise ValueError(f"dz must have shape (..., copies, {last} or more steps), got {dz.shape}")
    if (dz < 0).any():
        raise ValueError("dz must not be negative")
    mean = _scale.mean(dz, axis=-2)
    plateau = _scale.mean(mean[..., -last:])
    with np.errstate(invalid="ignore", over="ignore"):
        flat = _scale.mean(mean[..., -(last // 2) :]) <= steady * _scale.mean(mean[..., -last : -(last // 2)])
        grown = np.isfinite(mean).all(axis=-1) & (plateau > growth * mean[..., 0]) & flat
        return np.where(grown, (mean >= fraction * plateau[..., None]).argmax(axis=-1).astype(float), np.nan)


def decorrelation_time(
    reference: np.ndarray, copies: np.ndarray, *, window: int = 20, shifts: int | None = 500, seed: int = 0,
    null: str = "series", level: float = 0.95, max_r: float = 0.5,
) -> Decorrelation:  # fmt: skip
    """First time at which a copy's scalar series is no more correlated with the reference than circular shifts of it are.

    Parameters
    ----------
    reference : ndarray (..., T + 1)
        A scalar of the network at successive steps, say its test accuracy.
    copies : ndarray (..., m, T + 1)
        The same of its perturbed copies.
    window : int
        Steps in a window; windows start at every step. A straight line is removed from each.
    shifts : int or None
        Random shifts, the same for all networks and windows, so that a result does not depend on the batch. There are
        fewer distinct ones than the usual 500: None takes each once, and needs no seed.
    seed : int
        Of the shifts (PCG64).
    null : {"series", "window"}
        What is shifted: the copy's whole series, seen through the same window, or its detrended window, which
        leaves ``window - 1`` distinct shifts, too few for a 95 % band: of independent series, a tenth of the windows
        lie outside. The facts at hand on the authors' script do not say which it is.
    level, max_r : float
        Decorrelated: r inside the central band of this level, p > 1 - level, and \\|r\\| < max_r.

    Returns
    -------
    Decorrelation
        A window in which copy and reference are equal has r = 1, constant or not. Another window in which one of the two
        is constant up to a straight line, or not finite, has no correlation (nan), and is not decorrelated.

    Raises
    ------
    TypeError, ValueError
        If the arrays are not float64, their shapes do not fit, or the series are shorter than a window and two steps.

    References
    ----------
    Jiménez-González, Soriano, Lacasa, arXiv 2606.30384; constants from the authors' public script. The p-value,
    (1 + shifts with \\|r\\| at least as large) / (1 + shifts), and the choice for constant windows are ours.

    Examples
    --------
    >>> noise = np.random.default_rng(0).standard_normal((2, 201))
    >>> noise[1, :100] = noise[0, :100]  # equal for 100 steps
    >>> bool(90 < decorrelation_time(noise[0], noise[1:]).time[0] < 110)
    True
    """
    reference, copies = _validate.float64("reference", reference), _validate.float64("copies", copies)
    _validate.choice("null", null, ("series", "window"))
    window, level = _validate.count("window", window, 4), _validate.positive("level", level)
    max_r = _validate.positive("max_r", max_r)
    fit = copies.ndim == reference.ndim + 1 > 1 and copies.shape[:-2] + copies.shape[-1:] == reference.shape
    if not fit:
        raise ValueError(
            f"reference (..., T + 1) and copies (..., m, T + 1) must fit, got {reference.shape} and {copies.shape}"
        )
    if level >= 1:
        raise ValueError(f"level must be below 1, got {level}")
    steps, m = reference.shape[-1], copies.shape[-2]
    if steps < window + 2:
        raise ValueError(f"series must have at least window + 2 = {window + 2} steps, got {steps}")
    period = steps if null == "series" else window
    if shifts is None:
        moves = np.arange(1, period)
    else:
        _validate.fit_in_memory("the shifts", _validate.count("shifts", shifts, 1), "take fewer, or None for each once")
        moves = np.random.Generator(np.random.PCG64(_validate.count("seed", seed))).integers(1, period, shifts)
    starts = steps - window + 1
    _validate.fit_in_memory("the shifted windows", m * starts * len(moves), "take fewer shifts, or copies at a time")
    lead = reference.shape[:-1]
    networks = int(np.prod(lead))
    arrays = np.empty((4, networks, m, starts))
    pairs = zip(reference.reshape(networks, steps), copies.reshape(networks, m, steps), strict=True)
    with one_thread(m * steps * window):
        for out, (a, b) in zip(np.moveaxis(arrays, 1, 0), pairs, strict=True):  # one network's nulls at a time
            out[:] = _correlations(a, b, window, moves, null, level)
    r, lower, upper, p = arrays.reshape(4, *lead, m, starts)
    decorrelated = (lower <= r) & (r <= upper) & (p > 1 - level) & (np.abs(r) < max_r)
    centres = np.arange(starts) + (window - 1) / 2
    found = decorrelated.any(axis=-1)
    time = np.where(found, centres[decorrelated.argmax(axis=-1)], np.nan)
    reason = np.where(found, "", np.where(np.isnan(r).all(axis=-1), "undefined", "stays correlated"))
    return Decorrelation(time, _mean(time), reason, centres, r, lower, upper, p, decorrelated)


def _mean(time: np.ndarray) -> np.ndarray:
    """Mean over the last axis of what is not nan, nan (and no warning) where all is."""
    found = np.isfinite(np.atleast_1d(time))
    with np.errstate(invalid="ignore"):
        return np.where(found, time, 0.0).sum(axis=-1) / np.where(found.any(axis=-1), found.sum(axis=-1), np.nan)


def _unit(windows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Windows (..., n) less their best straight lines, scaled to unit length, zero where nothing is left; and where it is."""
    n, e = windows.shape[-1], _scale.exponent(windows)
    if e.any():
        windows = np.ldexp(windows, -e[..., None])
    line = np.linalg.qr(np.stack([np.ones(n), np.arange(n)], axis=1))[0]
    with np.errstate(invalid="ignore", over="ignore"):
        rest = windows - windows @ line @ line.T
        size = np.linalg.norm(rest, axis=-1)
        usable = np.isfinite(size) & (size > 1e-12 * np.sqrt(n) * np.abs(windows).max(axis=-1))
        return np.where(usable[..., None], rest / np.where(usable, size, 1.0)[..., None], 0.0), usable


def _correlations(a, b, window, moves, null, level):
    """r, its band and its p-value (4, m, windows) of one reference (T + 1,) and its copies (m, T + 1)."""
    view = np.lib.stride_tricks.sliding_window_view
    count = len(a) - window + 1
    mine, usable = _unit(view(a, window))
    theirs, also = _unit(view(np.concatenate([b, b[:, : window - 1]], axis=1), window, axis=-1))  # circular
    start = np.arange(count)
    r = np.clip(np.einsum("wn,mwn->mw", mine, theirs[:, :count]), -1.0, 1.0)
    defined = usable & also[:, :count]
    r = np.where(defined, r, np.nan)
    r = np.where((view(a, window) == view(b, window, axis=-1)).all(axis=-1), 1.0, r)
    if null == "series":
        source = (start[:, None] - moves) % len(a)
        drawn = (mine @ np.swapaxes(theirs, 1, 2))[:, start[:, None], source]
        valid = usable[:, None] & also[:, source]
    else:
        turned = (np.arange(window) - np.arange(1, window)[:, None]) % window
        drawn = np.einsum("wn,mwsn->mws", mine, theirs[:, :count][..., turned])[..., moves - 1]
        valid = np.broadcast_to(defined[..., None], drawn.shape)
    number = valid.sum(axis=-1)
    tail = (valid & (np.abs(drawn) >= np.abs(r)[..., None] - 1e-12)).sum(axis=-1)
    drawn = np.sort(np.where(valid, drawn, np.nan), axis=-1)  # nan goes last
    low, high = (_quantile(drawn, number, q) for q in ((1 - level) / 2, (1 + level) / 2))
    return r, low, high, np.where(np.isnan(r) | (number == 0), np.nan, (1 + tail) / (1 + number))


def _quantile(ordered: np.ndarray, number: np.ndarray, q: float) -> np.ndarray:
    """Linearly interpolated quantile of the first ``number`` entries along the last axis; nan where there are none."""
    place = q * np.maximum(number - 1, 0)
    below = np.floor(place).astype(int)
    above = np.minimum(below + 1, np.maximum(number - 1, 0))
    low, high = (np.take_along_axis(ordered, i[..., None], axis=-1)[..., 0] for i in (below, above))
    return low + (high - low) * (place - below)
