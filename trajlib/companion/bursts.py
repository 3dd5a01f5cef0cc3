"""Bursts of chaos in long runs: how long they last and how long one waits for them, where the runs end before some of them do."""

from __future__ import annotations

from itertools import pairwise
from typing import NamedTuple

import numpy as np

__all__ = ["Stretches", "stretches", "survival"]


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
