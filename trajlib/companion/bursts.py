"""Bursts of chaos in long runs: how long they last and how long one waits for them, where the runs end before some of them do."""

from __future__ import annotations

from itertools import pairwise
from typing import NamedTuple

import numpy as np

__all__ = ["ROUTES", "Stretches", "higher", "resampled", "routes", "stretches", "survival"]

ROUTES = ("through −1", "a complex pair", "through 1", "still inside", "no cycle seen")
"""How a cycle can have lost its stability."""


class Stretches(NamedTuple):
    """Lengths in blocks, and which of them are cut off by neither end of the run."""

    lengths: np.ndarray
    complete: np.ndarray


def stretches(chaotic: np.ndarray, first: int = 0) -> tuple[Stretches, Stretches]:
    """Stretches of chaos, and the quiet ones, of networks (n, blocks), from block ``first`` on.

    Stretches that are under way at ``first`` are left out: when they began is not what is counted. So ``complete`` is False only where the
    run ends.

    Examples
    --------
    >>> bursts, quiet = stretches(np.array([[0, 1, 1, 0, 0, 0, 1, 1]]) > 0)
    >>> bursts.lengths, bursts.complete, quiet.lengths, quiet.complete
    (array([2, 2]), array([ True, False]), array([3]), array([ True]))
    """
    found: dict[bool, list[tuple[int, bool]]] = {True: [], False: []}
    for row in np.asarray(chaotic, dtype=bool)[:, first:]:
        cuts = [*(np.flatnonzero(np.diff(row)) + 1), len(row)]
        for start, stop in pairwise(cuts):
            found[bool(row[start])].append((int(stop - start), bool(stop < len(row))))
    kinds = [np.array(found[kind], dtype=int).reshape(-1, 2) for kind in (True, False)]
    bursts, quiet = (Stretches(kind[:, 0], kind[:, 1] > 0) for kind in kinds)
    return bursts, quiet


def survival(found: Stretches) -> tuple[np.ndarray, np.ndarray]:
    """Share of the stretches that last longer than each length, after Kaplan and Meier: those cut off count for as long as they are seen.

    Returns
    -------
    lengths, share : ndarray
        Increasing lengths from 0 on, and the share that outlives each.

    Examples
    --------
    >>> survival(Stretches(np.array([1, 2, 2, 4]), np.array([True, True, False, True])))
    (array([0, 1, 2, 4]), array([1.  , 0.75, 0.5 , 0.  ]))
    """
    ends = np.unique(found.lengths[found.complete])
    at_risk = np.array([(found.lengths >= end).sum() for end in ends])
    ended = np.array([((found.lengths == end) & found.complete).sum() for end in ends])
    share = np.cumprod(1 - ended / at_risk) if len(ends) else np.empty(0)
    return np.concatenate([[0], ends]).astype(int), np.concatenate([[1.0], share])


def routes(
    period: np.ndarray, lowest: np.ndarray, highest: np.ndarray, modulus: np.ndarray, neutral: float = 0.02
) -> np.ndarray:
    """Which multiplier has left the unit circle before a network leaves the cycle that it follows, as an index into ``ROUTES``.

    Parameters
    ----------
    period : ndarray (n, moments)
        Of the cycle at each moment, 0 where there is none.
    lowest, highest, modulus : ndarray (n, moments)
        The lowest and the highest real multiplier, and the modulus of the largest complex pair.
    neutral : float
        What a multiplier may exceed 1 by in modulus: drift along flat directions has multipliers about 1.

    Returns
    -------
    ndarray (n,), int
        What is furthest outside at any moment before the first one without a period.

    Examples
    --------
    >>> at = routes(np.array([[2, 2, 0]]), np.array([[-0.9, -1.2, 0.5]]), np.ones((1, 3)), np.zeros((1, 3)))
    >>> ROUTES[at[0]]
    'through −1'
    """
    before = np.cumprod(np.asarray(period) > 0, axis=1) > 0
    outside = np.stack([-np.asarray(lowest), np.asarray(modulus), np.asarray(highest)]) - 1 - neutral
    furthest = np.where(before, outside, -np.inf).max(axis=-1)
    seen = before.any(axis=1)
    return np.where(~seen, 4, np.where((furthest > 0).any(axis=0), furthest.argmax(axis=0), 3))


def higher(onset: np.ndarray, control: np.ndarray) -> np.ndarray:
    """Share of the pairs (n, ...) in which the first is higher, ties counted by half: 0.5 where it says nothing."""
    return (onset > control).mean(axis=0) + (onset == control).mean(axis=0) / 2


def resampled(onset: np.ndarray, control: np.ndarray, of: np.ndarray, draws: np.random.Generator) -> np.ndarray:
    """:func:`higher` of a bootstrap sample that draws whole networks, ``of`` (n,), since bursts of one network are not independent."""
    names, which = np.unique(of, return_inverse=True)
    members = [np.flatnonzero(which == k) for k in range(len(names))]
    rows = np.concatenate([members[k] for k in draws.integers(len(names), size=len(names))])
    return higher(onset[rows], control[rows])
