"""Box counting: the dimension of a set of pixels, over the sizes of box where there is one.

Boxes tile the picture exactly, so that none is cut by its edge. What has no straight stretch in the double-logarithmic plot has no
dimension here: a finite picture of a fractal has one over a finite range of sizes only, and that range is part of the result.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from .. import _validate
from ..results import Result
from .scaling import straight

__all__ = ["BoxCounting", "box_counting_dimension", "edges"]

TOLERANCE = 0.12
"""How far the slope over one factor of two may be from that of the range."""
OCTAVES = 3.0
"""Factors of two that a range must span."""
FINEST = 4
"""Smallest size by default: pixels are points of a grid, and what is finer than a few of them is missed here and there."""
FEWEST = 15
"""Boxes along the shorter side that the largest size must leave: with fewer, they count the outline of the picture more than the set."""


@dataclass(frozen=True, eq=False)
class BoxCounting(
    Result,
    axes={"": "dimension standard_error smallest largest resolved", "size": "count", "pair": "slope"},
    labels={"size": "sizes"},
):
    """What :func:`box_counting_dimension` returns, for k sizes of box.

    Attributes
    ----------
    dimension : float
        Minus the slope of ln(count) by ln(size) over the scaling range, by least squares; nan where there is no range.
    standard_error : float
        From the scatter of the slopes between neighbouring sizes in the range; nan likewise. What a finite picture has of a drift
        towards the dimension of the set is in it only as far as the slopes in the range show it.
    smallest, largest : float
        The scaling range, sizes of box in pixels; nan likewise.
    resolved : bool
        Whether the slope is the same over at least four factors of two.
    sizes : ndarray (k,), int
        Sides of the boxes, in pixels.
    count : ndarray (k,)
        Boxes that hold a pixel of the set, on average over the tilings.
    slope : ndarray (k - 1,)
        Minus the slope between neighbouring sizes.
    """

    dimension: float
    standard_error: float
    smallest: float
    largest: float
    resolved: bool
    sizes: np.ndarray = field(repr=False)
    count: np.ndarray = field(repr=False)
    slope: np.ndarray = field(repr=False)


def edges(outcome: np.ndarray) -> np.ndarray:
    """Where the boundary between the outcomes of a picture runs: blocks of two by two pixels that do not all have the same one.

    Parameters
    ----------
    outcome : ndarray (n0, n1)
        Outcomes, integers or bool, such as the ``converged`` of a picture; at least 2 x 2.

    Returns
    -------
    ndarray (n0 - 1, n1 - 1), bool

    Raises
    ------
    TypeError, ValueError
        If it is no such array.

    References
    ----------
    J. Sohl-Dickstein, arXiv 2402.06184, the public notebook.

    Examples
    --------
    >>> edges(np.array([[0, 0, 1], [0, 0, 1], [1, 0, 1]]))
    array([[False,  True],
           [ True,  True]])
    """
    a = _picture("outcome", outcome)
    if min(a.shape) < 2:
        raise ValueError(f"outcome must have at least 2 x 2 pixels, got shape {a.shape}")
    down, right = a[1:] != a[:-1], a[:, 1:] != a[:, :-1]
    return down[:, 1:] | down[:, :-1] | right[1:] | right[:-1]


def box_counting_dimension(mask: np.ndarray, *, sizes=None, shifts: int = 4) -> BoxCounting:
    """Box-counting dimension of a set of pixels, with the range of sizes over which it scales.

    Of each size, boxes tile the picture, cut to a multiple of the largest size; their number is an average over tilings that begin
    elsewhere (and go round the edge). The range is the longest over which the slope between neighbouring sizes stays within 0.12 of that of
    the whole.

    The boundary of a picture is seen where pixels differ: threads of it that are finer than a pixel are missed, so that its dimension comes
    out too small by a few hundredths, less the larger the sizes. Where it fills the picture, nearly all large boxes hold some of it, and
    the slope goes to 2 with their size. :func:`~trajlib.boundary.uncertainty.uncertainty_exponent` has neither fault. No estimate shows
    a dimension that holds at finer scales only: of the boundary of Mandelbrot's set, which has 2, pictures have 1.15.

    Parameters
    ----------
    mask : ndarray (n0, n1), bool
        The set; :func:`edges` gives that of a boundary.
    sizes : sequence of int, optional
        Sides of the boxes, in pixels, increasing. By default 4, 8, 16, ... as long as 15 boxes lie along the shorter side, which makes a
        range for 480 pixels or more. What is left over beside a multiple of the largest is not counted.
    shifts : int
        Tilings along each side.

    Returns
    -------
    BoxCounting

    Raises
    ------
    TypeError, ValueError
        If an argument has the wrong type, shape or range.

    References
    ----------
    K. Falconer, Fractal Geometry (Wiley, 3rd ed., 2014), section 2.1.

    Examples
    --------
    >>> carpet = np.ones((1, 1), dtype=bool)
    >>> for _ in range(5):
    ...     carpet = np.kron(carpet, np.array([[1, 1, 1], [1, 0, 1], [1, 1, 1]], dtype=bool))
    >>> found = box_counting_dimension(carpet, sizes=[1, 3, 9, 27], shifts=1)
    >>> round(found.dimension, 6), round(float(np.log(8) / np.log(3)), 6)
    (1.892789, 1.892789)
    """
    mask = _picture("mask", mask)
    if mask.dtype != bool:
        raise TypeError(f"mask must be an array of bool, got {mask.dtype}; use edges(outcome), or array == value")
    shifts = _validate.count("shifts", shifts, 1)
    if sizes is None:
        octaves = int(np.log2(max(1.0, min(mask.shape) / (FINEST * FEWEST))))
        sizes = FINEST * 2 ** np.arange(octaves + 1)
    sizes = np.asarray(sizes)
    if sizes.ndim != 1 or sizes.dtype.kind not in "iu" or not len(sizes) or sizes[0] < 1 or (np.diff(sizes) <= 0).any():
        raise ValueError(f"sizes must be increasing integers >= 1, got {_validate.shown(sizes)}")
    if sizes[-1] > min(mask.shape):
        raise ValueError(f"sizes must fit into the picture {mask.shape}, got {sizes[-1]}")
    largest = int(sizes[-1])
    mask = mask[: mask.shape[0] // largest * largest, : mask.shape[1] // largest * largest]
    count = np.array([_boxes(mask, int(size), shifts) for size in sizes])
    x = np.log(sizes)
    with np.errstate(divide="ignore", invalid="ignore"):
        y = np.log(count)
        slope = -np.diff(y) / np.diff(x)
    found = straight(x, y, np.zeros(len(x)), tolerance=TOLERANCE, least=OCTAVES * np.log(2.0)) if count.all() else None
    if found is None:
        return BoxCounting(np.nan, np.nan, np.nan, np.nan, False, sizes.astype(np.int64), count, slope)
    inside = slope[found.start : found.stop - 1]
    drift = np.polyfit(np.linspace(-0.5, 0.5, len(inside)), inside, 1)[0]
    error = float(np.hypot(inside.std(ddof=1) / np.sqrt(len(inside)), 0.5 * drift))
    ends = float(sizes[found.start]), float(sizes[found.stop - 1])
    return BoxCounting(-found.slope, error, *ends, True, sizes.astype(np.int64), count, slope)


def _picture(name: str, value) -> np.ndarray:
    a = np.asarray(_validate.unmasked(name, value))
    if a.dtype.kind not in "biu":
        raise TypeError(f"{name} must be an array of integers or bool, got {_validate.shown(value)}")
    if a.ndim != 2 or not a.size:
        raise ValueError(f"{name} must be a picture (n0, n1), got shape {a.shape}")
    return a


def _boxes(mask: np.ndarray, size: int, shifts: int) -> float:
    """Boxes of a tiling that hold a pixel of the set, on average over tilings that begin elsewhere and go round the edge."""
    rows, columns = (n // size for n in mask.shape)
    begin = np.unique(np.arange(shifts) * size // shifts)
    total = 0
    for i in begin:
        down = np.roll(mask, i, axis=0)[: rows * size].reshape(rows, size, -1).any(axis=1)
        for j in begin:
            across = np.roll(down, j, axis=1)[:, : columns * size].reshape(rows, columns, size)
            total += int(across.any(axis=2).sum())
    return total / len(begin) ** 2
