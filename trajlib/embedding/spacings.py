"""Where embedded trajectories end: the spacings between neighbours, and what independent points would give.

Spacings of one group share their trajectories and their scale, so they are not independent, and tests permute whole groups.
The logarithms of spacings of independent points are skewed by themselves: a law that fits the data has to be held
against that null.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .. import _scale, _validate
from ..results import Result

__all__ = ["SpacingComparison", "asymptotic_spacings", "compare_spacings", "rescale_spacings", "spacing_null"]


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
