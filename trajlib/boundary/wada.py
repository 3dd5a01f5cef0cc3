"""Do three basins share their boundary? Segments between two outcomes are shrunk, and asked whether they still hold a third.

Across a boundary that two basins share alone, a short segment holds two outcomes. Across one that is the boundary of three basins at every
point (Wada's property) it holds all three, however short it is.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from .. import _validate
from ..results import Result
from .uncertainty import labels_of

__all__ = ["ShrinkingSegments", "shrinking_segments"]


@dataclass(frozen=True, eq=False)
class ShrinkingSegments(Result, axes={"halving": "three all_of_them"}, labels={"halving": "halved"}):
    """What :func:`shrinking_segments` returns, for k lengths.

    Attributes
    ----------
    halved : ndarray (k,), int
        How often the segments have been halved.
    three : ndarray (k,)
        Share of the segments on which three outcomes or more were found.
    all_of_them : ndarray (k,)
        Share of the segments on which each of ``basins`` was found; nan where none are named.
    segments : int
        How many there are.
    """

    halved: np.ndarray
    three: np.ndarray
    all_of_them: np.ndarray
    segments: int


def shrinking_segments(
    outcome: Callable[[np.ndarray], np.ndarray],
    low: np.ndarray,
    high: np.ndarray,
    segments: int,
    *,
    halvings: int,
    every: int,
    samples: int,
    seed: int,
    basins=(),
) -> ShrinkingSegments:
    """How many outcomes there are on segments that cross a boundary, as they are halved.

    Segments join random points of a box whose outcomes differ. Of each, the half whose ends differ is kept, one by lot where both do.
    Every so many halvings the outcome is asked for at random points, one in each of ``samples`` equal parts. A third basin that takes
    less than about one in ``samples`` of a segment may be missed; so shares below 1 do not speak against Wada's property, but shares
    that fall with the length do. Segments of finite number and length prove nothing.

    Parameters
    ----------
    outcome : callable
        ``outcome(points)``, (m, d) to labels (m,), integers.
    low, high : ndarray (d,)
        Corners of the box.
    segments : int
        How many segments.
    halvings, every : int
        How often they are halved, and the halvings between two looks.
    samples : int
        Points a look takes on each segment, beside its ends.
    seed : int
        Of points and halves.
    basins : sequence of int, optional
        Outcomes that are looked for.

    Returns
    -------
    ShrinkingSegments

    Raises
    ------
    TypeError, ValueError
        If an argument has the wrong type, shape or range, if fewer than ``segments`` of eight times as many random pairs of
        points have different outcomes, or if segments have become shorter than float64 can tell.

    References
    ----------
    After A. Daza, A. Wagemakers, M. A. F. Sanjuan, J. A. Yorke, Scientific Reports 5 (2015) 16579, who refine boxes of a grid.

    Examples
    --------
    >>> thirds = lambda p: (p[:, 0] * 3).astype(int)
    >>> shrinking_segments(thirds, [0.0], [1.0], 50, halvings=6, every=3, samples=9, seed=0).three[1:]
    array([0., 0.])
    """
    low, high = _corners(low, high)
    segments, halvings = _validate.count("segments", segments, 1), _validate.count("halvings", halvings, 1)
    every, samples = _validate.count("every", every, 1), _validate.count("samples", samples, 1)
    basins = _validate.unmasked("basins", basins)
    if np.ndim(basins) != 1 or (len(basins) and np.asarray(basins).dtype.kind not in "biu"):
        raise TypeError(f"basins must be a sequence of integers, got {_validate.shown(basins)}")
    basins = np.asarray(basins, dtype=np.int64)
    _validate.fit_in_memory(
        f"{segments} segments with {samples} samples", segments * (samples + 16) * len(low), "take fewer at a time"
    )
    rng = np.random.Generator(np.random.PCG64(_validate.count("seed", seed)))
    a, b = low + (high - low) * rng.random((2, 8 * segments, len(low)))
    of_a, of_b = labels_of(outcome, a), labels_of(outcome, b)
    unlike = np.flatnonzero(of_a != of_b)[:segments]
    if len(unlike) < segments:
        raise ValueError(
            f"only {len(unlike)} of {8 * segments} pairs of points have different outcomes; ask for fewer segments"
        )
    a, b, of_a, of_b = a[unlike], b[unlike], of_a[unlike], of_b[unlike]
    halved, three, every_one = [], [], []
    for done in range(halvings + 1):
        if done % every == 0:
            at = (np.arange(samples) + rng.random((segments, samples))) / samples
            points = a[:, None] + at[..., None] * (b - a)[:, None]
            inside = labels_of(outcome, points.reshape(-1, len(low))).reshape(segments, samples)
            seen = np.column_stack([of_a, inside, of_b])
            halved.append(done)
            three.append(np.mean([len(np.unique(row)) >= 3 for row in seen]))
            every_one.append((seen[:, :, None] == basins).any(axis=1).all(axis=1).mean() if len(basins) else np.nan)
        middle = a + 0.5 * (b - a)
        if ((middle == a).all(axis=1) | (middle == b).all(axis=1)).any():
            raise ValueError(f"segments are shorter than float64 can tell after {done} halvings; take fewer")
        of_middle = labels_of(outcome, middle)
        first, second = of_a != of_middle, of_middle != of_b
        left = first & (~second | (rng.random(segments) < 0.5))
        b, of_b = np.where(left[:, None], middle, b), np.where(left, of_middle, of_b)
        a, of_a = np.where(left[:, None], a, middle), np.where(left, of_a, of_middle)
    return ShrinkingSegments(np.array(halved), np.array(three), np.array(every_one), segments)


def _corners(low, high) -> tuple[np.ndarray, np.ndarray]:
    low, high = (np.atleast_1d(_validate.numbers_of(*pair)) for pair in (("low", low), ("high", high)))
    if low.shape != high.shape or low.ndim != 1 or not len(low):
        raise ValueError(f"low and high must be corners (d,) of a box, got shapes {low.shape} and {high.shape}")
    with np.errstate(over="ignore", invalid="ignore"):
        sides = high - low
    if not (np.isfinite(sides).all() and (sides > 0).all()):
        raise ValueError(f"low must be below high, both finite, got {_validate.shown(low)} and {_validate.shown(high)}")
    return low, high
