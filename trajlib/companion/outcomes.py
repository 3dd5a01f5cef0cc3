"""How often an outcome is left open: the share of pairs of runs that end differently, with an interval that knows whose runs they are."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

__all__ = ["Share", "open_share"]

Z = 1.96


class Share(NamedTuple):
    """Shares and the ends of their 95 % intervals, (...)."""

    value: np.ndarray
    lower: np.ndarray
    upper: np.ndarray


def open_share(differ: np.ndarray, rates: int, draws: int = 1000, seed: int = 0) -> Share:
    """Share of the pairs that end differently.

    Pairs of one network belong together, over the splits too: the bootstrap draws networks. Where few pairs differ it is too sure (of none
    it would make an interval of no width), so that the interval reaches at least as far as Wilson's for independent pairs.

    Parameters
    ----------
    differ : ndarray (..., splits, networks), int
        Of ``rates`` pairs each, how many end differently.
    rates : int
        Pairs of a network in a split.
    draws, seed : int
        Of the bootstrap.

    Returns
    -------
    Share

    Examples
    --------
    >>> found = open_share(np.zeros((2, 4), dtype=int), rates=9)
    >>> float(found.value), float(found.lower), float(found.upper.round(3))
    (0.0, 0.0, 0.051)
    """
    networks, n = differ.shape[-1], rates * differ.shape[-2] * differ.shape[-1]
    each = differ.mean(axis=-2) / rates  # (..., networks)
    drawn = np.random.default_rng(seed).integers(networks, size=(draws, networks))
    low, high = np.quantile(each[..., drawn].mean(axis=-1), [0.025, 0.975], axis=-1)
    p = each.mean(axis=-1)
    middle, half = p + Z**2 / (2 * n), Z * np.sqrt(p * (1 - p) / n + Z**2 / (4 * n**2))
    lower, upper = (middle - half) / (1 + Z**2 / n), (middle + half) / (1 + Z**2 / n)
    return Share(p, np.clip(np.minimum(low, lower), 0, 1).round(15), np.maximum(high, upper))
