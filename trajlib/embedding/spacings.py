"""Where embedded trajectories end: the spacings between neighbours, and what independent points would give.

Spacings of one group share their trajectories and their scale, so they are not independent, and tests permute whole groups.
The logarithms of spacings of independent points are skewed by themselves: a law that fits the data has to be held
against that null.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache

import numpy as np

from .. import _scale, _validate
from ..results import Result

__all__ = [
    "OneForm",
    "SpacingComparison",
    "asymptotic_spacings",
    "compare_spacings",
    "one_form",
    "rescale_spacings",
    "spacing_null",
]


@dataclass(frozen=True, eq=False)
class SpacingComparison(Result, axes={"": "ks ks_p_value anderson_darling anderson_darling_p_value ks_p_independent"}):
    """What :func:`compare_spacings` returns.

    Attributes
    ----------
    ks, anderson_darling : float
        Two-sample statistics of the pooled spacings.
    ks_p_value, anderson_darling_p_value : float
        From permutations of whole groups between the samples: spacings of one group depend on each other.
    ks_p_independent : float
        What ``scipy.stats.ks_2samp`` gives, as if all spacings were independent.
    """

    ks: float
    ks_p_value: float
    anderson_darling: float
    anderson_darling_p_value: float
    ks_p_independent: float


@dataclass(frozen=True, eq=False)
class OneForm(Result, axes={"rate group": "width", "rate": "excess p_value", "": "combined_p_value own_p_value"}):
    """What :func:`one_form` returns: r learning rates (or other repetitions), n groups at each.

    Attributes
    ----------
    width : ndarray (r, n)
        Natural logarithm of the standard deviation of ln(spacing) in each group; it does not depend on the group's scale.
    excess : ndarray (r,)
        How much more the widths of the groups vary than chance makes them: a standard score.
    p_value : ndarray (r,)
        Of the excess, at each learning rate.
    combined_p_value : float
        Of the sum of the excesses over the learning rates. Small: at one rate or more, groups have forms of their own.
    own_p_value : float
        Of the variance over the groups of their mean width: do groups keep a form through the learning rates? nan for one rate.
    """

    width: np.ndarray = field(repr=False)
    excess: np.ndarray
    p_value: np.ndarray
    combined_p_value: float
    own_p_value: float


def asymptotic_spacings(z: np.ndarray, last: int = 50) -> np.ndarray:
    """Gaps between neighbours of the places where embedded trajectories end.

    Parameters
    ----------
    z : ndarray (..., m + 1, T + 1)
        Embedded trajectories on a line, the reference among them.
    last : int
        An end is the mean over this many last steps.

    Returns
    -------
    ndarray (..., m)
        Differences of the sorted ends, in increasing order of place; nan for a group in which an end is not finite.

    Raises
    ------
    TypeError, ValueError
        If z is not float64, no group of it is finite, or it holds fewer than two trajectories or fewer steps than ``last``.

    References
    ----------
    Jiménez-González, Soriano, Lacasa, arXiv 2606.30384; definition from the authors' public script.

    Examples
    --------
    >>> asymptotic_spacings(np.array([[3.0, 3.0], [0.0, 0.0], [1.0, 1.0]]), last=2)
    array([1., 2.])
    """
    z = _validate.float64("z", z)
    last = _validate.count("last", last, 1)
    if z.ndim < 2 or z.shape[-2] < 2 or z.shape[-1] < last:
        raise ValueError(f"z must have shape (..., 2 or more trajectories, {last} or more steps), got {z.shape}")
    ends = _scale.mean(z[..., -last:])
    whole = np.isfinite(ends).all(axis=-1, keepdims=True)
    if z.size and not whole.any():
        _validate.finite("z", z)
    with np.errstate(over="ignore"):
        return np.diff(np.sort(np.where(whole, ends, np.nan), axis=-1), axis=-1)


def rescale_spacings(spacings: np.ndarray, how: str = "mean") -> np.ndarray:
    """Spacings (..., m) over their mean, their median or ("log") their geometric mean along the last axis.

    A group whose spacings are not all finite, or whose divisor is zero because trajectories end at one place, is nan.

    Raises
    ------
    TypeError, ValueError
        If they are not float64, or negative, or if no group is finite with a divisor that is not zero.

    Examples
    --------
    >>> rescale_spacings(np.array([1.0, 2.0, 6.0]), "median")
    array([0.5, 1. , 3. ])
    """
    spacings = _validate.float64("spacings", spacings)
    _validate.choice("how", how, ("mean", "median", "log"))
    if spacings.ndim == 0 or spacings.shape[-1] == 0 or (spacings < 0).any():
        raise ValueError("spacings must be at least one in the last axis and not negative")
    whole = np.isfinite(spacings).all(axis=-1, keepdims=True)
    spacings = np.where(whole, spacings, np.nan)
    e = _scale.exponent(spacings)[..., None]
    if e.any():
        spacings = np.ldexp(spacings, -e)  # the quotient is the same, and no sum overflows
    if how == "log":
        with np.errstate(divide="ignore"):
            scale = np.exp(np.log(spacings).mean(axis=-1, keepdims=True))
    else:
        scale = (np.mean if how == "mean" else np.median)(spacings, axis=-1, keepdims=True)
    if spacings.size and not (scale > 0).any():
        _validate.finite("spacings", spacings)
        raise ValueError(
            f"spacings must have a positive divisor, got a {how} of zero: trajectories that end at one place"
        )
    return spacings / np.where(scale > 0, scale, np.nan)


def spacing_null(
    kind: str = "normal", *, points: int = 6, groups: int = 1000, how: str = "mean", seed: int = 0
) -> np.ndarray:
    """Rescaled spacings (groups, points - 1) of independent sorted points: what collapses without any dynamics.

    Parameters
    ----------
    kind : {"normal", "uniform"}
        Law of the points; its place and scale drop out.
    points, groups : int
        Points a group, as many as trajectories (m + 1); number of groups.
    how : str
        As in :func:`rescale_spacings`.
    seed : int
        Of the points (PCG64).

    Raises
    ------
    TypeError, ValueError
        If the law is unknown or there are fewer than three points a group.
    """
    _validate.choice("kind", kind, ("normal", "uniform"))
    shape = _validate.count("groups", groups, 1), _validate.count("points", points, 3)
    _validate.fit_in_memory("the points", shape[0] * shape[1], "take fewer groups or points")
    rng = np.random.Generator(np.random.PCG64(_validate.count("seed", seed)))
    return rescale_spacings(
        np.diff(np.sort(rng.standard_normal(shape) if kind == "normal" else rng.random(shape)), axis=1), how
    )


def compare_spacings(a: np.ndarray, b: np.ndarray, *, permutations: int = 999, seed: int = 0) -> SpacingComparison:
    """Two-sample tests between grouped spacings (groups, m), alike rescaled; logarithms would change nothing.

    Parameters
    ----------
    a, b : ndarray (groups, m)
        One row a group of trajectories; the numbers of groups may differ, and those of spacings.
    permutations, seed : int
        Permutations of the rows between the samples, and their seed (PCG64).

    Raises
    ------
    TypeError, ValueError
        If an array is not float64, not finite or not two-dimensional.

    References
    ----------
    Pettitt, Biometrika 63, 161 (1976): the Anderson-Darling statistic of two samples.

    Examples
    --------
    >>> a, b = (spacing_null("uniform", groups=200, seed=s) for s in (0, 1))
    >>> compare_spacings(a, b).ks_p_value > 0.05, compare_spacings(a, a**2).ks_p_value
    (True, 0.001)
    """
    from scipy.stats import ks_2samp

    for name, x in (("a", a), ("b", b)):
        _validate.finite(name, _validate.float64(name, x))
        if x.ndim != 2 or x.size == 0:
            raise ValueError(f"{name} must have shape (groups, spacings), got {x.shape}")
    _validate.fit_in_memory("the permutations", 2 * _validate.count("permutations", permutations, 1), "take fewer")
    pooled = np.concatenate([a.ravel(), b.ravel()])
    group = np.concatenate(
        [np.repeat(np.arange(len(a)), a.shape[1]), len(a) + np.repeat(np.arange(len(b)), b.shape[1])]
    )
    order = np.argsort(pooled, kind="stable")
    group, pooled = group[order], pooled[order]
    ends = np.flatnonzero(np.append(pooled[1:] != pooled[:-1], False))  # last of each run of ties; the very last adds 0
    rank, size = ends + 1.0, float(len(pooled))

    def statistics(member: np.ndarray) -> tuple[float, float]:
        ours = np.cumsum(member)
        n = float(ours[-1])
        gap = ours[ends] / n - (rank - ours[ends]) / (size - n)
        steps = np.diff(rank, prepend=0.0)
        return np.abs(gap).max(initial=0.0), n * (size - n) * (steps * gap**2 / (rank * (size - rank))).sum()

    rng, first = (
        np.random.Generator(np.random.PCG64(_validate.count("seed", seed))),
        np.arange(len(a) + len(b)) < len(a),
    )
    null = np.array([statistics(rng.permutation(first)[group]) for _ in range(permutations)])
    observed = statistics(first[group])
    p = (1 + (null >= np.array(observed) - 1e-12).sum(axis=0)) / (1 + permutations)
    independent = float(ks_2samp(a.ravel(), b.ravel(), method="asymp").pvalue)
    return SpacingComparison(float(observed[0]), float(p[0]), float(observed[1]), float(p[1]), independent)


def one_form(
    spacings: np.ndarray, *, permutations: int = 199, calibration: int = 1000, combinations: int = 10_000, seed: int = 0
) -> OneForm:
    """Do the spacings of all groups have one form? A k-sample test of their widths, at each learning rate and over all.

    Parameters
    ----------
    spacings : ndarray (r, n, m)
        m positive spacings of each of n groups (initial conditions) at r learning rates. At different rates they must be independent,
        as they are where copies set out in directions of their own at each rate. A group that is not finite and positive at
        every rate is left out.
    permutations, calibration, combinations, seed : int
        Permutations at each rate, made-up data sets that calibrate them, draws from these for the sum over the rates, and the seed
        (PCG64) of all three.

    Returns
    -------
    OneForm

    Raises
    ------
    TypeError, ValueError
        If the spacings are not float64 of three dimensions, or fewer than four whole groups of two or more spacings are left.

    Notes
    -----
    The statistic at one rate is the variance over groups of the log of the standard deviation of ln(spacing). Permutations of single
    spacings (their logarithms less the mean of the group) between the groups give its mean and standard deviation, whatever the
    common law is, if spacings of a group are independent; those between sorted points are not quite. So the standard score, not
    the rank, is compared, with what it is for groups of m + 1 independent normal points. Only this last step supposes a law: of made-up
    data of one form it rejects 0 to 7 % at the 5 % level (points from normal, uniform, t and bimodal laws, lognormal spacings).
    ``own_p_value`` supposes nothing: there, whole groups are permuted between the initial conditions, at each rate on its own.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> alike = np.exp(rng.standard_normal((3, 50, 5)))
    >>> one_form(alike).combined_p_value > 0.05, one_form(alike ** rng.uniform(0.05, 3, (50, 1))).combined_p_value < 0.001
    (True, True)
    """
    spacings = _validate.float64("spacings", spacings)
    if spacings.ndim != 3 or len(spacings) == 0 or spacings.shape[-1] < 2:
        raise ValueError(f"spacings must have shape (1 or more rates, groups, 2 or more), got {spacings.shape}")
    permutations = _validate.count("permutations", permutations, 2)
    calibration, combinations = (
        _validate.count("calibration", calibration, 1),
        _validate.count("combinations", combinations, 1),
    )
    _validate.fit_in_memory("the permutations", permutations * spacings[0].size, "take fewer")
    _validate.fit_in_memory("the made-up data", calibration + combinations * len(spacings), "take fewer")
    whole = (np.isfinite(spacings) & (spacings > 0)).all(axis=(0, 2))
    if whole.sum() < 4:
        raise ValueError(f"spacings must hold four or more groups that are finite and positive, got {whole.sum()}")
    logs = np.log(spacings[:, whole])
    rng = np.random.Generator(np.random.PCG64(_validate.count("seed", seed)))
    width = np.full(spacings.shape[:2], np.nan)
    width[:, whole] = kept = _widths(logs)
    excess = np.array([_excess(each, permutations, rng) for each in logs])
    null = _excess_of_points(*logs.shape[1:], permutations, calibration, seed)
    p = (1 + (null >= excess[:, None]).sum(axis=1)) / (1 + len(null))
    sums = rng.choice(null, (combinations, len(excess))).sum(axis=1)
    combined = float((1 + (sums >= excess.sum() - 1e-12).sum()) / (1 + combinations))
    return OneForm(width, excess, p, combined, _own(kept, 10 * permutations, rng) if len(kept) > 1 else np.nan)


def _widths(logs: np.ndarray) -> np.ndarray:
    """ln of the standard deviation along the last axis; of spacings that are all equal, that of one rounding."""
    return np.log(np.maximum(logs.std(axis=-1), 1e-16))


def _excess(logs: np.ndarray, permutations: int, rng: np.random.Generator) -> float:
    """Standard score of the logarithm of the variance of the widths of groups (n, m) among permutations of single spacings."""
    centred = logs - logs.mean(axis=-1, keepdims=True)
    drawn = rng.permuted(np.broadcast_to(centred.ravel(), (permutations, centred.size)), axis=1)
    null = np.log(np.maximum(_widths(drawn.reshape(permutations, *centred.shape)).var(axis=-1), 1e-300))
    seen = np.log(np.maximum(_widths(logs).var(), 1e-300))
    return float((seen - null.mean()) / null.std()) if null.std() > 0 else 0.0


@lru_cache(maxsize=32)
def _excess_of_points(n: int, m: int, permutations: int, calibration: int, seed: int) -> np.ndarray:
    """The same of data sets (calibration,) of n groups of m + 1 independent normal points: one law for all."""
    rng = np.random.Generator(np.random.PCG64([seed, n, m]))
    points = np.sort(rng.standard_normal((calibration, n, m + 1)), axis=-1)
    return np.array([_excess(each, permutations, rng) for each in np.log(np.diff(points, axis=-1))])


def _own(width: np.ndarray, permutations: int, rng: np.random.Generator) -> float:
    """p of the variance over groups of their mean over rates (r, n), under permutations of the groups at each rate."""
    mean = np.zeros((permutations, width.shape[1]))
    for of_rate in width:
        mean += rng.permuted(np.broadcast_to(of_rate, mean.shape), axis=1)
    seen = width.sum(axis=0).var()
    return float((1 + (mean.var(axis=1) >= seen * (1 - 1e-12)).sum()) / (1 + permutations))
