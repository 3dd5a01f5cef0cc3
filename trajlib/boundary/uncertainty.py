"""The uncertainty exponent: how much surer an outcome is when what it depends on is known better; and the boundary's dimension.

It needs no picture: pairs of points at a distance are compared, and the distance may be as small as the last digits.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from .. import _validate
from ..results import Result
from .scaling import straight

__all__ = ["UncertaintyExponent", "uncertainty_exponent"]

FEWEST = 20
"""Pairs that end differently without which a distance tells nothing."""
TOLERANCE = 0.05
"""How far the exponent between neighbouring distances may be from that of the range, beyond twice its standard error."""
LINE = 0.05
"""A share may be off the power law by so much, as a part of it: large distances, where pairs are many, do not decide alone."""
DECADES = 2.0
"""Decades of distances that a range must span."""


@dataclass(frozen=True, eq=False)
class UncertaintyExponent(
    Result,
    axes={
        "": "exponent standard_error dimension smallest largest resolved points",
        "scale": "uncertain",
    },
    labels={"scale": "scales"},
):
    """What :func:`uncertainty_exponent` returns, for k distances.

    Attributes
    ----------
    exponent : float
        alpha of (share of uncertain pairs) ~ distance\\ :sup:`alpha` over the scaling range; nan where there is no range. Knowing the point
        10 times better makes the outcome 10\\ :sup:`alpha` times surer.
    standard_error : float
        Of the exponent, and of the dimension: from the scatter of the points, whose pairs at all distances belong together, times the
        root of chi\\ :sup:`2` over the degrees of freedom where the line fits worse than that; nan likewise.
    dimension : float
        Of the boundary between the outcomes, dimensions of the space minus alpha; nan likewise.
    smallest, largest : float
        The scaling range, distances; nan likewise.
    resolved : bool
        Whether the exponent is the same over at least two decades.
    points : int
        Points, and pairs at each distance.
    scales : ndarray (k,)
        The distances, increasing.
    uncertain : ndarray (k,)
        Share of the pairs that end differently.
    """

    exponent: float
    standard_error: float
    dimension: float
    smallest: float
    largest: float
    resolved: bool
    points: int
    scales: np.ndarray = field(repr=False)
    uncertain: np.ndarray = field(repr=False)


def uncertainty_exponent(
    outcome: Callable[[np.ndarray], np.ndarray], points: np.ndarray, scales: np.ndarray, seed: int
) -> UncertaintyExponent:
    """The uncertainty exponent of a function with few values, and the dimension of the boundary between them.

    At each distance, each point is paired with one at that distance in a random direction. A distance counts where at least 20
    pairs end differently; the range is the longest in which the exponent between neighbouring distances stays within 0.05, and twice its
    standard error, of the exponent of the whole.

    Parameters
    ----------
    outcome : callable
        ``outcome(points)``, (m, d) to labels (m,), integers or bool. It is called once for the points and once for each distance.
    points : ndarray (m, d), float64
        Where to look: a random draw from the region that is asked about.
    scales : ndarray (k,)
        Distances, positive, in the units of the points; more than what float64 keeps of them (about 1e-15 of their size).
    seed : int
        Of the directions.

    Returns
    -------
    UncertaintyExponent

    Raises
    ------
    TypeError, ValueError
        If an argument has the wrong type, shape or range, or a distance is lost in rounding.

    References
    ----------
    C. Grebogi, S. W. McDonald, E. Ott, J. A. Yorke, Phys. Lett. A 99 (1983) 415; S. W. McDonald et al., Physica D 17 (1985) 125.

    Examples
    --------
    >>> points = np.random.default_rng(0).random((200_000, 2))
    >>> disc = lambda p: ((p - 0.5) ** 2).sum(axis=1) < 0.1
    >>> found = uncertainty_exponent(disc, points, np.geomspace(1e-3, 1e-1, 7), seed=0)
    >>> found.resolved, round(found.exponent, 1), round(found.dimension, 1)
    (True, 1.0, 1.0)
    """
    points = _validate.finite("points", _validate.float64("points", points))
    if points.ndim != 2 or not points.size:
        raise ValueError(f"points must have shape (m, d), one point a row, got {points.shape}")
    scales = np.sort(_validate.finite("scales", _validate.numbers_of("scales", scales)).ravel())
    if not len(scales) or scales[0] <= 0 or (np.diff(scales) == 0).any():
        raise ValueError(f"scales must be different positive distances, got {_validate.shown(scales)}")
    apart = np.spacing(np.abs(points).max())
    if scales[0] < 8 * apart:
        raise ValueError(
            f"scales down to {scales[0]:.2g} are lost in rounding: float64 numbers as large as the points lie {apart:.1g} apart; begin at "
            f"{8 * apart:.1g}, or count from a point nearby"
        )
    rng = np.random.Generator(np.random.PCG64(_validate.count("seed", seed)))
    here = labels_of(outcome, points)
    differs = np.empty((len(scales), len(points)), dtype=bool)
    for i, scale in enumerate(scales):
        direction = rng.standard_normal(points.shape)
        direction /= np.sqrt((direction**2).sum(axis=1, keepdims=True))
        differs[i] = labels_of(outcome, points + scale * direction) != here
    return _fit(differs, scales, points.shape[1])


def labels_of(outcome: Callable, points: np.ndarray) -> np.ndarray:
    """The outcomes (m,) of points (m, d), integers or bool; an error where they are not that."""
    labels = np.asarray(outcome(points))
    if labels.shape != (len(points),) or labels.dtype.kind not in "biu":
        raise ValueError(
            f"outcome must give an integer or bool for each of {len(points)} points, got {labels.dtype} of shape {labels.shape}"
        )
    return labels


def _fit(differs: np.ndarray, scales: np.ndarray, dimensions: int) -> UncertaintyExponent:
    """From whether each pair ends differently, (k, m)."""
    m = differs.shape[1]
    counts = differs.sum(axis=1)
    share = counts / m
    told = np.flatnonzero((counts >= FEWEST) & (counts < m))
    block = (
        told[np.flatnonzero(np.diff(told, prepend=-9) > 1)[-1] :] if len(told) else told
    )  # without gaps, from the largest on
    x, y = np.log(scales[block]), np.log(share[block])
    error = np.sqrt((1.0 - share[block]) / counts[block])
    found = straight(x, y, error, tolerance=TOLERANCE, least=DECADES * np.log(10.0), off=LINE)
    if found is None:
        return UncertaintyExponent(np.nan, np.nan, np.nan, np.nan, np.nan, False, m, scales, share)
    inside = slice(found.start, found.stop)
    some, x, y, variance = block[inside], x[inside], y[inside], error[inside] ** 2 + LINE**2
    dx = x - np.average(x, weights=1.0 / variance)
    each = dx / variance / (dx * dx / variance).sum()  # what the logarithm of each share adds to the slope
    influence = (each / share[some]) @ differs[some] - each.sum()
    residual = y - np.average(y, weights=1.0 / variance) - found.slope * dx
    excess = (residual**2 / variance).sum() / max(1, len(some) - 2)
    standard_error = float(np.sqrt(max(1.0, excess) * ((influence**2).sum() / m**2 + LINE**2 * (each**2).sum())))
    ends = float(scales[some[0]]), float(scales[some[-1]])
    return UncertaintyExponent(found.slope, standard_error, dimensions - found.slope, *ends, True, m, scales, share)
